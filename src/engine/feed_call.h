#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "log/log.h"

namespace everyonce {

enum class FeedCallKind : uint8_t { kChange, kTake, kRenew, kLag, kLetters, kGroups };

// What the application asks of the feed, in one call; only the members of its kind are set. Answered by one kAnswer:
//   kChange   {"t":"ok","first"?,"position"?}
//   kTake     {"t":"ok","slices":[{"conv","lease","messages":[msg …]} …],"more"}
//   kRenew    {"t":"ok","lost":[lease …]}
//   kLag      {"t":"ok","messages","oldest","deadLetters","exact"}; oldest: Unix ms, 0: none
//   kLetters  {"t":"ok","letters":[{"message":msg,"attempts","error","at"} …],"more"}
//   kGroups   {"t":"ok","groups":[{"group","at"} …]}
// or {"t":"error","code","message","retry"?}.
struct FeedCall {
  FeedCallKind kind = FeedCallKind::kChange;
  FeedChange change;             // kChange
  FeedQuery query;               // kTake; `now_ms` is the engine's
  bool raw = false;              // kTake: bodies as JSON strings of their text, byte for byte as they were accepted
  std::string group;             // kRenew, kLag, kLetters
  std::vector<uint64_t> leases;  // kRenew
  int64_t lease_ms = 0;          // kRenew
  uint64_t after_mid = 0;        // kLetters
  uint32_t limit = 0;            // kLetters
};

}  // namespace everyonce
