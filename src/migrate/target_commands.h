#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "migrate/target_calls.h"
#include "redis/reply.h"

namespace everyonce {

// The commands of Redis that a call comes to. Each may be run again and again.

// What writes it; but for what scripts write (kLog, kCounter), and what is only read (kLength): none.
std::vector<std::string> WriteCommand(const TargetCall& call);
// What reads it back, and whether the reply is what was written. What has run out by `now_ms` may be gone.
std::vector<std::string> ReadCommand(const TargetCall& call);
bool IsWritten(const TargetCall& call, const RedisReply& reply, int64_t now_ms);

}  // namespace everyonce
