// libFuzzer target for serialized Bloom filters. Any bytes are refused without asking for memory that they do not fill,
// or are a filter that works and writes the same bytes. The checksums are put right for every other input: they guard
// against accidents, not against whoever makes them up.

#include <xxhash.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "core/bloom.h"
#include "core/rotating_bloom.h"

namespace everyonce {
namespace {

constexpr size_t kRotatingChecked = 64;
constexpr size_t kFilterChecked = 56;

void Require(bool holds) {
  if (!holds) std::abort();
}

// Writes the checksum of the first `checked` bytes and of what stands behind the checksum itself.
void Repair(std::string* bytes, size_t checked) {
  if (bytes->size() < checked + 8) return;
  XXH3_state_t* state = XXH3_createState();
  XXH3_64bits_reset(state);
  XXH3_64bits_update(state, bytes->data(), checked);
  XXH3_64bits_update(state, bytes->data() + checked + 8, bytes->size() - checked - 8);
  const uint64_t sum = XXH3_64bits_digest(state);
  XXH3_freeState(state);
  std::memcpy(bytes->data() + checked, &sum, sizeof(sum));
}

void CheckFilter(std::string_view bytes) {
  std::unique_ptr<BloomFilter> filter;
  if (!BloomFilter::Parse(bytes, &filter).ok()) return Require(filter == nullptr);
  Require(filter->bytes() <= bytes.size());
  std::string written(filter->SerializedBytes(), '\0');
  filter->SerializeTo(reinterpret_cast<uint8_t*>(written.data()));
  Require(written == bytes);
  const uint64_t hash = filter->Hash("key");
  filter->Add(hash);
  Require(filter->Has(hash));
  (void)filter->EstimatedErrorRate();
}

void CheckRotating(std::string_view bytes, int64_t now_ms) {
  std::unique_ptr<RotatingBloom> filter;
  if (!RotatingBloom::Parse(bytes, now_ms, &filter).ok()) return Require(filter == nullptr);
  Require(filter->options().slices >= 1 && filter->options().window_ms > 0);
  std::string written(filter->SerializedBytes(), '\0');
  filter->SerializeTo(reinterpret_cast<uint8_t*>(written.data()));
  std::unique_ptr<RotatingBloom> again;
  Require(RotatingBloom::Parse(written, now_ms, &again).ok());
  const uint64_t hash = filter->Hash("key");
  filter->Add(hash, now_ms);
  Require(filter->Has(hash, now_ms));
  (void)filter->GetStats(now_ms + 1);
}

}  // namespace
}  // namespace everyonce

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace everyonce;
  if (size < 1) return 0;
  std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const bool rotating = (data[0] & 2) != 0;
  if ((data[0] & 1) != 0) {
    if (rotating) {
      // Each generation's filter carries a checksum of its own; one generation is enough to get behind it.
      constexpr size_t kBefore = kRotatingChecked + 8 + 16;
      if (bytes.size() > kBefore) {
        std::string inner = bytes.substr(kBefore);
        Repair(&inner, kFilterChecked);
        bytes.replace(kBefore, std::string::npos, inner);
      }
    }
    Repair(&bytes, rotating ? kRotatingChecked : kFilterChecked);
  }
  if (rotating) {
    CheckRotating(bytes, 1'700'000'000'000);
  } else {
    CheckFilter(bytes);
  }
  return 0;
}
