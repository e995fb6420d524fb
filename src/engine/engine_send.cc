#include <utility>

#include "core/identifiers.h"
#include "engine/engine.h"

namespace everyonce {
namespace {

// The application itself needs no token.
TokenCheck TokenCheckOf(const Connection& connection, const EngineOptions& options) {
  return connection.application && !connection.for_client ? TokenCheck::kNone : options.tokens;
}

}  // namespace

// `forbidden`: the authorize hook's word, which counts where the order of decisions reaches it.
void Engine::SendMessage(Connection& connection, Packet packet, bool forbidden) {
  Command command;
  command.kind = CommandKind::kSend;
  if (connection.application && packet.n) {
    return SendError(connection, {.code = Code::kBadRequest,
                                  .message = "\"n\" belongs to a device's outbox; the application sends without.",
                                  .rid_json = packet.rid_json});
  }
  command.conv = std::move(packet.conv);
  command.n = packet.n.value_or(0);
  command.id = std::move(packet.id);
  command.type = std::move(packet.message_type);
  command.body = std::move(packet.body);
  if (forbidden) {
    command.refused = Code::kForbidden;
    command.refused_message = "You may not send this here.";
  }
  command.token_check = TokenCheckOf(connection, options_);
  if (packet.package) return SendPart(connection, std::move(command), std::move(*packet.package));
  if (RefusedByHeld(connection, command)) return;
  Submit(connection, std::move(command), {});
}

// A send whose conv and id could be read but not the rest: a final nack, which uses its n where it is the next one, so
// it is decided with the others.
void Engine::SendRefused(Connection& connection, const PacketError& error) {
  Command command;
  command.kind = CommandKind::kSend;
  command.conv = error.conv;
  command.n = error.n.value_or(0);
  command.id = error.id;
  command.refused = error.status.code;
  command.refused_message = error.status.message;
  command.token_check = TokenCheckOf(connection, options_);
  if (command.n != 0 && !error.package_id.empty()) return SendPart(connection, std::move(command), {error.package_id});
  if (RefusedByHeld(connection, command)) return;
  Submit(connection, std::move(command), {});
}

// Exactly one answer for each send, and for a newly stored one the deliveries.
void Engine::AnswerSend(Connection* connection, const Command& command, Outcome& outcome) {
  if (outcome.code != Code::kOk) {
    if (outcome.code == Code::kStaleDevice) {
      if (connection == nullptr) return;
      SendError(*connection, {.code = outcome.code, .message = outcome.message, .pe = outcome.pe});
      return Shut(*connection, 4409);
    }
    ++counters_.nacks;
    if (connection == nullptr) return;
    WriteNack({.conv = command.conv,
               .id = command.id,
               .n = command.n,
               .code = outcome.code,
               .message = outcome.message,
               .expected = outcome.expected,
               .retry_ms = outcome.retry_ms},
              Out(*connection));
    return;
  }
  ++counters_.acks;
  if (outcome.duplicate) ++counters_.duplicates;
  if (connection != nullptr) {
    WriteAck({.conv = command.conv,
              .id = command.id,
              .n = command.n,
              .seq = outcome.seq,
              .epoch = outcome.epoch,
              .mid = outcome.mid,
              .at_ms = outcome.at_ms,
              .safe = log_->safe(),
              .duplicate = outcome.duplicate},
             Out(*connection));
  }
  if (relay_ != nullptr && outcome.duplicate) NoteRepeat(command, outcome);
  if (outcome.duplicate || outcome.audience == nullptr) return;
  Delivery delivery;
  delivery.message = {.conv = command.conv,
                      .epoch = outcome.epoch,
                      .seq = outcome.seq,
                      .mid = outcome.mid,
                      .from = command.user,
                      .device = command.device,
                      .n = command.n,
                      .id = command.id,
                      .type = command.type,
                      .body = command.body,
                      .at_ms = outcome.at_ms};
  delivery.audience = outcome.audience;
  delivery.own = connection == nullptr || connection->application ? 0 : connection->id;
  Accepted(std::move(delivery), {});
}

void Engine::Skip(Connection& connection, Packet packet) {
  Command command;
  command.kind = CommandKind::kSkip;
  command.conv = std::move(packet.conv);
  command.from = packet.from.value_or(0);
  command.to = packet.to.value_or(0);
  Submit(connection, std::move(command),
         {.then = [this, rid_json = packet.rid_json](Connection* asking, const Command&, Outcome& outcome) {
           if (asking == nullptr) return;
           if (outcome.code == Code::kOk) return WriteOk(rid_json, Out(*asking));
           SendError(
               *asking,
               {.code = outcome.code, .message = outcome.message, .rid_json = rid_json, .retry_ms = outcome.retry_ms});
         }});
}

void Engine::AskStatus(Connection& connection, Packet packet) {
  const ConnectionId id = connection.id;
  const std::string device = packet.device.empty() ? connection.device : packet.device;
  ++connection.reads_in_flight;
  log_->StatusOf(packet.conv, connection.user, device, packet.ids,
                 [this, id, rid_json = packet.rid_json, conv = packet.conv](StatusAnswer answer) {
                   Connection* asking = Find(id);
                   if (asking == nullptr) return;
                   ReadDone(*asking);
                   if (answer.code == Code::kOk) return WriteStatus(rid_json, conv, answer, Out(*asking));
                   SendError(*asking, {.code = answer.code,
                                       .message = "\"conv\" does not exist, or you are not in it.",
                                       .rid_json = rid_json,
                                       .retry_ms = answer.code == Code::kUnavailable ? 1000 : -1});
                 });
}

void Engine::Tokens(Connection& connection, Packet packet) {
  if (options_.tokens == TokenCheck::kNone || connection.user.empty()) {
    return SendError(connection, {.code = Code::kUnsupported,
                                  .message = connection.user.empty() ? "Tokens are for a user."
                                                                     : "This server works without message tokens.",
                                  .rid_json = packet.rid_json});
  }
  const ConnectionId id = connection.id;
  ++connection.reads_in_flight;
  log_->IssueTokens(connection.user, packet.count.value_or(0), now_.wall_ms,
                    [this, id, rid_json = packet.rid_json](const Status& status, std::vector<std::string> tokens) {
                      Connection* asking = Find(id);
                      if (asking == nullptr) return;
                      ReadDone(*asking);
                      if (status.ok()) return WriteTokens(rid_json, tokens, Out(*asking));
                      SendReadError(*asking, status, rid_json);
                    });
}

void Engine::ChangeMembers(Connection& connection, Packet packet, std::optional<bool> authorised) {
  Command command;
  command.kind = CommandKind::kMembers;
  switch (packet.type) {
    case PacketType::kAdd:
      command.action = MembersAction::kAdd;
      break;
    case PacketType::kRemove:
      command.action = MembersAction::kRemove;
      break;
    case PacketType::kLeave:
      command.action = MembersAction::kLeave;
      break;
    default:
      command.action = MembersAction::kCreate;
  }
  command.conv = std::move(packet.conv);
  command.members = std::move(packet.members);
  command.history_all = packet.history_all;
  command.authorised = authorised;
  if (connection.application && connection.user.empty()) {
    command.user = kSystemUser;
    command.authorised = true;
  }
  Submit(connection, std::move(command),
         {.then = [this, rid_json = packet.rid_json](Connection* asking, const Command& done, Outcome& outcome) {
           AnswerMembers(asking, done, outcome, rid_json);
         }});
}

void Engine::AnswerMembers(Connection* connection, const Command& command, Outcome& outcome,
                           std::string_view rid_json) {
  if (connection != nullptr) {
    if (outcome.code == Code::kOk) {
      WriteOk(rid_json, Out(*connection));
    } else {
      SendError(*connection,
                {.code = outcome.code, .message = outcome.message, .rid_json = rid_json, .retry_ms = outcome.retry_ms});
    }
  }
  if (outcome.code != Code::kOk || outcome.seq == 0 || outcome.audience == nullptr) return;
  Delivery delivery;
  delivery.message = {.conv = command.conv,
                      .epoch = outcome.epoch,
                      .seq = outcome.seq,
                      .mid = outcome.mid,
                      .from = "system",
                      .device = "system",
                      .id = std::to_string(outcome.mid),
                      .type = "system.members",
                      .body = outcome.body,
                      .at_ms = outcome.at_ms};
  delivery.audience = outcome.audience;
  delivery.added = outcome.added;
  Accepted(std::move(delivery), outcome.removed);
}

}  // namespace everyonce
