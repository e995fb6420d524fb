#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/limits.h"
#include "core/message.h"

namespace everyonce {

// Names the histories of one conversation's log: which epoch each stretch of seqs was numbered in (protocol.md, Epochs;
// semantics c). Seqs are dense and go on over an epoch change; what an epoch had above the next one's first seq is
// void. Pure.
class EpochTable {
 public:
  struct Entry {
    uint64_t epoch = 0;
    uint64_t first_seq = 0;
    bool operator==(const Entry&) const = default;
  };

  // The name of a history that begins at `now_ms`: new even after a wipe, and above all that came before.
  // `random`: its low 10 bits count.
  static uint64_t NewEpoch(uint64_t last_known, int64_t now_ms, uint64_t random);

  // Begins `epoch` with the next message, `first_seq`. Forgets the oldest entry beyond kMaxEpochs.
  // REQUIRES: epoch > current(); first_seq ≥ that of the current one.
  void Begin(uint64_t epoch, uint64_t first_seq);

  // The newest epoch; 0: none has begun.
  uint64_t current() const { return entries_.empty() ? 0 : entries_.back().epoch; }

  // The epoch that `seq` was numbered in, or the oldest one that is still known.
  uint64_t EpochOf(uint64_t seq) const;

  // The highest seq of `epoch` that is still the same message, given the log's head. False: an unknown history.
  bool KeepOf(uint64_t epoch, uint64_t head, uint64_t* keep) const;

  // What became of a client's position. `keep` is set to its seq (ok), what survived of it (truncated), or 0 (reset).
  Resume Judge(uint64_t epoch, uint64_t seq, uint64_t head, uint64_t* keep) const;

  const std::vector<Entry>& entries() const { return entries_; }

 private:
  std::vector<Entry> entries_;  // ascending in both
};

}  // namespace everyonce
