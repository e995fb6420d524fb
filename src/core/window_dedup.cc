#include "core/window_dedup.h"

#include <xxhash.h>

#include "core/byte_codec.h"

namespace everyonce {
namespace {
constexpr uint8_t kVersion = 1;
constexpr uint8_t kVersionOfRemoved = 2;  // with what the record told
}  // namespace

std::string WindowEntry::Encode() const {
  std::string value;
  ByteWriter writer(&value);
  writer.Byte(mid == 0 ? kVersion : kVersionOfRemoved);
  writer.Varint(seq);
  writer.Varint(static_cast<uint64_t>(at_ms));
  writer.Varint(body_bytes);
  writer.Fixed64(body_hash_low);
  writer.Fixed64(body_hash_high);
  if (mid == 0) return value;
  writer.Fixed64(mid);
  writer.Varint(static_cast<uint64_t>(message_at_ms));
  writer.Bytes(device);
  return value;
}

bool WindowEntry::Decode(std::string_view value, WindowEntry* entry) {
  ByteReader reader(value);
  const uint8_t version = reader.Byte();
  if (version != kVersion && version != kVersionOfRemoved) return false;
  entry->seq = reader.Varint();
  entry->at_ms = static_cast<int64_t>(reader.Varint());
  entry->body_bytes = reader.Varint();
  entry->body_hash_low = reader.Fixed64();
  entry->body_hash_high = reader.Fixed64();
  if (version == kVersionOfRemoved) {
    entry->mid = reader.Fixed64();
    entry->message_at_ms = static_cast<int64_t>(reader.Varint());
    entry->device = reader.Bytes();
  }
  return reader.AtEnd();
}

WindowEntry WindowEntryOf(std::string_view body, std::string_view type) {
  // The usual type is the seed 0, so that entries which were kept before types counted are still known.
  const uint64_t seed = type == "text" ? 0 : XXH3_64bits(type.data(), type.size());
  const XXH128_hash_t hash = XXH3_128bits_withSeed(body.data(), body.size(), seed);
  WindowEntry entry;
  entry.body_bytes = body.size();
  entry.body_hash_low = hash.low64;
  entry.body_hash_high = hash.high64;
  return entry;
}

WindowVerdict JudgeWindow(const WindowEntry* known, const WindowEntry& offered, int64_t now_ms, int64_t window_ms) {
  if (known == nullptr || known->Expired(now_ms, window_ms)) return WindowVerdict::kNew;
  return known->SameBody(offered) ? WindowVerdict::kDuplicate : WindowVerdict::kConflict;
}

}  // namespace everyonce
