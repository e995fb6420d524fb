// Pulls that go down, or on from where a walk stood.

#include <algorithm>

#include "log/log_model.h"

namespace everyonce::test {

// What the device needs of a conversation, in the order in which the walk brings it.
std::vector<uint64_t> LogModel::NeededOnWalk(const PullQuery& query, const std::string& conv) const {
  std::vector<uint64_t> needed = Needed(conv, query.user, query.device);
  const bool here = query.go_on && query.go_on->conv == conv && query.go_on->epoch == Find(conv)->epoch;
  const uint64_t seq = here ? query.go_on->seq : 0;
  if (here && (seq > 0 || !query.newest_first)) {
    std::erase_if(needed, [&](uint64_t each) { return query.newest_first ? each >= seq : each <= seq; });
  }
  if (query.newest_first) std::reverse(needed.begin(), needed.end());
  return needed;
}

std::string LogModel::CheckWalk(const PullQuery& query, const Page& page) {
  std::vector<std::string> order = {query.conv};
  if (query.conv.empty()) {
    order = ConversationsOf(query.user);
    if (query.go_on) std::erase_if(order, [&](const std::string& conv) { return conv < query.go_on->conv; });
  }
  std::vector<std::pair<std::string, uint64_t>> expected;
  for (const std::string& conv : order) {
    for (const uint64_t seq : NeededOnWalk(query, conv)) expected.emplace_back(conv, seq);
  }
  size_t count = 0;
  size_t messages = 0;
  size_t bytes = 0;
  for (const PageItem& item : page.items) {
    if (item.is_hole()) {
      const Span& span = item.hole.span;
      if (item.hole.reason == "expired") {
        if (span.to > Find(span.conv)->floor) return span.conv + ": expired, and it is there";
        while (count < expected.size() && expected[count].first == span.conv && expected[count].second >= span.from &&
               expected[count].second <= span.to) {
          ++count;
        }
        continue;
      }
      for (uint64_t seq = span.from; seq <= span.to; ++seq) {
        if (Visible(*Find(span.conv), span.conv, query.user, seq)) return span.conv + ": a hole over what is visible";
      }
      continue;
    }
    if (std::string wrong = CheckMessage(item.message); !wrong.empty()) return wrong;
    if (item.message.seq <= Find(item.message.conv)->floor) return item.message.conv + ": shows what was removed";
    const std::string place = item.message.conv + " " + std::to_string(item.message.seq);
    if (count == expected.size()) return place + ": not needed";
    const auto& [conv, seq] = expected[count++];
    if (conv != item.message.conv || seq != item.message.seq) {
      return place + " in place of " + conv + " " + std::to_string(seq);
    }
    ++messages;
    bytes += item.message.body.size();
  }
  if (page.items.empty() && !expected.empty())
    return "an empty page, and " + std::to_string(expected.size()) + " needed";
  const bool full = page.items.size() + 1 >= query.limit || page.covers.size() == query.max_spans ||
                    bytes + (messages + 1) * 1600 >= query.max_bytes;
  if (count < expected.size() && !full) return "a short page";
  for (const Span& span : page.covers) {
    for (const uint64_t seq : Needed(span.conv, query.user, query.device)) {
      const auto given = expected.begin() + static_cast<long>(count);
      const bool brought = std::find(expected.begin(), given, std::make_pair(span.conv, seq)) != given;
      if (seq >= span.from && seq <= span.to && !brought) return span.conv + ": covers what it does not bring";
    }
  }
  if (page.items.empty()) return {};
  // A walk goes on behind this page with what it has left of the page's last conversation.
  PullQuery behind = query;
  behind.go_on = page.position;
  if (page.position.conv != page.covers.back().conv) return "goes on in another conversation";
  std::vector<uint64_t> left;
  for (size_t i = count; i < expected.size() && expected[i].first == page.position.conv; ++i) {
    left.push_back(expected[i].second);
  }
  return NeededOnWalk(behind, page.position.conv) == left ? "" : "does not go on behind its page";
}

}  // namespace everyonce::test
