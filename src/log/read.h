#pragma once

#include <cstdint>
#include <string_view>

#include "core/pager.h"
#include "log/log.h"
#include "log/log_context.h"

namespace everyonce {

// The readers of the embedded log. None changes what is stored; what they find out stays in the caches.

// One user's and device's view. `device` empty: got is 0. REQUIRES: the user is or was a member.
Status ViewOf(Conversation* conversation, std::string_view user, std::string_view device, ConversationView* view);

Status ReadPage(LogContext* context, const PullQuery& query, Page* page);
Status ReadStatus(LogContext* context, std::string_view conv, std::string_view user, std::string_view device,
                  const std::vector<std::string>& ids, StatusAnswer* answer);
Status ReadResume(LogContext* context, std::string_view user, std::string_view device, const Position& position,
                  ResumeView* view);

}  // namespace everyonce
