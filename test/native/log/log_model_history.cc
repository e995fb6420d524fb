#include <algorithm>

#include "log/log_model.h"

namespace everyonce::test {

// Reading back: what the user may see, whatever was acked; the oldest above `after`, else the newest below `before`.
std::string LogModel::CheckHistory(const HistoryQuery& query, const Status& status, const HistoryPage& page) {
  const Conversation& state = *Find(query.conv);
  if (!EverMember(state, query.conv, query.user)) {
    return status.code == Code::kUnknownConv ? "" : query.conv + ": shown to a stranger";
  }
  if (!status.ok()) return status.message;
  std::vector<uint64_t> wanted;
  for (uint64_t seq = query.after.value_or(0) + 1; seq <= state.log.size(); ++seq) {
    if (query.before && seq >= *query.before) break;
    if (Visible(state, query.conv, query.user, seq)) wanted.push_back(seq);
  }
  std::vector<uint64_t> given;
  size_t bytes = 0;
  uint64_t reached = 0;
  for (const PageItem& item : page.items) {
    if (item.is_hole()) {
      const Span& span = item.hole.span;
      if (span.conv != query.conv) return "another hole";
      if (item.hole.reason == "expired") {
        if (span.from <= reached || span.to < span.from || span.to > state.floor) return "an expired hole misplaced";
        for (const uint64_t seq : wanted) {
          if (seq >= span.from && seq <= span.to) given.push_back(seq);
        }
        reached = span.to;
        continue;
      }
      if (item.hole.reason != "not_visible") return "another hole";
      if (span.from <= reached || span.to < span.from || span.to > state.log.size()) return "a hole misplaced";
      for (uint64_t seq = span.from; seq <= span.to; ++seq) {
        if (Visible(state, query.conv, query.user, seq)) return "a hole over visible " + std::to_string(seq);
      }
      reached = span.to;
      continue;
    }
    const uint64_t seq = item.message.seq;
    if (item.message.conv != query.conv || seq <= reached) return "out of order";
    if (seq <= state.floor) return "shows " + std::to_string(seq) + ", which was removed";
    if (std::string wrong = CheckMessage(item.message); !wrong.empty()) return wrong;
    bool hidden = !given.empty() && reached + 1 < seq && reached >= state.floor;
    for (uint64_t between = reached + 1; hidden && between < seq; ++between) {
      hidden = !Visible(state, query.conv, query.user, between);
    }
    if (hidden) return "no hole before " + std::to_string(seq);
    reached = seq;
    given.push_back(seq);
    bytes += item.message.body.size();
  }
  if (page.items.size() > query.limit) return "too many items";
  if (given.size() > wanted.size()) return "more than there is";
  const bool oldest = query.after.has_value();
  const auto first = oldest ? wanted.begin() : wanted.end() - static_cast<long>(given.size());
  if (!std::equal(given.begin(), given.end(), first)) return "not the " + std::string(oldest ? "oldest" : "newest");
  const bool more = given.size() < wanted.size();
  // Open: what is left is a hole, and nothing else.
  const bool hole_left = page.more && page.items.size() == query.limit;
  if (page.more != more && !hole_left) return more ? "says that there is no more" : "says that there is more";
  const bool full = page.items.size() + 1 >= query.limit || bytes + (given.size() + 1) * 1600 >= query.max_bytes;
  if (more && (!full || page.items.empty())) return "a short page: " + std::to_string(given.size());
  return {};
}

}  // namespace everyonce::test
