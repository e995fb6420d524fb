#include "core/claim.h"

#include <algorithm>
#include <limits>

#include "core/byte_codec.h"

namespace everyonce {
namespace {

constexpr uint8_t kVersion = 1;

int64_t After(int64_t now_ms, int64_t span_ms) {
  return span_ms > std::numeric_limits<int64_t>::max() - std::max<int64_t>(now_ms, 0)
             ? std::numeric_limits<int64_t>::max()
             : now_ms + span_ms;
}

void ForgetIfDue(std::optional<ClaimRecord>* record, int64_t now_ms) {
  if (record->has_value() && (*record)->forget_at_ms <= now_ms) record->reset();
}

ClaimAnswer Told(ClaimState state, const ClaimRecord& record) {
  return {.state = state, .fence = record.fence, .attempt = record.attempt};
}

ClaimAnswer ToldWithText(ClaimState state, const ClaimRecord& record) {
  ClaimAnswer answer = Told(state, record);
  answer.text = record.result;
  return answer;
}

// Who is late, or was never it: told the fence that counts, and the result where there is one.
ClaimAnswer Fenced(const ClaimRecord& record) {
  return record.phase == ClaimPhase::kDone ? ToldWithText(ClaimState::kFenced, record)
                                           : Told(ClaimState::kFenced, record);
}

// Null, and the answer, where the record is not this attempt's claim.
ClaimRecord* Held(std::optional<ClaimRecord>* record, std::string_view owner, uint64_t fence, int64_t now_ms,
                  ClaimAnswer* answer) {
  ForgetIfDue(record, now_ms);
  if (!record->has_value()) {
    *answer = {.state = ClaimState::kGone};
    return nullptr;
  }
  ClaimRecord& held = **record;
  if (held.phase == ClaimPhase::kClaimed && held.fence == fence && held.owner == owner) return &held;
  *answer = Fenced(held);
  return nullptr;
}

}  // namespace

std::string ClaimRecord::Encode() const {
  std::string bytes;
  ByteWriter writer(&bytes);
  writer.Byte(kVersion);
  writer.Byte(static_cast<uint8_t>(phase));
  writer.Varint(fence);
  writer.Varint(attempt);
  writer.Varint(static_cast<uint64_t>(lease_until_ms));
  writer.Varint(static_cast<uint64_t>(forget_at_ms));
  writer.Bytes(owner);
  writer.Bytes(fingerprint);
  writer.Raw(result);
  return bytes;
}

bool ClaimRecord::Decode(std::string_view value, ClaimRecord* record) {
  ByteReader reader(value);
  if (reader.Byte() != kVersion) return false;
  const uint8_t phase = reader.Byte();
  if (phase > static_cast<uint8_t>(ClaimPhase::kFailed)) return false;
  record->phase = static_cast<ClaimPhase>(phase);
  record->fence = reader.Varint();
  record->attempt = static_cast<uint32_t>(reader.Varint());
  record->lease_until_ms = static_cast<int64_t>(reader.Varint());
  record->forget_at_ms = static_cast<int64_t>(reader.Varint());
  record->owner = reader.Bytes();
  record->fingerprint = reader.Bytes();
  record->result = reader.rest();
  return reader.ok();
}

std::string_view ClaimStateName(ClaimState state) {
  static constexpr std::string_view kNames[] = {"ACQUIRED",  "TAKEOVER",  "HELD",     "BUSY",    "DONE",
                                                "FAILED",    "EXHAUSTED", "MISMATCH", "UNKNOWN", "RENEWED",
                                                "COMMITTED", "ALREADY",   "RELEASED", "FENCED",  "GONE"};
  return kNames[static_cast<size_t>(state)];
}

ClaimAnswer Claim(std::optional<ClaimRecord>* record, const ClaimRequest& request, int64_t now_ms, uint64_t next_fence,
                  bool* changed) {
  *changed = false;
  ForgetIfDue(record, now_ms);
  if (!record->has_value()) {
    if (request.require_issued) return {.state = ClaimState::kUnknown};
    record->emplace();
  }
  ClaimRecord& claim = **record;
  const bool compared = !claim.fingerprint.empty() && !request.fingerprint.empty();
  if (compared && claim.fingerprint != request.fingerprint) return Told(ClaimState::kMismatch, claim);
  if (claim.phase == ClaimPhase::kDone) return ToldWithText(ClaimState::kDone, claim);
  if (claim.phase == ClaimPhase::kFailed) return ToldWithText(ClaimState::kFailed, claim);
  const bool claimed = claim.phase == ClaimPhase::kClaimed;
  if (claimed && claim.lease_until_ms > now_ms) {
    if (claim.owner == request.owner) return Told(ClaimState::kHeld, claim);
    ClaimAnswer busy = Told(ClaimState::kBusy, claim);
    busy.retry_after_ms = claim.lease_until_ms - now_ms;
    return busy;
  }
  *changed = true;
  if (request.max_attempts != 0 && claim.attempt >= request.max_attempts) {
    claim.phase = ClaimPhase::kFailed;
    claim.result = "exhausted";
    claim.forget_at_ms = After(now_ms, request.keep_ms);
    return ToldWithText(ClaimState::kExhausted, claim);
  }
  claim.phase = ClaimPhase::kClaimed;
  claim.fence = next_fence;
  ++claim.attempt;
  claim.owner = request.owner;
  if (!request.fingerprint.empty()) claim.fingerprint = request.fingerprint;
  claim.lease_until_ms = After(now_ms, request.lease_ms);
  claim.forget_at_ms = After(claim.lease_until_ms, request.keep_ms);
  return Told(claimed ? ClaimState::kTakeover : ClaimState::kAcquired, claim);
}

ClaimAnswer RenewClaim(std::optional<ClaimRecord>* record, std::string_view owner, uint64_t fence, int64_t lease_ms,
                       int64_t now_ms, bool* changed) {
  *changed = false;
  ClaimAnswer answer;
  ClaimRecord* held = Held(record, owner, fence, now_ms, &answer);
  if (held == nullptr) return answer;
  *changed = true;
  const int64_t keep_ms = held->forget_at_ms - held->lease_until_ms;
  held->lease_until_ms = After(now_ms, lease_ms);
  held->forget_at_ms = After(held->lease_until_ms, keep_ms);
  return Told(ClaimState::kRenewed, *held);
}

ClaimAnswer CommitClaim(std::optional<ClaimRecord>* record, std::string_view owner, uint64_t fence,
                        std::string_view result, int64_t keep_ms, int64_t now_ms, bool* changed) {
  *changed = false;
  ClaimAnswer answer;
  ClaimRecord* held = Held(record, owner, fence, now_ms, &answer);
  if (held == nullptr) {
    const bool done = record->has_value() && (*record)->phase == ClaimPhase::kDone && (*record)->fence == fence;
    return done ? ToldWithText(ClaimState::kAlready, **record) : answer;
  }
  *changed = true;
  held->phase = ClaimPhase::kDone;
  held->result = result;
  held->forget_at_ms = After(now_ms, keep_ms);
  return Told(ClaimState::kCommitted, *held);
}

ClaimAnswer ReleaseClaim(std::optional<ClaimRecord>* record, const ReleaseRequest& request, int64_t now_ms,
                         bool* changed) {
  *changed = false;
  ClaimAnswer answer;
  ClaimRecord* held = Held(record, request.owner, request.fence, now_ms, &answer);
  if (held == nullptr) return answer;
  *changed = true;
  // The attempts are remembered at least as long as the claim would have been.
  held->forget_at_ms =
      request.final ? After(now_ms, request.keep_ms) : std::max(held->forget_at_ms, After(now_ms, request.keep_ms));
  held->phase = request.final ? ClaimPhase::kFailed : ClaimPhase::kIssued;
  held->result = request.final ? request.reason : std::string();
  return Told(ClaimState::kReleased, *held);
}

bool IssueClaim(std::optional<ClaimRecord>* record, std::string_view owner, int64_t ttl_ms, int64_t now_ms) {
  ForgetIfDue(record, now_ms);
  if (record->has_value()) return false;
  record->emplace();
  (*record)->owner = owner;
  (*record)->forget_at_ms = After(now_ms, ttl_ms);
  return true;
}

}  // namespace everyonce
