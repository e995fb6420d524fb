#include "log/log_model.h"

#include <algorithm>

#include "core/identifiers.h"

namespace everyonce::test {

// What is asked of the state, one loop each.

LogModel::Conversation& LogModel::Of(const std::string& conv) { return conversations_[conv]; }

const LogModel::Conversation* LogModel::Find(const std::string& conv) const {
  static const Conversation kNothing;
  const auto found = conversations_.find(conv);
  return found == conversations_.end() ? &kNothing : &found->second;
}

bool LogModel::IsMember(const Conversation& state, const std::string& conv, const std::string& user) const {
  if (!IsDirect(conv)) return state.members.contains(user);
  const DirectUsers users = UsersOfDirect(conv);
  return users.first == user || users.second == user;
}

bool LogModel::EverMember(const Conversation& state, const std::string& conv, const std::string& user) const {
  return IsDirect(conv) ? IsMember(state, conv, user) : state.spans.contains(user);
}

bool LogModel::Visible(const Conversation& state, const std::string& conv, const std::string& user,
                       uint64_t seq) const {
  if (seq == 0 || seq > state.log.size()) return false;
  if (IsDirect(conv)) return IsMember(state, conv, user);
  const auto spans = state.spans.find(user);
  if (spans == state.spans.end()) return false;
  for (const auto& [from, to] : spans->second) {
    if (seq >= from && (to == 0 || seq <= to)) return true;
  }
  return false;
}

uint64_t LogModel::VisibleHead(const Conversation& state, const std::string& conv, const std::string& user) const {
  for (uint64_t seq = state.log.size(); seq > 0; --seq) {
    if (Visible(state, conv, user, seq)) return seq;
  }
  return 0;
}

std::vector<uint64_t> LogModel::Needed(const std::string& conv, const std::string& user,
                                       const std::string& device) const {
  const Conversation& state = *Find(conv);
  const auto acked = state.acked.find({user, device});
  std::vector<uint64_t> needed;
  for (uint64_t seq = 1; seq <= state.log.size(); ++seq) {
    const Message& message = state.log[seq - 1];
    if (!Visible(state, conv, user, seq)) continue;
    // Nobody can tell any more whose a removed message was.
    if (message.from == user && message.device == device && seq > state.floor) continue;
    if (acked != state.acked.end() && acked->second.contains(seq)) continue;
    needed.push_back(seq);
  }
  return needed;
}

uint64_t LogModel::Got(const Conversation& state, const std::string& conv, const Pair& device) const {
  const std::vector<uint64_t> needed = Needed(conv, device.first, device.second);
  return needed.empty() ? VisibleHead(state, conv, device.first) : needed.front() - 1;
}

std::vector<std::string> LogModel::ConversationsOf(const std::string& user) const {
  std::vector<std::string> result;
  for (const auto& [conv, state] : conversations_) {
    if (state.exists && EverMember(state, conv, user)) result.push_back(conv);
  }
  return result;  // a std::map is in byte order
}

ConversationView LogModel::ViewOf(const std::string& conv, const std::string& user, const std::string& device) const {
  const Conversation& state = *Find(conv);
  ConversationView view;
  view.conv = conv;
  view.epoch = state.epoch;
  view.head = VisibleHead(state, conv, user);
  view.got = device.empty() ? 0 : Got(state, conv, {user, device});
  const auto read = state.read.find(user);
  view.read = read == state.read.end() ? 0 : read->second;
  for (uint64_t seq = std::max(view.read, state.floor) + 1; seq <= state.log.size(); ++seq) {
    const Message& message = state.log[seq - 1];
    if (Visible(state, conv, user, seq) && message.from != user && !message.type.starts_with("system.")) ++view.unread;
  }
  view.member = IsMember(state, conv, user);
  return view;
}

uint64_t LogModel::LastN(const std::string& conv, const std::string& user, const std::string& device) const {
  const Conversation& state = *Find(conv);
  const auto producer = state.producers.find({user, device});
  return producer == state.producers.end() ? 0 : producer->second.last;
}

std::string LogModel::IdOf(const std::string& conv, const std::string& user, const std::string& device,
                           uint64_t n) const {
  const Conversation& state = *Find(conv);
  const auto producer = state.producers.find({user, device});
  if (producer == state.producers.end()) return {};
  const auto answer = producer->second.answers.find(n);
  return answer == producer->second.answers.end() ? "" : answer->second.id;
}

uint64_t LogModel::Head(const std::string& conv) const { return Find(conv)->log.size(); }
uint64_t LogModel::EpochOf(const std::string& conv) const { return Find(conv)->epoch; }

uint64_t LogModel::KnownPe(const std::string& user, const std::string& device) const {
  const auto found = devices_.find({user, device});
  return found == devices_.end() ? 0 : found->second.pe;
}

const Message* LogModel::At(const std::string& conv, uint64_t seq) const {
  const Conversation& state = *Find(conv);
  return seq == 0 || seq > state.log.size() ? nullptr : &state.log[seq - 1];
}

// --- taking over what only the Log decides ---

std::string LogModel::Adopt(const std::string& conv, uint64_t seq, uint64_t epoch, uint64_t mid, int64_t at_ms) {
  Conversation& state = Of(conv);
  const std::string where = conv + " seq " + std::to_string(seq) + ": ";
  if (seq == 0 || seq > state.log.size()) return where + "no such message";
  if (state.epoch == 0) {
    // max(the log's last + 1, Unix ms × 1024 + 10 random bits) when the history begins.
    if (epoch == 0 || epoch > kMaxInteger) return where + "epoch " + std::to_string(epoch) + " out of range";
    state.epoch = epoch;
  }
  if (epoch != state.epoch) return where + "epoch " + std::to_string(epoch) + " for " + std::to_string(state.epoch);
  Message& message = state.log[seq - 1];
  message.epoch = epoch;
  if (message.mid != 0) {
    if (mid != message.mid) return where + "mid " + std::to_string(mid) + " after " + std::to_string(message.mid);
    if (at_ms != message.at_ms)
      return where + "at " + std::to_string(at_ms) + " after " + std::to_string(message.at_ms);
    return {};
  }
  if (mid == 0 || !mids_.insert(mid).second)
    return where + "mid " + std::to_string(mid) + " is zero or was given before";
  message.mid = mid;
  message.at_ms = at_ms;
  if (message.from == "system") message.id = std::to_string(mid);
  for (uint64_t other = 1; other <= state.log.size(); ++other) {
    const Message& neighbour = state.log[other - 1];
    if (neighbour.mid == 0 || other == seq) continue;
    if ((other < seq) != (neighbour.mid < mid)) return where + "mid is not in the order of the log";
    if (other < seq ? neighbour.at_ms > at_ms : neighbour.at_ms < at_ms) return where + "at goes backwards";
  }
  return {};
}

std::string LogModel::CheckMessage(const Message& seen) {
  if (std::string wrong = Adopt(seen.conv, seen.seq, seen.epoch, seen.mid, seen.at_ms); !wrong.empty()) return wrong;
  const Message& message = Of(seen.conv).log[seen.seq - 1];
  const std::string where = seen.conv + " seq " + std::to_string(seen.seq) + ": ";
  if (seen.from != message.from || seen.device != message.device)
    return where + "sender " + seen.from + " " + seen.device;
  if (seen.n != message.n) return where + "n " + std::to_string(seen.n) + " for " + std::to_string(message.n);
  if (seen.id != message.id) return where + "id " + seen.id + " for " + message.id;
  if (seen.type != message.type) return where + "type " + seen.type + " for " + message.type;
  if (seen.body != message.body) return where + "body " + seen.body + " for " + message.body;
  return {};
}

}  // namespace everyonce::test
