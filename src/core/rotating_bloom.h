#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string_view>

#include "core/bloom.h"
#include "core/status.h"

namespace everyonce {

struct RotatingBloomOptions {
  uint64_t capacity = 0;  // keys within one window
  double error_rate = 0;  // of all generations together
  int64_t window_ms = 0;
  uint32_t slices = 4;   // generations a window is cut into: memory and false positives go with slices + 1
  size_t max_bytes = 0;  // 0: four times what `capacity` needs
  uint64_t seed = 0;
};

// A Bloom filter that forgets (semantics g-4): generations by time, the newest takes what is added and all are asked. A
// generation goes when its youngest key is older than the window, so that within the window no added key is ever
// denied. Under flood more generations come, up to the bound in bytes; from there on the newest is overfilled, which
// costs false positives and is told (`saturated`), and the window is never shortened. Time is passed in, and a step
// back is ignored.
class RotatingBloom {
 public:
  // kBadRequest naming the option, or kUnavailable: no memory.
  static Status Make(const RotatingBloomOptions& options, std::unique_ptr<RotatingBloom>* filter);

  uint64_t Hash(std::string_view key) const { return BloomFilter::Hash(key, options_.seed); }
  // True: surely not added within the window. It is taken into the newest generation in any case, also where it may be
  // in an older one: what an older one seems to hold may be a false positive, or be forgotten sooner.
  bool Add(uint64_t hash, int64_t now_ms);
  bool Has(uint64_t hash, int64_t now_ms);
  void Prefetch(uint64_t hash) const;

  struct Stats {
    uint64_t items = 0;  // in all generations; a key that was added again later counts again
    size_t generations = 0;
    size_t bytes = 0;  // of the generations
    double estimated_error_rate = 0;
    bool saturated = false;  // the newest generation holds more than it is made for, and there is no room for another
  };
  Stats GetStats(int64_t now_ms);
  // All memory that it has, with the empty generation that it keeps.
  size_t bytes() const;
  const RotatingBloomOptions& options() const { return options_; }

  // Little-endian: "EOrotat1", version u32, generations u32, capacity u64, error rate f64, window i64, slices u64,
  // bound u64, seed u64, XXH3 of these 64 bytes and of all behind u64; then for each generation, the oldest first, the
  // ages of its beginning and of its youngest key in ms i64, and its filter. Times are kept as ages: what passes
  // between writing and reading does not count, so that keys are remembered longer rather than shorter.
  size_t SerializedBytes() const;
  void SerializeTo(uint8_t* out) const;
  static Status Parse(std::string_view bytes, int64_t now_ms, std::unique_ptr<RotatingBloom>* filter);

 private:
  struct Generation {
    std::unique_ptr<BloomFilter> filter;
    int64_t began_ms = 0;
    int64_t youngest_ms = 0;
  };

  explicit RotatingBloom(const RotatingBloomOptions& options) : options_(options) {}
  Status Size();
  void Advance(int64_t now_ms);
  bool MakeSpare();
  bool Rotate();

  RotatingBloomOptions options_;
  uint64_t generation_capacity_ = 0;
  double generation_error_rate_ = 0;
  uint64_t generation_blocks_ = 0;
  int64_t now_ms_ = INT64_MIN;
  std::deque<Generation> generations_;  // the oldest first
  // Empty; from the start, and kept when a generation goes: so that there is always memory for one.
  std::unique_ptr<BloomFilter> spare_;
};

}  // namespace everyonce
