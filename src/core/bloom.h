#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "core/status.h"

namespace everyonce {

// A split-block Bloom filter (semantics g; Putze, Sanders, Singler, "Cache-, Hash- and Space-Efficient Bloom Filters",
// with the blocks of Apache Parquet): a key sets one bit in each of the eight words of one block of 256 bits, so that a
// look-up costs one cache line. It answers "maybe there" or "surely not there". Keys are hashed by XXH3 under a seed of
// the filter's own, so that nobody can choose keys that are all "maybe".
class BloomFilter {
 public:
  static constexpr size_t kBlockBytes = 32;
  static constexpr uint64_t kMaxBlocks = uint64_t{1} << 25;  // 1 GiB: half a thousand million keys at 0.1 %
  static constexpr size_t kHeaderBytes = 64;

  // The chance that a key which was never added is found in a filter that holds `keys_per_block` random keys a block.
  static double ErrorRate(double keys_per_block);
  // The fewest blocks with which a filter of `capacity` keys keeps `error_rate`; 0: more than kMaxBlocks.
  static uint64_t BlocksFor(uint64_t capacity, double error_rate);
  // An empty filter; null: there is no memory for it. REQUIRES: 1 ≤ blocks ≤ kMaxBlocks.
  static std::unique_ptr<BloomFilter> Make(uint64_t capacity, double error_rate, uint64_t blocks, uint64_t seed);

  static uint64_t Hash(std::string_view key, uint64_t seed);
  uint64_t Hash(std::string_view key) const { return Hash(key, seed_); }

  // True: it was surely not there before. `hash` is of Hash with this filter's seed.
  bool Add(uint64_t hash);
  bool Has(uint64_t hash) const;
  void Clear();
  // Asks for the memory that Add or Has of this hash will need.
  void Prefetch(uint64_t hash) const { __builtin_prefetch(Block(hash), 1); }

  // As it is filled now: what share of keys that were never added would be found. Looks at some 65,536 blocks.
  double EstimatedErrorRate() const;
  uint64_t items() const { return items_; }  // adds that were new to it: at most the number of different keys
  uint64_t capacity() const { return capacity_; }
  double error_rate() const { return error_rate_; }
  uint64_t seed() const { return seed_; }
  size_t bytes() const { return blocks_ * kBlockBytes; }

  // Little-endian: "EObloom1", version u32, 0 u32, seed, blocks, items, capacity u64, error rate f64, XXH3 of these 56
  // bytes and of the blocks u64; then the blocks.
  size_t SerializedBytes() const { return kHeaderBytes + bytes(); }
  void SerializeTo(uint8_t* out) const;  // SerializedBytes() of them
  // Takes what SerializeTo wrote; kBadFilter, saying why, for anything else.
  static Status Parse(std::string_view bytes, std::unique_ptr<BloomFilter>* filter);

 private:
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };

  BloomFilter() = default;
  uint32_t* Block(uint64_t hash) const { return words_ + 8 * ((hash >> 32) * blocks_ >> 32); }

  std::unique_ptr<void, Free> memory_;
  uint32_t* words_ = nullptr;  // within memory_, on a cache line
  uint64_t blocks_ = 0;
  uint64_t capacity_ = 0;
  double error_rate_ = 0;
  uint64_t seed_ = 0;
  uint64_t items_ = 0;
};

}  // namespace everyonce
