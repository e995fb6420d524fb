#pragma once

#include <cstddef>
#include <cstdint>

namespace everyonce {

// Ids of 64 bits: 0 | 41 bits of milliseconds since the epoch | 10 bits of worker | 12 bits of sequence (the articles'
// Leaf in snowflake mode, semantics b): `mid` of messages, and the class Snowflake that users call. Strictly increasing
// for one generator whatever the clock does, and unique over all as long as no two live generators share a worker. No
// clock and no I/O of its own; a plain value. How far it may run ahead of the clock is SnowflakeIssuer's to decide.
//
// After a restart no id may repeat although the clock may have stepped back meanwhile: the owner durably keeps a mark
// that is at or above last_ms() before an id of it leaves, and passes it as `used_until_ms` to the next generator.
class Snowflake {
 public:
  static constexpr int64_t kEpochMs = 1704067200000;  // 2024-01-01T00:00:00Z. Never change: stored ids depend on it
  static constexpr int64_t kSpanMs = int64_t{1} << 41;
  static constexpr int64_t kMaxMs = kEpochMs + kSpanMs - 1;  // in the year 2093
  static constexpr uint32_t kMaxWorker = (1u << 10) - 1;
  static constexpr uint32_t kMaxSequence = (1u << 12) - 1;
  static constexpr uint32_t kSpread = 100;  // a millisecond begins at a random sequence below this, where asked for

  struct Parts {
    int64_t ms = 0;  // Unix milliseconds
    uint32_t worker = 0;
    uint32_t sequence = 0;
  };

  // The first id has a millisecond above `used_until_ms` (0: no bound). `spread_seed` other than 0: each millisecond
  // begins at a random sequence from 0 to 99, so that ids of a quiet service spread over modulo shards (Leaf's rule);
  // 0: it begins at 0. REQUIRES: worker ≤ kMaxWorker, else its low 10 bits count; 0 ≤ epoch_ms.
  explicit Snowflake(uint32_t worker, int64_t used_until_ms = 0, int64_t epoch_ms = kEpochMs, uint64_t spread_seed = 0);

  // The next id. Its millisecond is `now_ms`, or the last one where the clock stands or has gone back (never waits), or
  // the one after where 4096 ids have had it. 0: no id is left in 41 bits (only a broken clock gets here).
  uint64_t Next(int64_t now_ms);

  // The same for up to `count` ids of milliseconds up to `until_ms`. Returns how many it wrote to `ids`; fewer than
  // asked for: the next one would lie beyond.
  size_t Fill(int64_t now_ms, int64_t until_ms, uint64_t* ids, size_t count);

  // The Unix millisecond of the newest id (before the first: used_until_ms, at least the epoch).
  int64_t last_ms() const { return last_ms_; }
  uint32_t worker() const { return worker_; }
  int64_t epoch_ms() const { return epoch_ms_; }
  int64_t max_ms() const { return epoch_ms_ + kSpanMs - 1; }

  static Parts Decode(uint64_t id, int64_t epoch_ms = kEpochMs);
  // The first id that could have been made at `ms`, for searches by time; clamped to what 41 bits hold.
  static uint64_t FirstAt(int64_t ms);

 private:
  bool Open(int64_t ms, int64_t until_ms);

  uint32_t worker_;
  int64_t epoch_ms_;
  int64_t last_ms_;
  uint64_t random_;                   // 0: sequences begin at 0
  uint32_t sequence_ = kMaxSequence;  // used up: the first id opens a new millisecond
};

}  // namespace everyonce
