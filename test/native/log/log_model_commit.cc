#include <algorithm>
#include <iterator>

#include "core/identifiers.h"
#include "log/log_model.h"

namespace everyonce::test {
namespace {

// {"add":[…]?,"remove":[…]?,"by":U}, users in byte order.
std::string MembersBody(const std::vector<std::string>& added, const std::vector<std::string>& removed,
                        const std::string& by) {
  const auto list = [](const char* key, const std::vector<std::string>& users) {
    std::string text;
    for (const std::string& user : users) text += (text.empty() ? "\"" : ",\"") + user + "\"";
    return text.empty() ? text : "\"" + std::string(key) + "\":[" + text + "],";
  };
  return "{" + list("add", added) + list("remove", removed) + "\"by\":\"" + by + "\"}";
}

// Where an id stands among those of a package; their number: it does not.
size_t Place(const std::vector<std::string>& parts, const std::string& id) {
  return static_cast<size_t>(std::find(parts.begin(), parts.end(), id) - parts.begin());
}

}  // namespace

std::string LogModel::Commit(const Command& command, int64_t now_ms, const Outcome* seen) {
  latest_ms_ = std::max(latest_ms_, now_ms);
  const Expected expected = Decide(command, now_ms);
  if (seen == nullptr) return {};
  ++answers_[seen->duplicate ? "dup" : std::string(CodeName(seen->code))];
  std::string wrong = Compare(command, now_ms, expected, *seen);
  // "The same id gets the same nack again": in the words of the first time.
  if (command.kind == CommandKind::kSend && command.n != 0) {
    const auto producer = Of(command.conv).producers.find({command.user, command.device});
    if (producer != Of(command.conv).producers.end()) {
      const auto answer = producer->second.answers.find(command.n);
      if (answer != producer->second.answers.end() && answer->second.kind == Answer::kRefused &&
          answer->second.text.empty() && seen->code == answer->second.code) {
        answer->second.text = seen->message;
      }
    }
  }
  return wrong;
}

LogModel::Expected LogModel::Decide(const Command& command, int64_t now_ms) {
  if (command.kind == CommandKind::kDevice) return DecideDevice(command);
  // A connection that another incarnation of the device has overtaken changes nothing.
  if (command.pe != 0 && command.pe < KnownPe(command.user, command.device)) {
    return {.code = Code::kStaleDevice, .also = {Code::kUnknownConv}};
  }
  switch (command.kind) {
    case CommandKind::kSend:
      if (!command.parts.empty()) return DecidePackage(command, now_ms);
      return command.n == 0 ? DecideOnce(command, now_ms) : DecideSend(command, now_ms);
    case CommandKind::kSkip:
      return DecideSkip(command);
    case CommandKind::kMembers:
      return DecideMembers(command, now_ms);
    case CommandKind::kGot:
      return DecideGot(command);
    default:
      return DecideRead(command);
  }
}

// --- send ---

LogModel::Expected LogModel::DecideSend(const Command& command, int64_t now_ms) {
  const Pair device{command.user, command.device};
  const Conversation& before = *Find(command.conv);
  const bool member = IsMember(before, command.conv, command.user);
  const auto known = before.producers.find(device);
  if (known == before.producers.end()) {
    if (!member) return {.code = Code::kUnknownConv};
    if (command.n > 1) return {.code = Code::kUnknownProducer};
  } else {
    if (command.n <= known->second.last) return DecideKnown(command, known->second);
    bool id_used = false;  // in the last 64 n
    for (const auto& [n, answer] : known->second.answers) {
      if (n + kProducerWindow <= known->second.last) continue;
      if (answer.id == command.id || Place(answer.parts, command.id) < answer.parts.size()) id_used = true;
    }
    if (command.n > known->second.last + 1) {
      Expected gap{.code = Code::kGap, .gap = known->second.last + 1};
      if (id_used) gap.also = {Code::kConflict};  // open: both are true
      return gap;
    }
    if (id_used) return {.code = Code::kConflict};
  }
  if (!command.package_id.empty() && command.parts.empty()) return {.held = true};
  Answer answer{.id = command.id, .package = command.package_id};
  for (const CommandPart& part : command.parts) answer.parts.push_back(part.id);
  Code refused = member ? command.refused : Code::kUnknownConv;
  if (refused != Code::kOk) {
    Producer& producer = Of(command.conv).producers[device];
    producer.last = command.n;
    answer.kind = Answer::kRefused;
    answer.code = refused;
    answer.text = member ? command.refused_message : "";
    producer.answers[command.n] = std::move(answer);
    return {.code = refused, .text = member ? command.refused_message : ""};
  }
  const Expected stored = StoreAll(command, now_ms);
  Producer& producer = Of(command.conv).producers[device];
  producer.last = command.n;
  answer.seq = stored.seq;
  producer.answers[command.n] = std::move(answer);
  return stored;
}

// Whatever a send of each part would be told, as long as it is the same; else the first that is refused.
LogModel::Expected LogModel::DecidePackage(const Command& command, int64_t now_ms) {
  Command one = command;
  one.parts.clear();
  Expected first;
  for (size_t i = 0; i < command.parts.size(); ++i) {
    one.id = command.parts[i].id;
    const Expected expected = DecideSend(one, now_ms);
    if (expected.code != Code::kOk) return expected;
    if (i == 0) first = expected;
  }
  if (!first.held) return first;
  one = command;
  one.id = command.parts[0].id;
  return DecideSend(one, now_ms);
}

LogModel::Expected LogModel::StoreAll(const Command& command, int64_t now_ms) {
  if (command.parts.empty()) return Store(command, now_ms);
  Expected first;
  Command one = command;
  for (size_t i = 0; i < command.parts.size(); ++i) {
    one.id = command.parts[i].id;
    one.type = command.parts[i].type;
    one.body = command.parts[i].body;
    const Expected stored = Store(one, now_ms);
    if (i == 0) first = stored;
  }
  return first;
}

LogModel::Expected LogModel::DecideKnown(const Command& command, const Producer& producer) const {
  const auto answer = producer.answers.find(command.n);
  const bool remembered = command.n + kProducerWindow > producer.last;
  // From before a skip that began the state: open, since the server knows nothing of it.
  if (answer == producer.answers.end()) return {.code = Code::kTooOld, .also = {Code::kConflict}};
  const std::vector<std::string>& parts = answer->second.parts;
  const size_t place = parts.empty() ? 0 : Place(parts, command.id);
  bool same_id = parts.empty() ? answer->second.id == command.id : place < parts.size();
  switch (answer->second.kind) {
    case Answer::kAccepted:
      // Open: what is left of a removed message may be told for longer than for 64 n.
      if (answer->second.seq <= Find(command.conv)->floor && !remembered) {
        if (!same_id) return {.code = Code::kConflict, .also = {Code::kTooOld}};
        return {.also = {Code::kTooOld}, .duplicate = true, .seq = answer->second.seq + place};
      }
      if (!same_id) return {.code = Code::kConflict};
      return {.duplicate = true, .seq = answer->second.seq + place};
    case Answer::kRefused:
      if (!remembered) return {.code = Code::kTooOld, .also = {Code::kConflict, answer->second.code}};
      if (!parts.empty() && command.package_id == answer->second.package) same_id = true;
      if (!same_id) return {.code = Code::kConflict};
      return {.code = answer->second.code, .text = answer->second.text};
    default:
      if (!remembered) return {.code = Code::kTooOld, .also = {Code::kConflict}};
      return {.code = Code::kConflict};
  }
}

LogModel::Expected LogModel::DecideOnce(const Command& command, int64_t now_ms) {
  const Conversation& before = *Find(command.conv);
  const auto known = before.once.find({command.user, command.id});
  if (known != before.once.end() && now_ms - known->second.at_ms < window_ms_) {
    if (known->second.body != command.type + command.body) return {.code = Code::kConflict};
    return {.duplicate = true, .seq = known->second.seq};
  }
  if (!IsMember(before, command.conv, command.user)) return {.code = Code::kUnknownConv};
  if (command.refused != Code::kOk) return {.code = command.refused, .text = command.refused_message};
  const Expected stored = Store(command, now_ms);
  Of(command.conv).once[{command.user, command.id}] = {stored.seq, command.type + command.body, now_ms};
  return stored;
}

LogModel::Expected LogModel::Store(const Command& command, int64_t) {
  Conversation& state = Of(command.conv);
  state.exists = true;
  Message message;
  message.conv = command.conv;
  message.seq = state.log.size() + 1;
  message.from = command.user;
  message.device = command.device;
  message.n = command.n;
  message.id = command.id;
  message.type = command.type;
  message.body = command.body;
  state.log.push_back(message);
  ++messages_;
  Expected stored{.seq = message.seq, .stored = true};
  stored.audience.assign(state.members.begin(), state.members.end());
  if (IsDirect(command.conv)) {
    const DirectUsers users = UsersOfDirect(command.conv);
    stored.audience = {std::string(users.first), std::string(users.second)};
  }
  return stored;
}

// --- skip ---

LogModel::Expected LogModel::DecideSkip(const Command& command) {
  if (command.from == 0 || command.to < command.from) return {.code = Code::kBadRequest};
  const Pair device{command.user, command.device};
  const Conversation& before = *Find(command.conv);
  const auto known = before.producers.find(device);
  uint64_t last = 0;
  if (known == before.producers.end()) {
    if (!IsMember(before, command.conv, command.user)) return {.code = Code::kUnknownConv};
    last = command.from - 1;
  } else {
    last = known->second.last;
    bool accepted = false;
    bool all_skipped = true;
    for (uint64_t n = command.from; n <= std::min(command.to, last); ++n) {
      const auto answer = known->second.answers.find(n);
      const bool skipped = answer != known->second.answers.end() && answer->second.kind == Answer::kSkipped;
      all_skipped = all_skipped && skipped;
      accepted = accepted || (answer != known->second.answers.end() && answer->second.kind == Answer::kAccepted);
    }
    if (accepted && command.to > last) return {.code = Code::kConflict, .also = {Code::kBadRequest}};
    if (accepted) return {.code = Code::kConflict};
    if (command.to <= last) {
      Expected again;
      // Open: n that were refused, or are from before the state began.
      if (!all_skipped) again.also = {Code::kConflict, Code::kBadRequest};
      return again;
    }
    if (command.from <= last) return {.code = Code::kBadRequest, .also = {Code::kConflict}};
    if (command.from > last + 1) return {.code = Code::kBadRequest};
  }
  Producer& producer = Of(command.conv).producers[device];
  for (uint64_t n = command.from; n <= command.to; ++n) producer.answers[n] = {.kind = Answer::kSkipped};
  producer.last = command.to;
  return {};
}

// --- members ---

LogModel::Expected LogModel::DecideMembers(const Command& command, int64_t now_ms) {
  const Conversation& before = *Find(command.conv);
  const bool member = before.members.contains(command.user);
  std::set<std::string> named(command.members.begin(), command.members.end());
  std::vector<std::string> changed;
  if (command.action == MembersAction::kCreate) {
    if (command.authorised == false) return {.code = Code::kForbidden, .also = {Code::kExists}};
    if (before.exists && before.creator != command.user) return {.code = Code::kExists};
    if (before.exists) {
      Expected again;
      for (const std::string& user : named) {
        if (!before.spans.contains(user)) again.also = {Code::kExists};  // open: not the same call
      }
      return again;
    }
    Conversation& state = Of(command.conv);
    state.exists = true;
    state.creator = command.user;
    state.history_all = command.history_all;
    named.insert(command.user);
    return StoreMembers(command, {named.begin(), named.end()}, {}, now_ms);
  }
  if (!before.exists) return {.code = Code::kUnknownConv};
  if (command.action == MembersAction::kLeave) {
    if (!before.spans.contains(command.user)) return {.code = Code::kUnknownConv};
    if (!member) return {};
    return StoreMembers(command, {}, {command.user}, now_ms);
  }
  const bool allowed = command.authorised.value_or(before.creator == command.user);
  if (!allowed) return {.code = member || before.creator == command.user ? Code::kForbidden : Code::kUnknownConv};
  const bool adds = command.action == MembersAction::kAdd;
  for (const std::string& user : named) {
    if (before.members.contains(user) != adds) changed.push_back(user);
  }
  if (changed.empty()) return {};
  return adds ? StoreMembers(command, changed, {}, now_ms) : StoreMembers(command, {}, changed, now_ms);
}

LogModel::Expected LogModel::StoreMembers(const Command& command, const std::vector<std::string>& added,
                                          const std::vector<std::string>& removed, int64_t now_ms) {
  Command system;
  system.conv = command.conv;
  system.user = "system";
  system.device = "system";
  system.type = "system.members";
  Expected stored = Store(system, now_ms);
  Conversation& state = Of(command.conv);
  // "A removed member's last message is the one that removes it."
  for (const std::string& user : removed) {
    state.members.erase(user);
    state.spans[user].back().second = stored.seq;
  }
  // "A new member sees from the message that adds it (or from 1 …)."
  for (const std::string& user : added) {
    state.members.insert(user);
    state.spans[user].push_back({state.history_all ? 1 : stored.seq, 0});
  }
  std::set<std::string> audience = state.members;
  audience.insert(removed.begin(), removed.end());
  stored.audience.assign(audience.begin(), audience.end());
  stored.added = added;
  stored.removed = removed;
  state.log.back().body = MembersBody(added, removed, command.user);
  return stored;
}

// --- marks and devices ---

LogModel::Expected LogModel::DecideGot(const Command& command) {
  const Conversation& before = *Find(command.conv);
  if (!EverMember(before, command.conv, command.user)) return {.code = Code::kUnknownConv};
  const Pair device{command.user, command.device};
  if (command.epoch == 0 || command.epoch == before.epoch) {
    std::set<uint64_t>& acked = Of(command.conv).acked[device];
    for (uint64_t seq = std::max<uint64_t>(command.from, 1); seq <= std::min(command.to, Head(command.conv)); ++seq) {
      if (Visible(before, command.conv, command.user, seq)) acked.insert(seq);
    }
  }
  JoinOwn(command.conv, device);
  return {.got = Got(*Find(command.conv), command.conv, device)};
}

LogModel::Expected LogModel::DecideRead(const Command& command) {
  const Conversation& before = *Find(command.conv);
  if (!EverMember(before, command.conv, command.user)) return {.code = Code::kUnknownConv};
  uint64_t& mark = Of(command.conv).read[command.user];
  const bool current = command.epoch == 0 || command.epoch == before.epoch;
  const uint64_t wanted = current ? std::min(command.to, VisibleHead(before, command.conv, command.user)) : 0;
  const bool rose = wanted > mark;
  mark = std::max(mark, wanted);
  return {.read = mark, .rose = rose};
}

LogModel::Expected LogModel::DecideDevice(const Command& command) {
  Device& device = devices_[{command.user, command.device}];
  if (command.pe < device.pe) return {.code = Code::kStaleDevice, .pe = device.pe};
  device.pe = command.pe;
  const bool first = !device.hello;
  device.hello = true;
  const Pair pair{command.user, command.device};
  for (const std::string& conv : ConversationsOf(command.user)) {
    Conversation& state = Of(conv);
    uint64_t start = first ? state.read[command.user] : 0;
    for (const Position& position : command.positions) {
      if (position.conv != conv) continue;
      // Truncated: the client holds what is up to head. Reset: nothing that it holds counts.
      start = position.epoch == state.epoch ? std::min<uint64_t>(position.seq, state.log.size()) : 0;
    }
    for (uint64_t seq = 1; seq <= start; ++seq) {
      if (Visible(state, conv, command.user, seq)) state.acked[pair].insert(seq);
    }
  }
  return {.pe = device.pe, .first = first};
}

}  // namespace everyonce::test
