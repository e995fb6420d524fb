#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace everyonce {

// The claim machine: who may have the effect of a key, told so that it happens once however often the key is delivered
// (semantics a-2). Pure: the record, the time and the next fence are handed in. It says who may go on; the effect
// itself must compare the fence or hit a unique key at the resource (a-4).
//
// A record whose forget_at_ms has come counts as none; who keeps it removes it some time later.

enum class ClaimPhase : uint8_t { kIssued = 0, kClaimed, kDone, kFailed };

struct ClaimRecord {
  ClaimPhase phase = ClaimPhase::kIssued;
  uint64_t fence = 0;
  uint32_t attempt = 0;
  int64_t lease_until_ms = 0;  // kClaimed
  int64_t forget_at_ms = 0;
  std::string owner;        // unique per attempt; kIssued: whom it was issued to
  std::string fingerprint;  // of what is done under the key; empty: none was told
  std::string result;       // kDone: what was committed; kFailed: the reason

  std::string Encode() const;
  [[nodiscard]] static bool Decode(std::string_view value, ClaimRecord* record);
};

enum class ClaimState : uint8_t {
  // claim
  kAcquired = 0,
  kTakeover,   // the owner before may have half done it
  kHeld,       // a claim repeated by its owner
  kBusy,       // retry_after_ms until the lease runs out
  kDone,       // text: the result
  kFailed,     // text: the reason
  kExhausted,  // no attempt is left; from now on kFailed
  kMismatch,   // the key was used for something else
  kUnknown,    // never issued
  // renew, commit, release
  kRenewed,
  kCommitted,
  kAlready,  // text: the result
  kReleased,
  kFenced,  // another attempt has it; fence: the current one; text: the result, where it is done
  kGone     // nothing is known: neither that it happened nor that it did not
};
// As told: "ACQUIRED" …
std::string_view ClaimStateName(ClaimState state);

struct ClaimAnswer {
  ClaimState state = ClaimState::kGone;
  uint64_t fence = 0;
  uint32_t attempt = 0;
  int64_t retry_after_ms = 0;
  std::string text;
};

struct ClaimRequest {
  std::string owner;
  int64_t lease_ms = 0;
  int64_t keep_ms = 0;        // how long after its lease an unfinished claim is remembered, with its attempts
  std::string fingerprint;    // empty: not compared
  uint32_t max_attempts = 0;  // 0: any number
  bool require_issued = false;
};

// Each takes the record as stored (none: nullopt), changes it where the answer says so, and sets `changed`.
// `next_fence` is above every fence given before, and used up where the answer is kAcquired or kTakeover.
ClaimAnswer Claim(std::optional<ClaimRecord>* record, const ClaimRequest& request, int64_t now_ms, uint64_t next_fence,
                  bool* changed);
ClaimAnswer RenewClaim(std::optional<ClaimRecord>* record, std::string_view owner, uint64_t fence, int64_t lease_ms,
                       int64_t now_ms, bool* changed);
ClaimAnswer CommitClaim(std::optional<ClaimRecord>* record, std::string_view owner, uint64_t fence,
                        std::string_view result, int64_t keep_ms, int64_t now_ms, bool* changed);
// `final`: kFailed with `reason`, kept for keep_ms; else free for the next attempt.
struct ReleaseRequest {
  std::string owner;
  uint64_t fence = 0;
  bool final = false;
  std::string reason;
  int64_t keep_ms = 0;
};
ClaimAnswer ReleaseClaim(std::optional<ClaimRecord>* record, const ReleaseRequest& request, int64_t now_ms,
                         bool* changed);
// False where there is a record already: it stays as it is.
bool IssueClaim(std::optional<ClaimRecord>* record, std::string_view owner, int64_t ttl_ms, int64_t now_ms);

}  // namespace everyonce
