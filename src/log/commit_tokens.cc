// Tokens: ids that the server issued, each for one message (protocol.md, Tokens). The claim is part of the group that
// stores the message, so a token is used exactly where its message is stored.

#include "core/message_token.h"
#include "log/commit.h"

namespace everyonce {
namespace {

bool IsToBeToken(const Command& command, std::string_view id) {
  return command.token_check == TokenCheck::kRequired ||
         (command.token_check == TokenCheck::kIfToken && LooksLikeToken(id));
}

Outcome JudgeToken(LogContext* context, const Command& command, std::string_view id, uint64_t* stored_at) {
  int64_t expires_ms = 0;
  if (!context->IsGoodToken(command.user, id, &expires_ms)) {
    return Refusal(Code::kTokenInvalid, "the id is no token of yours, or it has run out");
  }
  std::string value;
  bool found = false;
  Status status = context->store().Get(Space::kTokens, id, &value, &found);
  if (!status.ok()) return Unavailable(status);
  if (!found) return {};
  TokenClaim claim;
  if (!TokenClaim::Decode(value, &claim)) {
    return Unavailable(Status::Error(Code::kStoreCorrupt, "no claim of a token"));
  }
  if (!claim.IsOf(command.conv, command.user, command.device, command.n)) {
    return Refusal(Code::kTokenInvalid, "this token was used for another message");
  }
  *stored_at = claim.seq;
  return {};
}

void ClaimToken(LogContext* context, const Command& command, std::string_view id, uint64_t seq) {
  TokenClaim claim;
  if (!IsToBeToken(command, id) || !context->IsGoodToken(command.user, id, &claim.expires_ms)) return;
  claim.conv = command.conv;
  claim.user = command.user;
  claim.device = command.device;
  claim.n = command.n;
  claim.seq = seq;
  context->store().Put(Space::kTokens, std::string(id), claim.Encode());
}

}  // namespace

Outcome JudgeTokens(LogContext* context, const Command& command, uint64_t* stored_at) {
  *stored_at = 0;
  if (command.parts.empty()) {
    if (!IsToBeToken(command, command.id)) return {};
    return JudgeToken(context, command, command.id, stored_at);
  }
  for (const CommandPart& part : command.parts) {
    if (!IsToBeToken(command, part.id)) continue;
    Outcome outcome = JudgeToken(context, command, part.id, stored_at);
    if (outcome.code != Code::kOk) return outcome;
  }
  return {};
}

void ClaimTokens(LogContext* context, const Command& command, uint64_t seq) {
  if (command.token_check == TokenCheck::kNone) return;
  if (command.parts.empty()) return ClaimToken(context, command, command.id, seq);
  for (size_t i = 0; i < command.parts.size(); ++i) ClaimToken(context, command, command.parts[i].id, seq + i);
}

}  // namespace everyonce
