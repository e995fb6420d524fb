#pragma once

#include <cstddef>
#include <cstdint>

#include "core/snowflake.h"

namespace everyonce {

// What a generator may do with the clock.
struct SnowflakeRules {
  // A clock that has stepped back by up to this is waited out: ids keep the newest time until the clock is there again.
  // A larger step is refused. At least as long as a reservation is made ahead, or a restart waits for the rest of it.
  int64_t max_backward_ms = 5000;
  // How far ids may borrow from the future where more than 4096 are wanted in a millisecond. Bounds what a restart
  // without a reservation could repeat.
  int64_t max_ahead_ms = 1000;
};

// What a lease grants; both may be moved at any time, and only the owner of the lease moves them. As they are here,
// there is no lease.
struct SnowflakeBounds {
  // No id's time is later than this (Unix ms, inclusive): the owner has written it durably for this worker before, and
  // the next owner of the worker begins above it (semantics b, time reservation).
  int64_t reserved_until_ms = INT64_MAX;
  // On a monotonic clock: from here on another process may hold the worker. The owner subtracts its margin for pauses.
  int64_t deadline_ms = INT64_MAX;
};

// The clock rules around a Snowflake (semantics b, snowflake mode). Pure: both clocks are passed in.
//
//   const auto result = issuer.Issue(wall_ms, ids, count);      // make them,
//   if (!issuer.LeaseHolds(monotonic_ms)) …                     // and only then, with the clock read anew, give them
//   out
class SnowflakeIssuer {
 public:
  enum class Verdict : uint8_t {
    kIssued,
    kClockBackwards,  // by more than max_backward_ms; wait_ms: how long until ids come again
    kExhausted,       // max_ahead_ms is borrowed; wait_ms until there is room
    kUnreserved,      // the reservation is used up: extend it
    kOutOfRange,      // the clock is before the epoch, or beyond 41 bits
  };
  struct Result {
    Verdict verdict = Verdict::kIssued;
    size_t issued = 0;  // written to `ids`, also where the verdict is not kIssued: go on behind them, or forget them
    int64_t wait_ms = 0;
    int64_t backward_ms = 0;  // how far the clock is behind where it has been
  };

  // Where `ids` was made with used_until_ms, the clock counts as having been there.
  SnowflakeIssuer(Snowflake ids, SnowflakeRules rules) : ids_(ids), rules_(rules), newest_now_ms_(ids.last_ms()) {}

  // Makes `count` ids. Ids issued are never made again, whether or not they are used.
  Result Issue(int64_t now_ms, uint64_t* ids, size_t count);

  // Whether ids made before `monotonic_ms` may be given out.
  bool LeaseHolds(int64_t monotonic_ms) const { return monotonic_ms < bounds_.deadline_ms; }
  void SetBounds(SnowflakeBounds bounds) { bounds_ = bounds; }
  const SnowflakeBounds& bounds() const { return bounds_; }

  const Snowflake& ids() const { return ids_; }
  uint64_t issued() const { return issued_; }
  // Times that the clock was seen behind where it had been.
  uint64_t steps_back() const { return steps_back_; }

 private:
  Snowflake ids_;
  SnowflakeRules rules_;
  SnowflakeBounds bounds_;
  int64_t newest_now_ms_;  // the latest the clock has ever said
  uint64_t issued_ = 0;
  uint64_t steps_back_ = 0;
  bool is_behind_ = false;
};

}  // namespace everyonce
