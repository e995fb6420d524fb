#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/identifiers.h"
#include "core/status.h"
#include "log/log.h"
#include "redis/redis_error.h"
#include "redis/reply.h"

namespace everyonce {

// What the reads of a RedisLog share.

inline constexpr size_t kIndexChunk = 256;  // of a user's list, read at once

inline const char* KindOf(std::string_view conv) { return IsDirect(conv) ? "d" : "g"; }

Status StatusOfRedis(const RedisStatus& status);
Status UnknownConv();
Status BrokenScriptReply();

// epoch head got read unread member, as view_of of lua/shared/settled.lua gives them.
ConversationView ViewFrom(const RedisReply& reply, const std::string& conv);

// A message or a hole, as lua/shared/settled.lua gives them.
PageItem ItemFrom(const RedisReply& reply, const std::string& conv, uint64_t epoch);

}  // namespace everyonce
