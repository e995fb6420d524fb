#include "core/rotating_bloom.h"

#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>

namespace everyonce {
namespace {

constexpr char kMagic[8] = {'E', 'O', 'r', 'o', 't', 'a', 't', '1'};
constexpr uint32_t kVersion = 1;
constexpr size_t kRoom = 4;  // times the memory of a quiet window, where max_bytes is left out
constexpr uint32_t kMaxSlices = 64;
constexpr uint32_t kMaxGenerations = 1u << 16;

struct Header {
  char magic[8];
  uint32_t version;
  uint32_t generations;
  uint64_t capacity;
  double error_rate;
  int64_t window_ms;
  uint64_t slices;
  uint64_t max_bytes;
  uint64_t seed;
};
static_assert(sizeof(Header) == 64);
constexpr size_t kHeaderBytes = sizeof(Header) + sizeof(uint64_t);
constexpr size_t kAgeBytes = 2 * sizeof(int64_t);

uint64_t Checksum(const Header& header, const void* rest, size_t bytes) {
  return XXH3_64bits_withSeed(rest, bytes, XXH3_64bits(&header, sizeof header));
}

Status Bad(const char* why) {
  return Status::Error(Code::kBadFilter, std::string("the filter can not be read: ") + why);
}

}  // namespace

Status RotatingBloom::Size() {
  if (options_.slices < 1 || options_.slices > kMaxSlices) {
    return Status::Error(Code::kBadRequest, "\"slices\" must be from 1 to 64", "slices");
  }
  generation_capacity_ = (options_.capacity + options_.slices - 1) / options_.slices;
  // One more than there are slices is asked while the oldest is half out of the window.
  generation_error_rate_ = 1 - std::pow(1 - options_.error_rate, 1.0 / (options_.slices + 1));
  generation_blocks_ = BloomFilter::BlocksFor(generation_capacity_, generation_error_rate_);
  if (generation_blocks_ == 0) {
    return Status::Error(Code::kBadRequest, "\"capacity\" and \"errorRate\" ask for more than 1 GiB a generation",
                         "capacity");
  }
  const size_t quiet = (options_.slices + 1) * generation_blocks_ * BloomFilter::kBlockBytes;
  if (options_.max_bytes == 0) options_.max_bytes = kRoom * quiet;
  if (options_.max_bytes >= quiet) return Status::Ok();
  return Status::Error(Code::kBadRequest,
                       "\"maxBytes\" must be at least " + std::to_string(quiet) + ", what this capacity needs",
                       "maxBytes");
}

Status RotatingBloom::Make(const RotatingBloomOptions& options, std::unique_ptr<RotatingBloom>* filter) {
  std::unique_ptr<RotatingBloom> made(new RotatingBloom(options));
  Status status = made->Size();
  if (!status.ok()) return status;
  if (!made->MakeSpare()) return Status::Error(Code::kUnavailable, "there is no memory for this filter");
  *filter = std::move(made);
  return Status::Ok();
}

bool RotatingBloom::MakeSpare() {
  if (spare_ != nullptr) return true;
  spare_ = BloomFilter::Make(generation_capacity_, generation_error_rate_, generation_blocks_, options_.seed);
  return spare_ != nullptr;
}

// Begins a generation; false, and the newest goes on: there is no room, or no memory.
bool RotatingBloom::Rotate() {
  const size_t bytes = generation_blocks_ * BloomFilter::kBlockBytes;
  if ((generations_.size() + 1) * bytes > options_.max_bytes || !MakeSpare()) return false;
  generations_.push_back({std::move(spare_), now_ms_, now_ms_});
  return true;
}

void RotatingBloom::Advance(int64_t now_ms) {
  now_ms_ = std::max(now_ms_, now_ms);
  while (!generations_.empty() && now_ms_ - generations_.front().youngest_ms > options_.window_ms) {
    if (spare_ == nullptr) {
      spare_ = std::move(generations_.front().filter);
      spare_->Clear();
    }
    generations_.pop_front();
  }
}

bool RotatingBloom::Add(uint64_t hash, int64_t now_ms) {
  Advance(now_ms);
  const int64_t slice_ms = std::max<int64_t>(options_.window_ms / options_.slices, 1);
  const bool is_over = generations_.empty() || now_ms_ - generations_.back().began_ms >= slice_ms ||
                       generations_.back().filter->items() >= generation_capacity_;
  if (is_over) Rotate();  // the first always succeeds, by the spare
  bool is_new = true;
  for (auto generation = generations_.begin(); generation + 1 != generations_.end(); ++generation) {
    is_new = is_new && !generation->filter->Has(hash);
  }
  generations_.back().youngest_ms = now_ms_;
  return generations_.back().filter->Add(hash) && is_new;
}

bool RotatingBloom::Has(uint64_t hash, int64_t now_ms) {
  Advance(now_ms);
  return std::any_of(generations_.rbegin(), generations_.rend(),
                     [hash](const Generation& generation) { return generation.filter->Has(hash); });
}

void RotatingBloom::Prefetch(uint64_t hash) const {
  for (const Generation& generation : generations_) generation.filter->Prefetch(hash);
}

RotatingBloom::Stats RotatingBloom::GetStats(int64_t now_ms) {
  Advance(now_ms);
  Stats stats;
  double absent = 1;
  for (const Generation& generation : generations_) {
    stats.items += generation.filter->items();
    stats.bytes += generation.filter->bytes();
    absent *= 1 - generation.filter->EstimatedErrorRate();
  }
  stats.generations = generations_.size();
  stats.estimated_error_rate = 1 - absent;
  const size_t next_bytes = (generations_.size() + 1) * generation_blocks_ * BloomFilter::kBlockBytes;
  stats.saturated = !generations_.empty() && generations_.back().filter->items() >= generation_capacity_ &&
                    next_bytes > options_.max_bytes;
  return stats;
}

size_t RotatingBloom::bytes() const {
  const size_t filters = generations_.size() + (spare_ == nullptr ? 0 : 1);
  return filters * generation_blocks_ * BloomFilter::kBlockBytes;
}

size_t RotatingBloom::SerializedBytes() const {
  size_t bytes = kHeaderBytes;
  for (const Generation& generation : generations_) bytes += kAgeBytes + generation.filter->SerializedBytes();
  return bytes;
}

void RotatingBloom::SerializeTo(uint8_t* out) const {
  Header header = {{},
                   kVersion,
                   static_cast<uint32_t>(generations_.size()),
                   options_.capacity,
                   options_.error_rate,
                   options_.window_ms,
                   options_.slices,
                   options_.max_bytes,
                   options_.seed};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  uint8_t* at = out + kHeaderBytes;
  for (const Generation& generation : generations_) {
    const int64_t ages[2] = {now_ms_ - generation.began_ms, now_ms_ - generation.youngest_ms};
    std::memcpy(at, ages, sizeof ages);
    generation.filter->SerializeTo(at + kAgeBytes);
    at += kAgeBytes + generation.filter->SerializedBytes();
  }
  const uint64_t checksum = Checksum(header, out + kHeaderBytes, static_cast<size_t>(at - out) - kHeaderBytes);
  std::memcpy(out, &header, sizeof header);
  std::memcpy(out + sizeof header, &checksum, sizeof checksum);
}

Status RotatingBloom::Parse(std::string_view bytes, int64_t now_ms, std::unique_ptr<RotatingBloom>* filter) {
  Header header = {};
  uint64_t checksum = 0;
  if (bytes.size() < kHeaderBytes) return Bad("it is shorter than a filter's header");
  std::memcpy(&header, bytes.data(), sizeof header);
  std::memcpy(&checksum, bytes.data() + sizeof header, sizeof checksum);
  if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0) return Bad("it is no RotatingBloom");
  if (header.version != kVersion) return Bad("it was written by a newer version");
  std::string_view rest = bytes.substr(kHeaderBytes);
  if (Checksum(header, rest.data(), rest.size()) != checksum) return Bad("its checksum does not hold");
  if (header.window_ms < 1 || header.generations > kMaxGenerations || header.slices > UINT32_MAX)
    return Bad("its header makes no sense");
  std::unique_ptr<RotatingBloom> made(new RotatingBloom({.capacity = header.capacity,
                                                         .error_rate = header.error_rate,
                                                         .window_ms = header.window_ms,
                                                         .slices = static_cast<uint32_t>(header.slices),
                                                         .max_bytes = header.max_bytes,
                                                         .seed = header.seed}));
  if (!made->Size().ok()) return Bad("its header makes no sense");
  const size_t filter_bytes = BloomFilter::kHeaderBytes + made->generation_blocks_ * BloomFilter::kBlockBytes;
  if (rest.size() != header.generations * (kAgeBytes + filter_bytes)) return Bad("its length is not what it says");
  if (!made->MakeSpare()) return Status::Error(Code::kUnavailable, "there is no memory for this filter");
  made->now_ms_ = now_ms;
  for (; !rest.empty(); rest.remove_prefix(kAgeBytes + filter_bytes)) {
    int64_t ages[2] = {};
    std::memcpy(ages, rest.data(), sizeof ages);
    Generation generation = {nullptr, now_ms - ages[0], now_ms - ages[1]};
    Status status = BloomFilter::Parse(rest.substr(kAgeBytes, filter_bytes), &generation.filter);
    if (!status.ok()) return status;
    if (ages[0] < ages[1] || ages[1] < 0 || generation.filter->seed() != header.seed) {
      return Bad("its generations make no sense");
    }
    made->generations_.push_back(std::move(generation));
  }
  *filter = std::move(made);
  return Status::Ok();
}

}  // namespace everyonce
