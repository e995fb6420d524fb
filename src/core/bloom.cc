#include "core/bloom.h"

#define XXH_INLINE_ALL  // short keys: the call would cost as much as the hash
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace everyonce {
namespace {

static_assert(std::endian::native == std::endian::little, "filters are written as they lie in memory");

constexpr char kMagic[8] = {'E', 'O', 'b', 'l', 'o', 'o', 'm', '1'};
constexpr uint32_t kVersion = 1;
constexpr size_t kCacheLine = 64;
constexpr size_t kSampledBlocks = 65536;
// Odd numbers that send the low half of a hash to eight independent bit positions (semantics g; the Parquet format's).
constexpr uint32_t kSalts[8] = {0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d,
                                0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31};

uint32_t Bit(uint64_t hash, int word) { return 1u << (static_cast<uint32_t>(hash) * kSalts[word] >> 27); }

// The first 56 bytes of the header as they are stored.
struct Header {
  char magic[8];
  uint32_t version;
  uint32_t zero;
  uint64_t seed;
  uint64_t blocks;
  uint64_t items;
  uint64_t capacity;
  double error_rate;
};
static_assert(sizeof(Header) + sizeof(uint64_t) == BloomFilter::kHeaderBytes);

uint64_t Checksum(const Header& header, const void* blocks, size_t bytes) {
  return XXH3_64bits_withSeed(blocks, bytes, XXH3_64bits(&header, sizeof header));
}

Status Bad(const char* why) {
  return Status::Error(Code::kBadFilter, std::string("the filter can not be read: ") + why);
}

}  // namespace

// A block gets a Poisson-distributed number of keys; j of them leave a given word's bit clear with (31/32)^j.
double BloomFilter::ErrorRate(double keys_per_block) {
  if (!(keys_per_block > 0)) return 0;
  const double spread = 12 * std::sqrt(keys_per_block);
  const auto from = static_cast<int64_t>(std::max(0.0, keys_per_block - spread));
  const auto to = static_cast<int64_t>(keys_per_block + spread) + 64;
  double sum = 0;
  for (int64_t keys = from; keys <= to; ++keys) {
    const auto j = static_cast<double>(keys);
    const double chance = std::exp(j * std::log(keys_per_block) - keys_per_block - std::lgamma(j + 1));
    sum += chance * std::pow(1 - std::pow(31.0 / 32, j), 8);
  }
  return std::min(sum, 1.0);
}

uint64_t BloomFilter::BlocksFor(uint64_t capacity, double error_rate) {
  const auto keys = static_cast<double>(capacity);
  // A word's 32 bits are full at some 200 keys a block; beyond that the sum is 1 and need not be made.
  const auto keeps = [&](uint64_t blocks) {
    const double keys_per_block = keys / static_cast<double>(blocks);
    return keys_per_block < 1000 && ErrorRate(keys_per_block) <= error_rate;
  };
  if (!keeps(kMaxBlocks)) return 0;
  uint64_t too_few = 0;
  uint64_t enough = kMaxBlocks;
  while (enough - too_few > 1) {
    const uint64_t middle = too_few + (enough - too_few) / 2;
    (keeps(middle) ? enough : too_few) = middle;
  }
  return enough;
}

std::unique_ptr<BloomFilter> BloomFilter::Make(uint64_t capacity, double error_rate, uint64_t blocks, uint64_t seed) {
  std::unique_ptr<BloomFilter> filter(new BloomFilter);
  filter->memory_.reset(std::calloc(blocks * kBlockBytes + kCacheLine, 1));
  if (filter->memory_ == nullptr) return nullptr;
  void* aligned = filter->memory_.get();
  size_t space = blocks * kBlockBytes + kCacheLine;
  filter->words_ = static_cast<uint32_t*>(std::align(kCacheLine, blocks * kBlockBytes, aligned, space));
  filter->blocks_ = blocks;
  filter->capacity_ = capacity;
  filter->error_rate_ = error_rate;
  filter->seed_ = seed;
  return filter;
}

uint64_t BloomFilter::Hash(std::string_view key, uint64_t seed) {
  return XXH3_64bits_withSeed(key.data(), key.size(), seed);
}

bool BloomFilter::Add(uint64_t hash) {
  uint32_t* block = Block(hash);
  uint32_t missing = 0;
  for (int word = 0; word < 8; ++word) {
    const uint32_t bit = Bit(hash, word);
    missing |= bit & ~block[word];
    block[word] |= bit;
  }
  items_ += missing != 0;
  return missing != 0;
}

bool BloomFilter::Has(uint64_t hash) const {
  const uint32_t* block = Block(hash);
  uint32_t missing = 0;
  for (int word = 0; word < 8; ++word) missing |= Bit(hash, word) & ~block[word];
  return missing == 0;
}

void BloomFilter::Clear() {
  std::memset(words_, 0, bytes());
  items_ = 0;
}

double BloomFilter::EstimatedErrorRate() const {
  const uint64_t step = (blocks_ + kSampledBlocks - 1) / kSampledBlocks;
  double sum = 0;
  uint64_t looked_at = 0;
  for (uint64_t block = 0; block < blocks_; block += step, ++looked_at) {
    double found = 1;
    for (int word = 0; word < 8; ++word) found *= std::popcount(words_[8 * block + word]) / 32.0;
    sum += found;
  }
  return sum / static_cast<double>(looked_at);
}

void BloomFilter::SerializeTo(uint8_t* out) const {
  Header header = {{}, kVersion, 0, seed_, blocks_, items_, capacity_, error_rate_};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  const uint64_t checksum = Checksum(header, words_, bytes());
  std::memcpy(out, &header, sizeof header);
  std::memcpy(out + sizeof header, &checksum, sizeof checksum);
  std::memcpy(out + kHeaderBytes, words_, bytes());
}

Status BloomFilter::Parse(std::string_view bytes, std::unique_ptr<BloomFilter>* filter) {
  Header header = {};
  uint64_t checksum = 0;
  if (bytes.size() < kHeaderBytes) return Bad("it is shorter than a filter's header");
  std::memcpy(&header, bytes.data(), sizeof header);
  std::memcpy(&checksum, bytes.data() + sizeof header, sizeof checksum);
  if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0) return Bad("it is no BloomFilter");
  if (header.version != kVersion || header.zero != 0) return Bad("it was written by a newer version");
  if (header.blocks == 0 || header.blocks > kMaxBlocks || bytes.size() != kHeaderBytes + header.blocks * kBlockBytes) {
    return Bad("its length is not what it says");
  }
  if (Checksum(header, bytes.data() + kHeaderBytes, bytes.size() - kHeaderBytes) != checksum) {
    return Bad("its checksum does not hold");
  }
  // A NaN is refused, too.
  if (header.capacity == 0 || !(header.error_rate > 0 && header.error_rate < 1))
    return Bad("its header makes no sense");
  auto made = Make(header.capacity, header.error_rate, header.blocks, header.seed);
  if (made == nullptr) return Status::Error(Code::kUnavailable, "there is no memory for this filter");
  std::memcpy(made->words_, bytes.data() + kHeaderBytes, made->bytes());
  made->items_ = header.items;
  *filter = std::move(made);
  return Status::Ok();
}

}  // namespace everyonce
