// Packages: sends that land together (protocol.md, Sending). Each part is decided by the log in its turn, like a send;
// one whose n is the next is held here until the others are there, and then all of them are one command.

#include <algorithm>
#include <utility>

#include "engine/engine.h"

namespace everyonce {
namespace {

constexpr ConnectionId kNobody = UINT64_MAX;
constexpr int64_t kRoomRetryMs = 1000;  // when there was no room: others' packages are given up within seconds

// The n of one device in one conversation. Identifiers hold no zero byte.
std::string KeyOf(const Command& command) {
  std::string key = command.user;
  key += '\0';
  key += command.device;
  key += '\0';
  key += command.conv;
  key += '\0';
  key += std::to_string(command.n);
  return key;
}

// What KeyOf was made of.
Command CommandOf(std::string_view key) {
  Command command;
  for (std::string* part : {&command.user, &command.device, &command.conv}) {
    const size_t end = key.find('\0');
    *part = key.substr(0, end);
    key.remove_prefix(end + 1);
  }
  for (const char digit : key) command.n = command.n * 10 + static_cast<uint64_t>(digit - '0');
  return command;
}

// Adds the part that made the package what it is now, so that it is answered with the others.
void Join(HeldPart part, HeldPackage* package) {
  const uint32_t index = package->parts.empty() ? 0 : package->parts.rbegin()->first + 1;
  package->parts.emplace(index, std::move(part));
}

}  // namespace

void Engine::SendPart(Connection& connection, Command command, PackagePart part) {
  command.package_id = part.id;
  Submit(connection, std::move(command), PartPending(connection.id, std::move(part)));
}

Engine::Pending Engine::PartPending(ConnectionId source, PackagePart part) {
  return {.connection = source,
          .then = [this, source, part = std::move(part)](Connection* sender, const Command& done, Outcome& outcome) {
            // Held is what is neither refused nor stored before.
            if (outcome.code != Code::kOk || outcome.duplicate) return AnswerSend(sender, done, outcome);
            HoldPart(source, done, part);
          }};
}

// The rest of its package is being decided: its turn is behind that.
void Engine::SubmitAgain(ConnectionId source, const Command& command, const PackagePart& part) {
  Connection* connection = Find(source);
  if (connection != nullptr) ++connection->commands_in_flight;
  group_bytes_ += command.body.size();
  group_.push_back(command);
  group_pending_.push_back(PartPending(source, part));
}

void Engine::HoldPart(ConnectionId source, const Command& command, const PackagePart& part) {
  const std::string key = KeyOf(command);
  if (submitted_packages_.contains(key)) return SubmitAgain(source, command, part);
  HeldPart held{command.id, command.type, command.body, source};
  HeldPackage package;
  if (command.refused != Code::kOk) {
    const HeldPackage* known = packages_.Find(key);
    if (known == nullptr || known->id == part.id) {
      packages_.Take(key, &package);
      package.id = part.id;
      Join(std::move(held), &package);
      return SubmitPackage(command, std::move(package), command.refused, command.refused_message);
    }
    Join(std::move(held), &package);
    return NackParts(command, package, Code::kConflict, "another package of this device is held at this n", -1);
  }
  switch (packages_.Offer(key, command.user, part.id, part.index, part.total, &held, now_.steady_ms, &package)) {
    case PackageReorder::Verdict::kHeld:
    case PackageReorder::Verdict::kRepeat:
      return;
    case PackageReorder::Verdict::kComplete:
      return SubmitPackage(command, std::move(package), Code::kOk, "");
    case PackageReorder::Verdict::kContradicts:
      package.id = part.id;
      Join(std::move(held), &package);
      return SubmitPackage(command, std::move(package), Code::kBadRequest,
                           "\"pkg\": a part is not what another one, or the same one before, says of the package");
    case PackageReorder::Verdict::kTooLarge:
      package.id = part.id;
      Join(std::move(held), &package);
      return SubmitPackage(command, std::move(package), Code::kTooLarge, "the bodies of a package are too large");
    case PackageReorder::Verdict::kOverLimit:
      Join(std::move(held), &package);
      return NackParts(command, package, Code::kPackageIncomplete, "there is no room to hold this package",
                       kRoomRetryMs);
    case PackageReorder::Verdict::kOther:
      Join(std::move(held), &package);
      return NackParts(command, package, Code::kConflict, "another package of this device is held at this n", -1);
  }
}

// One command for all parts. `like`: the part that came last.
void Engine::SubmitPackage(const Command& like, HeldPackage package, Code refused, std::string_view message) {
  Command command;
  command.kind = CommandKind::kSend;
  command.conv = like.conv;
  command.user = like.user;
  command.device = like.device;
  command.pe = like.pe;
  command.n = like.n;
  command.package_id = std::move(package.id);
  command.refused = refused;
  command.refused_message = message;
  command.token_check = like.token_check;
  std::vector<uint32_t> receipts;
  for (auto& [index, part] : package.parts) {
    group_bytes_ += part.body.size();
    receipts.push_back(part.receipts);
    command.parts.push_back({std::move(part.id), std::move(part.type), std::move(part.body)});
  }
  submitted_packages_.insert(KeyOf(command));
  // Its device's reads wait for it, as for any command.
  Connection* connection = FindDevice(command.user, command.device);
  if (connection != nullptr) ++connection->commands_in_flight;
  group_.push_back(std::move(command));
  group_pending_.push_back(
      {.connection = connection == nullptr ? kNobody : connection->id,
       .then = [this, receipts = std::move(receipts)](Connection*, const Command& done, Outcome& outcome) {
         AnswerPackage(done, outcome, receipts);
       }});
}

// An answer for each time that a part came, to the connection that the device has now.
void Engine::AnswerPackage(const Command& command, Outcome& outcome, const std::vector<uint32_t>& receipts) {
  const std::string key = KeyOf(command);
  submitted_packages_.erase(key);
  Command one = CommandOf(key);
  for (size_t i = 0; i < command.parts.size(); ++i) {
    one.id = command.parts[i].id;
    one.type = command.parts[i].type;
    one.body = command.parts[i].body;
    Outcome of_part = outcome;
    if (outcome.code == Code::kOk) {
      of_part.seq = outcome.seq + i;
      of_part.mid = outcome.mids[i];
    }
    for (uint32_t receipt = 0; receipt < receipts[i]; ++receipt) {
      // Looked up each time: an answer may end the connection. One that is newer than the parts is not stale with them.
      Connection* connection = FindDevice(one.user, one.device);
      const bool newer = connection != nullptr && connection->pe != command.pe;
      AnswerSend(outcome.code == Code::kStaleDevice && newer ? nullptr : connection, one, of_part);
      of_part.duplicate = of_part.code == Code::kOk;
    }
  }
}

void Engine::NackParts(const Command& command, const HeldPackage& package, Code code, std::string_view message,
                       int64_t retry_ms) {
  Outcome outcome;
  outcome.code = code;
  outcome.message = message;
  outcome.retry_ms = retry_ms;
  Command one = CommandOf(KeyOf(command));
  for (const auto& [index, part] : package.parts) {
    one.id = part.id;
    for (uint32_t receipt = 0; receipt < part.receipts; ++receipt) {
      AnswerSend(FindDevice(one.user, one.device), one, outcome);
    }
  }
}

// A plain send at the n of a held package: the package keeps it.
bool Engine::RefusedByHeld(Connection& connection, const Command& command) {
  if (command.n == 0 || packages_.packages() == 0) return false;
  Command place;
  place.user = connection.user;
  place.device = connection.device;
  place.conv = command.conv;
  place.n = command.n;
  if (packages_.Find(KeyOf(place)) == nullptr) return false;
  place.id = command.id;
  Outcome outcome;
  outcome.code = Code::kConflict;
  outcome.message = "a package of this device is held at this n";
  AnswerSend(&connection, place, outcome);
  return true;
}

void Engine::RunPackages() {
  for (const HeldPackage& package : packages_.Expire(now_.steady_ms)) {
    NackParts(CommandOf(package.key), package, Code::kPackageIncomplete,
              "parts of the package did not arrive in time; send all of it again", 0);
  }
}

Connection* Engine::FindDevice(const std::string& user, std::string_view device) {
  const auto online = online_.find(user);
  if (online == online_.end()) return nullptr;
  const auto found = std::find_if(online->second.begin(), online->second.end(),
                                  [&](const Connection* connection) { return connection->device == device; });
  return found == online->second.end() ? nullptr : *found;
}

}  // namespace everyonce
