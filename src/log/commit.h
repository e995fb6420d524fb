#pragma once

#include <string>
#include <string_view>

#include "log/log.h"
#include "log/log_context.h"
#include "log/refusal.h"

namespace everyonce {

// The deciders: each takes one command of a group, in order, and answers it. What they change is in the caches and
// staged in the store, provisional until the group is written. A decider that answers with an error has changed nothing
// (a final nack apart, which uses its n). The rules are protocol.md's, in its order.

Outcome DecideSend(LogContext* context, const Command& command);
Outcome DecideSkip(LogContext* context, const Command& command);
Outcome DecideMembers(LogContext* context, const Command& command);
Outcome DecideGot(LogContext* context, const Command& command);
Outcome DecideRead(LogContext* context, const Command& command);
Outcome DecideDevice(LogContext* context, const Command& command);
Outcome DecideFeed(LogContext* context, const Command& command);

// Shared by them.
// True where the connection's incarnation is older than one that is known of the device (kStaleDevice in *outcome), or
// the record could not be read. A newer one is noted, durably with the group.
bool RefusedAsStale(LogContext* context, const Command& command, Outcome* outcome);
// Stores `message` as the conversation's next one and fills the outcome. Begins a direct conversation that has none
// yet.
Outcome Store(LogContext* context, Conversation* conversation, Message message);
// Judges the ids of a message, or of all parts of a package, as its token_check says (protocol.md, Tokens): kOk,
// kTokenInvalid or kUnavailable. *stored_at: the seq at which the message was stored under its token before, which may
// be known longer than by the window; 0: none.
Outcome JudgeTokens(LogContext* context, const Command& command, uint64_t* stored_at);
// Notes that the message stored at `seq` has used its tokens, which JudgeTokens let pass.
void ClaimTokens(LogContext* context, const Command& command, uint64_t seq);

}  // namespace everyonce
