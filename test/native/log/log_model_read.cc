#include <algorithm>
#include <set>

#include "core/identifiers.h"
#include "log/log_model.h"

namespace everyonce::test {
namespace {

std::string Number(const char* name, uint64_t seen, uint64_t expected) {
  return seen == expected ? "" : std::string(name) + " " + std::to_string(seen) + " for " + std::to_string(expected);
}

}  // namespace

std::string LogModel::CheckOneView(const ConversationView& expected, const ConversationView& seen) {
  const std::string where = expected.conv + ": ";
  if (seen.conv != expected.conv) return where + "is " + seen.conv;
  if (expected.epoch != 0 || !Find(expected.conv)->exists) {
    if (std::string wrong = Number("epoch", seen.epoch, expected.epoch); !wrong.empty()) return where + wrong;
  }
  for (const std::string& wrong :
       {Number("head", seen.head, expected.head), Number("got", seen.got, expected.got),
        Number("read", seen.read, expected.read), Number("unread", seen.unread, expected.unread)}) {
    if (!wrong.empty()) return where + wrong;
  }
  return seen.member == expected.member ? "" : where + "member is wrong";
}

std::string LogModel::CheckView(std::string_view user, std::string_view device, std::string_view conv,
                                const Status& status, const ConversationView& view) {
  const std::string name(conv);
  if (!EverMember(*Find(name), name, std::string(user))) {
    return status.code == Code::kUnknownConv ? "" : name + ": shown to a stranger";
  }
  if (!status.ok()) return name + ": " + status.message;
  return CheckOneView(ViewOf(name, std::string(user), std::string(device)), view);
}

std::string LogModel::CheckViews(std::string_view user, std::string_view device, std::string_view after_conv,
                                 size_t limit, const Status& status, const std::vector<ConversationView>& views,
                                 bool more) {
  if (!status.ok()) return status.message;
  std::vector<std::string> expected;
  for (const std::string& conv : ConversationsOf(std::string(user))) {
    if (conv > after_conv) expected.push_back(conv);
  }
  if (more != (expected.size() > limit)) return "more is wrong";
  if (expected.size() > limit) expected.resize(limit);
  if (views.size() != expected.size()) return Number("conversations", views.size(), expected.size());
  for (size_t i = 0; i < views.size(); ++i) {
    const ConversationView view = ViewOf(expected[i], std::string(user), std::string(device));
    if (std::string wrong = CheckOneView(view, views[i]); !wrong.empty()) return wrong;
  }
  return {};
}

std::string LogModel::CheckResume(std::string_view user, std::string_view device,
                                  const std::vector<Position>& positions, const Status& status,
                                  const std::vector<ResumeView>& views) {
  if (!status.ok()) return status.message;
  if (views.size() != positions.size()) return Number("positions", views.size(), positions.size());
  for (size_t i = 0; i < positions.size(); ++i) {
    const Position& position = positions[i];
    const ResumeView& seen = views[i];
    const Conversation& state = *Find(position.conv);
    const std::string where = position.conv + " at " + std::to_string(position.seq) + ": ";
    if (seen.view.conv != position.conv) return where + "is " + seen.view.conv;
    if (!state.exists || !EverMember(state, position.conv, std::string(user))) {
      if (seen.resume != Resume::kReset) return where + "not a reset";
      if (seen.view.epoch != 0 || seen.view.head != 0) return where + "tells a stranger its epoch or head";
      continue;
    }
    const ConversationView view = ViewOf(position.conv, std::string(user), std::string(device));
    if (std::string wrong = CheckOneView(view, seen.view); !wrong.empty()) return wrong;
    if (position.epoch != state.epoch) {
      if (seen.resume != Resume::kReset) return where + "an unknown history is not a reset";
    } else if (position.seq <= view.head) {
      if (seen.resume != Resume::kOk) return where + "its prefix survived";
    } else if (position.seq > state.log.size()) {
      if (seen.resume != Resume::kTruncated) return where + "beyond head and not truncated";
      if (std::string wrong = Number("keep", seen.keep, view.head); !wrong.empty()) return where + wrong;
    }  // between what a former member sees and head: open
  }
  return {};
}

// --- pull ---

std::vector<std::string> LogModel::PullOrder(const PullQuery& query) const {
  if (!query.conv.empty()) return {query.conv};
  std::vector<std::string> order = ConversationsOf(query.user);
  const auto first = std::upper_bound(order.begin(), order.end(), query.after_conv);
  std::rotate(order.begin(), first, order.end());
  return order;
}

// Items: each conversation's needed messages from the lowest on, whole and in order, conversation after conversation;
// between two neighbours what the user may not see is a hole.
std::string LogModel::CheckItems(const PullQuery& query, const Page& page,
                                 std::map<std::string, std::vector<uint64_t>>* given) {
  std::vector<std::string> touched;
  std::map<std::string, uint64_t> reached;
  std::map<std::string, std::vector<uint64_t>> needs;
  for (const PageItem& item : page.items) {
    const std::string& conv = item.is_hole() ? item.hole.span.conv : item.message.conv;
    if (touched.empty() || touched.back() != conv) {
      if (reached.contains(conv)) return conv + ": in two pieces";
      touched.push_back(conv);
      reached[conv] = 0;
      needs[conv] = Needed(conv, query.user, query.device);
    }
    const Conversation& state = *Find(conv);
    if (item.is_hole()) {
      const Span& span = item.hole.span;
      if (item.hole.reason == "expired") {
        // One range, to the end of what was removed.
        const uint64_t end = std::min(state.floor, VisibleHead(state, conv, query.user));
        if (span.from <= reached[conv] || span.to < span.from || span.to != end)
          return conv + ": expired hole misplaced";
        const std::vector<uint64_t>& gone = needs[conv];
        std::vector<uint64_t>& list = (*given)[conv];
        while (list.size() < gone.size() && gone[list.size()] >= span.from && gone[list.size()] <= span.to) {
          list.push_back(gone[list.size()]);
        }
        if (list.empty() || list.back() < span.from) return conv + ": a hole that nobody needs";
        reached[conv] = span.to;
        continue;
      }
      if (item.hole.reason != "not_visible") return conv + ": hole because of " + item.hole.reason;
      if (span.from <= reached[conv] || span.to < span.from || span.to > state.log.size())
        return conv + ": hole misplaced";
      if (std::string wrong = Number("hole's epoch", span.epoch, state.epoch); !wrong.empty())
        return conv + ": " + wrong;
      for (uint64_t seq = span.from; seq <= span.to; ++seq) {
        if (Visible(state, conv, query.user, seq)) return conv + ": a hole over visible " + std::to_string(seq);
      }
      reached[conv] = span.to;
      continue;
    }
    const uint64_t seq = item.message.seq;
    if (seq <= state.floor) return conv + ": shows " + std::to_string(seq) + ", which was removed";
    if (std::string wrong = CheckMessage(item.message); !wrong.empty()) return wrong;
    std::vector<uint64_t>& list = (*given)[conv];
    const std::vector<uint64_t>& needed = needs[conv];
    if (list.size() >= needed.size() || needed[list.size()] != seq)
      return conv + ": unneeded or out of order " + std::to_string(seq);
    bool hidden =
        !list.empty() && reached[conv] + 1 < seq;  // nothing between this and the last but what is not visible
    for (uint64_t between = reached[conv] + 1; hidden && between < seq; ++between) {
      hidden = !Visible(state, conv, query.user, between);
    }
    if (hidden) return conv + ": no hole before " + std::to_string(seq);
    reached[conv] = seq;
    list.push_back(seq);
  }
  // Conversation after conversation: whatever stands before another one in the order was given whole.
  const std::vector<std::string> order = PullOrder(query);
  size_t touched_so_far = 0;
  for (const std::string& conv : order) {
    const size_t needed = Needed(conv, query.user, query.device).size();
    const size_t count = given->contains(conv) ? given->at(conv).size() : 0;
    if (touched_so_far < touched.size() && touched[touched_so_far] == conv) ++touched_so_far;
    const bool last = touched_so_far == touched.size();
    if (count < needed && !last) return conv + ": passed over";
  }
  return touched_so_far == touched.size() ? "" : "conversations out of order";
}

// Covers: without a gap from the lowest unacked seq to the page's end; whatever is in them is in the items, or is
// nothing that the device needs. The last, empty page covers up to head.
std::string LogModel::CheckCovers(const PullQuery& query, const Page& page,
                                  const std::map<std::string, std::vector<uint64_t>>& given) {
  std::set<std::string> covered;
  for (const Span& span : page.covers) {
    if (!covered.insert(span.conv).second) return span.conv + ": covered twice";
    const ConversationView view = ViewOf(span.conv, query.user, query.device);
    const std::vector<uint64_t> needed = Needed(span.conv, query.user, query.device);
    const auto items = given.find(span.conv);
    const size_t count = items == given.end() ? 0 : items->second.size();
    const std::string where =
        span.conv + " covers " + std::to_string(span.from) + ".." + std::to_string(span.to) + ": ";
    if (std::string wrong = Number("epoch", span.epoch, view.epoch); !wrong.empty()) return where + wrong;
    if (!needed.empty() && (span.from > needed.front() || span.from == 0)) return where + "begins too late";
    if (count > 0 && span.to < items->second.back()) return where + "ends before its items";
    if (count < needed.size() && span.to >= needed[count]) return where + "covers what it does not bring";
    if (count == needed.size() && span.to != view.head)
      return where + "does not reach head " + std::to_string(view.head);
  }
  for (const auto& [conv, list] : given) {
    if (!covered.contains(conv)) return conv + ": has items and no cover";
  }
  for (const ConversationView& view : page.finished) {
    const std::vector<uint64_t> needed = Needed(view.conv, query.user, query.device);
    const auto items = given.find(view.conv);
    if ((items == given.end() ? 0 : items->second.size()) != needed.size()) return view.conv + ": is not finished";
    const ConversationView expected = ViewOf(view.conv, query.user, query.device);
    if (view.head != expected.head || view.epoch != expected.epoch) return view.conv + ": finished at another head";
    covered.insert(view.conv + " finished");
  }
  for (const auto& [conv, list] : given) {
    const bool whole = list.size() == Needed(conv, query.user, query.device).size();
    if (whole && !covered.contains(conv + " finished")) return conv + ": finished and not said so";
  }
  return {};
}

std::string LogModel::CheckPull(const PullQuery& query, const Status& status, const Page& page) {
  if (!query.conv.empty() && !EverMember(*Find(query.conv), query.conv, query.user)) {
    return status.code == Code::kUnknownConv ? "" : query.conv + ": shown to a stranger";
  }
  if (!status.ok()) return status.message;
  if (page.items.size() > query.limit) return Number("items", page.items.size(), query.limit);
  if (page.covers.size() > query.max_spans) return Number("spans", page.covers.size(), query.max_spans);
  if (query.newest_first || query.go_on) return CheckWalk(query, page);
  std::map<std::string, std::vector<uint64_t>> given;
  if (std::string wrong = CheckItems(query, page, &given); !wrong.empty()) return wrong;
  if (std::string wrong = CheckCovers(query, page, given); !wrong.empty()) return wrong;

  // Behind `after_conv` to the end; only where nothing is needed there must the page come round.
  size_t total = 0;
  size_t behind = 0;
  for (const std::string& conv : PullOrder(query)) {
    const size_t needed = Needed(conv, query.user, query.device).size();
    total += needed;
    if (conv > query.after_conv) behind += needed;
  }
  if (behind > 0 && query.conv.empty()) total = behind;
  size_t count = 0;
  for (const auto& [conv, list] : given) count += list.size();
  size_t messages = 0;
  size_t bytes = 0;
  for (const PageItem& item : page.items) {
    if (item.is_hole()) continue;
    ++messages;
    bytes += item.message.body.size();
  }
  if (total > 0 && count == 0) return "an empty page, and " + std::to_string(total) + " needed";
  // One item too few is right where the next needs a hole before it. A message is at most a body of 1 KiB here and some
  // 500 bytes around it.
  const bool full = page.items.size() + 1 >= query.limit || page.covers.size() == query.max_spans ||
                    bytes + (messages + 1) * 1600 >= query.max_bytes;
  if (count < total && !full) return "a short page: " + Number("items", count, total);
  if (messages > 1 && bytes > query.max_bytes) return "a page of too many bytes";
  return {};
}

// --- status and members ---

std::string LogModel::CheckStatus(std::string_view conv, std::string_view user, std::string_view device,
                                  const std::vector<std::string>& ids, const StatusAnswer& answer) {
  const std::string name(conv);
  const Conversation& state = *Find(name);
  if (!EverMember(state, name, std::string(user))) {
    return answer.code == Code::kUnknownConv ? "" : name + ": told to a stranger";
  }
  if (answer.code != Code::kOk) return name + ": " + std::string(CodeName(answer.code));
  std::set<std::string> expected;
  std::set<std::string> removed;  // and of an n before the last 64: what is left of it may be told, or not
  const uint64_t last = LastN(name, std::string(user), std::string(device));
  for (const Message& message : state.log) {
    const bool asked = std::find(ids.begin(), ids.end(), message.id) != ids.end();
    if (!asked || message.from != user || message.device != device) continue;
    const bool gone = message.seq <= state.floor && (message.n == 0 || message.n + kProducerWindow <= last);
    (gone ? removed : expected).insert(message.id);
  }
  std::set<std::string> found;
  for (const StatusFound& seen : answer.found) {
    const Message* message = At(name, seen.seq);
    if (message == nullptr || message->from != user || message->device != device || message->id != seen.id) {
      return seen.id + ": found where it is not";
    }
    if (std::string wrong = Number("n", seen.n, message->n); !wrong.empty()) return seen.id + ": " + wrong;
    if (std::string wrong = Adopt(name, seen.seq, seen.epoch, seen.mid, seen.at_ms); !wrong.empty()) return wrong;
    if (!removed.contains(seen.id)) found.insert(seen.id);
  }
  if (found != expected) return Number("ids found", found.size(), expected.size());
  for (const std::string& id : answer.unknown) {
    if (!removed.contains(id)) return id + ": unknown, though it was not removed";
  }
  for (const std::string& id : removed) {
    const bool told =
        std::any_of(answer.found.begin(), answer.found.end(), [&](const auto& one) { return one.id == id; });
    const bool unknown = std::find(answer.unknown.begin(), answer.unknown.end(), id) != answer.unknown.end();
    const bool has_n = std::any_of(state.log.begin(), state.log.end(),
                                   [&](const Message& one) { return one.id == id && one.n != 0 && one.from == user; });
    if (has_n && told == unknown) return id + ": neither told nor unknown";
  }
  return {};
}

std::string LogModel::CheckMembers(std::string_view conv, const Status& status, const MemberList* members) {
  const std::string name(conv);
  const Conversation& state = *Find(name);
  if (!status.ok()) return status.message;
  MemberList expected(state.members.begin(), state.members.end());
  if (IsDirect(name)) {
    if (!state.exists && members == nullptr) return {};  // open: before its first message
    const DirectUsers users = UsersOfDirect(name);
    expected = {std::string(users.first), std::string(users.second)};
  } else if (!state.exists) {
    return members == nullptr ? "" : name + ": members of nothing";
  }
  if (members == nullptr) return name + ": no members";
  return *members == expected ? "" : name + ": other members";
}

}  // namespace everyonce::test
