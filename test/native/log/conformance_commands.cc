#include <algorithm>
#include <array>

#include "core/identifiers.h"
#include "log/conformance.h"

// The commands of a random run: mostly what a good client does, and every way to do it again, too late, out of turn or
// without the right to.

namespace everyonce::test {
namespace {

const std::array<std::string, 5> kUsers = {"ann", "bob", "cat", "dan", "eve"};
const std::array<std::string, 2> kDevices = {"phone", "laptop"};
const std::array<std::string, 7> kConversations = {"dm:ann:bob", "dm:ann:cat", "dm:bob:dan", "g:all",
                                                   "g:none",     "g:one",      "g:two"};
const std::array<Code, 4> kRefusals = {Code::kForbidden, Code::kTooLarge, Code::kBadRequest, Code::kTokenInvalid};

std::string ProducerKey(const Command& command) { return command.conv + " " + command.user + " " + command.device; }

}  // namespace

std::string ModelRun::NewId() {
  const std::string digits = std::to_string(++next_id_);
  return "message-" + std::string(6 - std::min<size_t>(digits.size(), 6), '0') + digits;
}

std::string ModelRun::NewBody() {
  return "{\"text\":\"" + std::string(random_.OneIn(20) ? random_.Below(900) : random_.Below(30), 'x') +
         std::to_string(random_.Below(1000)) + "\"}";
}

// Mostly someone who belongs there.
void ModelRun::PickSender(Command* command) {
  command->conv = random_.Pick(kConversations);
  command->user = random_.Pick(kUsers);
  if (IsDirect(command->conv) && !random_.OneIn(20)) {
    const DirectUsers users = UsersOfDirect(command->conv);
    command->user = random_.OneIn(2) ? users.first : users.second;
  }
  command->device = random_.Pick(kDevices);
  command->pe = std::max<uint64_t>(model_.KnownPe(command->user, command->device), 1);
}

uint64_t ModelRun::PlannedLast(const Command& command) const {
  const auto planned = planned_.find(ProducerKey(command));
  return planned != planned_.end() ? planned->second : model_.LastN(command.conv, command.user, command.device);
}

Command ModelRun::MakeSend() {
  Command command;
  command.kind = CommandKind::kSend;
  PickSender(&command);
  command.type = random_.OneIn(8) ? "note" : "text";
  command.id = NewId();
  command.body = NewBody();
  const uint64_t last = PlannedLast(command);
  const uint64_t kind = random_.Below(100);
  if (kind < 60 || last == 0) {
    command.n = kind < 98 ? last + 1 : last + 2 + random_.Below(3);  // the other: unknown_producer, gap
    if (random_.OneIn(12)) {
      command.refused = random_.Pick(kRefusals);
      command.refused_message = "refused as the test asked, number " + std::to_string(next_id_);
    }
    if (command.n == last + 1) planned_[ProducerKey(command)] = command.n;
    if (random_.OneIn(8)) MakePackage(&command);
  } else if (kind < 64) {
    command.n = last + 2 + random_.Below(3);
  } else if (kind < 67) {
    command.n = random_.Between(1, last);  // another id at an n that was answered
  } else if (kind < 70) {
    command.id =
        model_.IdOf(command.conv, command.user, command.device, random_.Between(last > 60 ? last - 60 : 1, last));
    command.n = last + 1;  // an id that was answered, under a new n
    if (command.id.empty()) command.id = NewId();
  } else if (kind < 72) {
    command.pe = command.pe > 1 ? command.pe - 1 : command.pe;  // what another incarnation overtook
    command.n = last + 1;
  } else if (!sent_.empty()) {
    // The same again: of late, or long ago.
    const size_t back = random_.OneIn(3) ? sent_.size() : std::min<size_t>(sent_.size(), 40);
    command = sent_[sent_.size() - 1 - random_.Below(back)];
    command.pe = std::max<uint64_t>(model_.KnownPe(command.user, command.device), 1);
    // Of a package, one part alone, or another that was not among them.
    if (!command.parts.empty() && !random_.OneIn(3)) {
      command.id = random_.OneIn(5) ? NewId() : random_.Pick(command.parts).id;
      command.parts.clear();
      if (random_.OneIn(5)) command.package_id = "another";
    }
    return command;
  } else {
    command.n = last + 1;
  }
  sent_.push_back(command);
  return command;
}

void ModelRun::MakePackage(Command* command) {
  command->package_id = "package-" + std::to_string(next_id_);
  for (uint64_t i = random_.OneIn(10) ? random_.Between(1, 20) : random_.Between(1, 4); i > 0; --i) {
    command->parts.push_back({NewId(), command->type, NewBody()});
  }
  command->id = command->parts[0].id;
}

// A send without n, as the application's own publish makes it.
Command ModelRun::MakeOnce() {
  Command command;
  command.kind = CommandKind::kSend;
  PickSender(&command);
  command.device = "server";
  command.pe = 0;
  command.type = "text";
  command.id = random_.OneIn(2) ? NewId() : "publish-" + std::to_string(random_.Below(12));
  command.body = random_.OneIn(2) ? NewBody() : "1";
  if (random_.OneIn(15)) {
    command.refused = random_.Pick(kRefusals);
    command.refused_message = "refused as the test asked";
  }
  return command;
}

Command ModelRun::MakeSkip() {
  Command command;
  command.kind = CommandKind::kSkip;
  PickSender(&command);
  const uint64_t last = PlannedLast(command);
  switch (random_.Below(6)) {
    case 0:
      command.from = random_.Between(1, last + 1);
      command.to = command.from + random_.Below(4);
      break;
    case 1:
      command.from = last + 2 + random_.Below(2);  // beyond: only where the producer is unknown
      command.to = command.from + random_.Below(100);
      break;
    default:
      command.from = last + 1;
      command.to = last + 1 + (random_.OneIn(5) ? random_.Below(90) : random_.Below(3));
  }
  planned_[ProducerKey(command)] = std::max(last, command.to);
  return command;
}

Command ModelRun::MakeMembers() {
  Command command;
  command.kind = CommandKind::kMembers;
  do {
    command.conv = random_.Pick(kConversations);
  } while (IsDirect(command.conv));
  command.user = random_.Pick(kUsers);
  command.device = random_.Pick(kDevices);
  command.pe = std::max<uint64_t>(model_.KnownPe(command.user, command.device), 1);
  command.action = std::array{MembersAction::kCreate, MembersAction::kAdd, MembersAction::kAdd, MembersAction::kRemove,
                              MembersAction::kLeave}[random_.Below(5)];
  for (uint64_t count = random_.Between(1, 3); count > 0; --count) command.members.push_back(random_.Pick(kUsers));
  if (command.action == MembersAction::kLeave) command.members.clear();
  command.history_all = command.conv == "g:all";
  if (command.action != MembersAction::kLeave && random_.OneIn(3)) command.authorised = random_.OneIn(2);
  if (command.conv == "g:none") command.authorised = false;
  return command;
}

Command ModelRun::MakeMark() {
  Command command;
  PickSender(&command);
  const uint64_t head = model_.Head(command.conv);
  if (random_.OneIn(50)) command.epoch = 12345;  // a history that never was
  if (random_.OneIn(3)) {
    command.kind = CommandKind::kRead;
    command.to = random_.Below(head + 3);
    return command;
  }
  command.kind = CommandKind::kGot;
  const std::vector<uint64_t> needed = model_.Needed(command.conv, command.user, command.device);
  if (needed.empty() || random_.OneIn(2)) {
    command.to = random_.OneIn(4) ? head + random_.Below(3)
                 : needed.empty() ? head
                                  : needed[random_.Below(needed.size())];
    return command;
  }
  // Out of order, but never so far that it takes more ranges than a device has.
  command.from = needed[random_.Below(std::min<size_t>(needed.size(), 20))];
  command.to = command.from + random_.Below(5);
  return command;
}

std::vector<Position> ModelRun::MakePositions() {
  std::vector<Position> positions;
  for (const std::string& conv : kConversations) {
    if (random_.OneIn(2)) continue;
    // 0: all that was stored was answered `unavailable`, so nobody has been told the epoch.
    const bool foreign = random_.OneIn(5) || model_.EpochOf(conv) == 0;
    const uint64_t epoch = foreign ? 12345 : model_.EpochOf(conv);
    positions.push_back({conv, epoch, random_.Below(model_.Head(conv) + 3)});
  }
  return positions;
}

Command ModelRun::MakeHello(const std::string& user, const std::string& device) {
  Command command;
  command.kind = CommandKind::kDevice;
  command.user = user;
  command.device = device;
  const uint64_t known = model_.KnownPe(user, device);
  command.pe = random_.OneIn(5) && known > 1 ? known - 1 : std::max<uint64_t>(known, 1) + random_.Below(2);
  if (random_.OneIn(2) && !options_.power_cuts) command.positions = MakePositions();
  return command;
}

Command ModelRun::MakeCommand() {
  const uint64_t kind = random_.Below(100);
  if (kind < 62) return MakeSend();
  if (kind < 70) return MakeOnce();
  if (kind < 73) return MakeSkip();
  if (kind < 80) return MakeMembers();
  if (kind < 96) return options_.power_cuts ? MakeSend() : MakeMark();
  return MakeHello(random_.Pick(kUsers), random_.Pick(kDevices));
}

}  // namespace everyonce::test
