#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace everyonce {

struct SeqRange {
  uint64_t from = 0;
  uint64_t to = 0;  // inclusive

  bool operator==(const SeqRange&) const = default;
};

// When a gap is told: first a time after the first arrival behind it, then again for as long as it is there, the wait
// doubling up to half a minute (semantics e: retry with back-off for ever).
class GapTimer {
 public:
  explicit GapTimer(int64_t timeout_ms) : timeout_ms_(timeout_ms), wait_ms_(timeout_ms) {}

  void Arm(int64_t now_ms) {
    if (deadline_ms_ == INT64_MAX) deadline_ms_ = now_ms + timeout_ms_;
  }
  void Disarm() {
    deadline_ms_ = INT64_MAX;
    wait_ms_ = timeout_ms_;
  }
  // True, and the next time is set: it is due.
  bool TakeDue(int64_t now_ms);
  int64_t deadline_ms() const { return deadline_ms_; }

 private:
  static constexpr int64_t kMaxWaitMs = 30000;

  int64_t timeout_ms_;
  int64_t wait_ms_;
  int64_t deadline_ms_ = INT64_MAX;
};

struct StreamReorderOptions {
  uint64_t start = 1;           // the first seq that is expected
  uint32_t max_gap = 1024;      // how far behind the next one a seq may lie to be held
  size_t max_bytes = 4u << 20;  // of what is held
  int64_t timeout_ms = 500;     // from the first arrival out of order until the gap is told
};

// The receiver's buffer (semantics e): numbered arrivals in any order come out once each and in order. It decides over
// numbers; what they stand for is kept by its owner under the same number. Pure: time is passed in, and never goes
// back.
class StreamReorder {
 public:
  enum class Verdict : uint8_t {
    kDeliver,    // [its number, next()) is deliverable now: all that the owner has of it, in order
    kHeld,       // the owner keeps it
    kDuplicate,  // delivered or held already, or in a hole
    kBeyond,     // max_gap or more behind next(): not kept, and part of the gap
    kNoRoom,     // max_bytes are held: not kept, and part of the gap
  };

  static constexpr uint32_t kMaxGap = 1u << 20;
  static constexpr size_t kMaxGapsTold = 64;

  // REQUIRES: 1 ≤ max_gap ≤ kMaxGap.
  explicit StreamReorder(const StreamReorderOptions& options)
      : options_(options), timer_(options.timeout_ms), next_(options.start) {}

  Verdict Push(uint64_t seq, size_t bytes, int64_t now_ms);

  // Nothing will ever come in [from, to] that is not there yet: an authority says so. True: next() has moved, and all
  // that the owner has below it is deliverable, in order. Of a hole that begins behind next() only what lies within
  // max_gap is remembered; false and *is_beyond: the rest is not.
  bool Hole(uint64_t from, uint64_t to, int64_t now_ms, bool* is_beyond);

  // The gaps to tell, the lowest first and at most kMaxGapsTold; none: it is not time, or there is no gap.
  std::vector<SeqRange> DueGaps(int64_t now_ms);
  // When DueGaps has something to tell; INT64_MAX: there is no gap.
  int64_t NextDeadline() const { return timer_.deadline_ms(); }

  uint64_t next() const { return next_; }
  size_t held() const { return held_; }
  size_t bytes() const { return bytes_; }

 private:
  enum : uint8_t { kEmpty, kHeldSlot, kHoleSlot };
  struct Slot {
    uint32_t bytes = 0;  // saturated
    uint8_t state = kEmpty;
  };

  Slot& At(uint64_t seq) { return slots_[seq % options_.max_gap]; }
  bool IsWithin(uint64_t seq) const { return seq - next_ < options_.max_gap; }
  void Release(Slot* slot);
  void Settle(bool moved, int64_t now_ms);

  StreamReorderOptions options_;
  GapTimer timer_;
  uint64_t next_;
  uint64_t top_ = 0;         // one above the highest that was held, refused or told as a hole; at most next_: none
  std::vector<Slot> slots_;  // a ring over seq, made with the first arrival out of order
  size_t held_ = 0;
  size_t bytes_ = 0;
};

}  // namespace everyonce
