#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/bloom.h"
#include "core/status.h"
#include "log/kv.h"

namespace everyonce {

struct DedupFilterStats {
  bool warm = false;
  uint64_t lookups = 0;          // keys that were asked for
  uint64_t saved = 0;            // surely not there: not looked up in the store
  uint64_t false_positives = 0;  // looked up, and not there
  uint64_t bytes = 0;
};

// A Bloom filter before Dedup's keys (semantics g): what it surely does not hold need not be looked up. It may say so
// only since this process alone has the store, and once the filter was rebuilt from all that is stored: until then it
// is cold, and everything is looked up. It is rebuilt in slices, beside other work, when the first key is asked for,
// and again, larger, when it has taken more keys than it is made for; that also drops the keys that have expired.
//
// What is added is never taken back: a group that fails leaves it with too many keys, never with too few.
class DedupFilter {
 public:
  // `seed`: unknown to others, so that nobody can choose keys that are all "maybe" (g-6).
  explicit DedupFilter(uint64_t seed, uint64_t capacity = 65536) : seed_(seed), capacity_(capacity) {}

  // False: the key is surely not stored.
  bool MaySee(std::string_view key);
  // What the look-up found after MaySee was true.
  void Looked(bool found) { stats_.false_positives += warm() && !found ? 1 : 0; }
  // Before the key is visible to anyone else.
  void Remember(std::string_view key);

  // Whether slices are due.
  bool building() const { return next_ != nullptr; }
  // Takes in at most `max_keys` of what is stored under `prefix`.
  Status Slice(Kv* kv, std::string_view prefix, size_t max_keys);

  DedupFilterStats stats() const;

 private:
  static constexpr double kErrorRate = 0.01;
  static constexpr uint64_t kMaxCapacity = uint64_t{1} << 26;  // 84 MiB; beyond, it errs more often

  bool warm() const { return current_ != nullptr; }
  void Begin(uint64_t capacity);

  uint64_t seed_;
  uint64_t capacity_;
  std::unique_ptr<BloomFilter> current_;  // null: cold
  std::unique_ptr<BloomFilter> next_;     // being built; takes all that is added meanwhile
  std::string from_;                      // of the store: what is behind is not in next_ yet
  DedupFilterStats stats_;
};

}  // namespace everyonce
