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

// What a page brings of a record, and what that costs of the page's bytes.
Message MessageOf(const Conversation& conversation, uint64_t seq, const LogRecord& record);
size_t PageBytesOf(const Conversation& conversation, const LogRecord& record);

// Whether a walk goes on within this conversation, and behind (newest first: below) which seq of it.
bool GoOnIn(const Conversation& conversation, const PullQuery& query, uint64_t* seq);
// Fills a page with one conversation, newest first. `always`: also tells what is covered where nothing is needed.
// `complete` false: the page ends before the conversation does. REQUIRES: the user is or was a member.
Status FillNewest(Conversation* conversation, const PullQuery& query, bool always, PageBudget* budget, Page* page,
                  bool* complete);

Status ReadPage(LogContext* context, const PullQuery& query, Page* page);
Status ReadHistory(LogContext* context, const HistoryQuery& query, HistoryPage* page);
Status ReadStatus(LogContext* context, std::string_view conv, std::string_view user, std::string_view device,
                  const std::vector<std::string>& ids, StatusAnswer* answer);
Status ReadResume(LogContext* context, std::string_view user, std::string_view device, const Position& position,
                  ResumeView* view);

}  // namespace everyonce
