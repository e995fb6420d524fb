// Message tokens: taken before the messages that come under them are decided, for they lie in slots of their own; then
// told where the message was stored, or given back. A token that a process took and did not come back to stays its
// message's, which the same again may use, until it runs out.

#include <algorithm>
#include <utility>

#include "redis/redis_group.h"
#include "redis/redis_keys.h"
#include "redis/redis_log.h"

namespace everyonce {
namespace {

Outcome Invalid(const char* why) { return Refusal(Code::kTokenInvalid, why); }

std::vector<std::string> ArgumentsOf(const char* act, const Command& command) {
  return {act, command.conv, command.user, command.device, std::to_string(command.n)};
}

}  // namespace

void RedisLog::OpenTokens(std::function<void(RedisStatus)> done) {
  if (!options_.tokens || signer_) return done({});
  if (!options_.token_key.empty()) {
    signer_.emplace(options_.token_key);
    return done({});
  }
  // Made once, and the same for all processes.
  std::string made;
  for (int i = 0; i < 4; ++i) {
    const std::string digits = std::to_string(options_.random ? options_.random() : 0);
    made += std::string(20 - digits.size(), '0') + digits;
  }
  const std::string key = TokenKeyKey();
  client_.Command(SlotOfKey(key), {"SET", key, made, "NX"}, true, [](const RedisResult&) {});
  client_.Command(SlotOfKey(key), {"GET", key}, true, [this, done = std::move(done)](RedisResult result) {
    if (!result.status.ok()) return done(std::move(result.status));
    if (result.reply.text.size() < kMinTokenKeyBytes) {
      return done({RedisCode::kRefused, "the key of message tokens is too short"});
    }
    signer_.emplace(result.reply.text);
    done({});
  });
}

void RedisLog::IssueTokens(std::string_view user, size_t count, int64_t now_ms, TokensDone done) {
  const TicketPointer ticket = TakeTicket();
  std::vector<std::string> tokens;
  Status status;
  if (!signer_) status = Status::Error(Code::kUnsupported, "this server has no message tokens");
  now_ms_ = std::max(now_ms_, now_ms);
  while (status.ok() && tokens.size() < count) {
    const uint64_t random = options_.random ? options_.random() : 0;
    tokens.push_back(signer_->Issue(user, now_ms_ + options_.token_ttl_ms, random, ++tokens_issued_));
  }
  Settle(ticket,
         [done = std::move(done), status, tokens = std::move(tokens)]() mutable { done(status, std::move(tokens)); });
}

// What speaks against a new message, in protocol.md's order: size and type, its token, then authorize.
Outcome RedisLog::RefusalFor(const GroupPointer& group, size_t index) const {
  const Command& command = (*group->commands)[index];
  Outcome refused = Refusal(command.refused, command.refused_message);
  if (command.refused != Code::kOk && command.refused != Code::kForbidden) return refused;
  const auto token = group->token_refusals.find(index);
  return token == group->token_refusals.end() ? refused : token->second;
}

void RedisLog::TakeTokens(const GroupPointer& group, size_t end) {
  if (!group->failure.ok()) return FinishGroup(group);
  group->tokens.clear();
  group->token_refusals.clear();
  group->parts = 1;
  group->then = [this, group, end] { RunWave(group, end); };
  for (size_t i = group->next; i < end; ++i) {
    const Command& command = (*group->commands)[i];
    const bool part = !command.package_id.empty() && command.parts.empty();
    if (command.kind != CommandKind::kSend || command.token_check == TokenCheck::kNone || part) continue;
    if (command.refused != Code::kOk && command.refused != Code::kForbidden) continue;
    if (command.parts.empty()) {
      TakeToken(group, i, command.id);
    } else {
      for (const CommandPart& each : command.parts) TakeToken(group, i, each.id);
    }
  }
  WavePartDone(group);
}

void RedisLog::TakeToken(const GroupPointer& group, size_t index, const std::string& id) {
  const Command& command = (*group->commands)[index];
  if (command.token_check == TokenCheck::kIfToken && !LooksLikeToken(id)) return;
  int64_t expires_ms = 0;
  if (!signer_ || !signer_->Verify(command.user, id, &expires_ms) || group->now_ms >= expires_ms) {
    group->token_refusals.emplace(index, Invalid("the id is no token of yours, or it has run out"));
    return;
  }
  ++group->parts;
  std::vector<std::string> arguments = ArgumentsOf("take", command);
  arguments.push_back(std::to_string(expires_ms - group->now_ms + TokenClaim::kMarginMs));
  Run("token", {TokenUseKey(id)}, arguments, [this, group, index, id](const RedisResult& result) {
    const std::string& word = TextAt(result.reply, 0);
    group->links.insert(result.link);
    if (!result.status.ok()) group->failure = result.status;
    if (word == "USED") group->token_refusals.emplace(index, Invalid("this token was used for another message"));
    if (word == "NEW" || word == "SAME") {
      TokenUse use{.id = id, .fresh = word == "NEW"};
      use.seq = NumberAt(result.reply, 1);
      use.epoch = NumberAt(result.reply, 2);
      use.mid = NumberAt(result.reply, 3);
      use.at_ms = static_cast<int64_t>(NumberAt(result.reply, 4));
      // The window is over and the token is not: it still tells.
      if (use.seq != 0 && (*group->commands)[index].n == 0) {
        group->token_refusals.emplace(index, Refusal(Code::kTokenInvalid, kStoredUnderToken));
      }
      group->tokens[index].push_back(std::move(use));
    }
    WavePartDone(group);
  });
}

// The wave is decided. Nothing is answered before the tokens are told.
void RedisLog::SettleTokens(const GroupPointer& group) {
  if (!group->failure.ok() || group->tokens.empty()) return StartWave(group);
  group->parts = 1;
  group->then = [this, group] { StartWave(group); };
  for (auto& [index, uses] : group->tokens) {
    const Command& command = (*group->commands)[index];
    Outcome& outcome = group->outcomes[index];
    if (outcome.code == Code::kTokenInvalid && outcome.message == kStoredUnderToken) {
      outcome = {};
      outcome.duplicate = true;
      outcome.seq = uses[0].seq;
      outcome.epoch = uses[0].epoch;
      outcome.mid = uses[0].mid;
      outcome.at_ms = uses[0].at_ms;
      ++counters_.duplicates;
      continue;
    }
    const bool stored = outcome.code == Code::kOk && outcome.seq != 0;
    const bool unknown = outcome.code == Code::kUnavailable;
    for (size_t i = 0; i < uses.size(); ++i) {
      const TokenUse& use = uses[i];
      if (unknown || use.seq != 0 || (!stored && !use.fresh)) continue;
      std::vector<std::string> arguments = ArgumentsOf(stored ? "stored" : "give_back", command);
      if (stored) {
        const uint64_t mid = i < outcome.mids.size() ? outcome.mids[i] : outcome.mid;
        for (const uint64_t number : {outcome.seq + i, outcome.epoch, mid, static_cast<uint64_t>(outcome.at_ms)}) {
          arguments.push_back(std::to_string(number));
        }
      }
      ++group->parts;
      Run("token", {TokenUseKey(use.id)}, arguments, [this, group](const RedisResult& result) {
        group->links.insert(result.link);
        if (!result.status.ok()) group->failure = result.status;
        WavePartDone(group);
      });
    }
  }
  WavePartDone(group);
}

}  // namespace everyonce
