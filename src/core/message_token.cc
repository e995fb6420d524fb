#include "core/message_token.h"

#include <array>
#include <cstddef>

#include "core/byte_codec.h"

namespace everyonce {
namespace {

constexpr std::string_view kPrefix = "eo1-";
// Signed with every token, so that the key never signs anything else that looks the same.
constexpr std::string_view kPurpose = "everyonce message token 1\n";
constexpr size_t kExpiryBytes = 6;
constexpr size_t kPayloadBytes = 17;  // expiry and chance
constexpr size_t kSignatureBytes = 16;
constexpr size_t kRawBytes = kPayloadBytes + kSignatureBytes;
constexpr uint8_t kClaimVersion = 1;

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

constexpr std::array<int8_t, 256> ValuesOfAlphabet() {
  std::array<int8_t, 256> values{};
  for (int8_t& value : values) value = -1;
  for (size_t i = 0; i < kAlphabet.size(); ++i) {
    values[static_cast<uint8_t>(kAlphabet[i])] = static_cast<int8_t>(i);
  }
  return values;
}
constexpr std::array<int8_t, 256> kValues = ValuesOfAlphabet();

static_assert(kRawBytes % 3 == 0, "base64url without a remainder, so that each bit counts");
static_assert(kPrefix.size() + kRawBytes / 3 * 4 == kTokenBytes);

std::string Encoded(std::string_view raw) {
  std::string text;
  for (size_t i = 0; i + 2 < raw.size(); i += 3) {
    const uint32_t bits = uint32_t{static_cast<uint8_t>(raw[i])} << 16 |
                          uint32_t{static_cast<uint8_t>(raw[i + 1])} << 8 | static_cast<uint8_t>(raw[i + 2]);
    for (int shift = 18; shift >= 0; shift -= 6) text.push_back(kAlphabet[bits >> shift & 63]);
  }
  return text;
}

bool Decoded(std::string_view text, std::string* raw) {
  for (size_t i = 0; i + 3 < text.size(); i += 4) {
    uint32_t bits = 0;
    for (size_t j = 0; j < 4; ++j) {
      const int8_t value = kValues[static_cast<uint8_t>(text[i + j])];
      if (value < 0) return false;
      bits = bits << 6 | static_cast<uint32_t>(value);
    }
    for (int shift = 16; shift >= 0; shift -= 8) raw->push_back(static_cast<char>(bits >> shift));
  }
  return true;
}

void AppendBigEndian(uint64_t number, size_t bytes, std::string* out) {
  for (size_t i = bytes; i > 0; --i) out->push_back(static_cast<char>(number >> (8 * (i - 1))));
}

}  // namespace

bool LooksLikeToken(std::string_view id) { return id.size() == kTokenBytes && id.starts_with(kPrefix); }

TokenSigner::TokenSigner(std::string_view key) : mac_(key) {}

// The payload has a fixed length, so no two of (user, payload) are signed as the same bytes.
std::string TokenSigner::Sign(std::string_view user, std::string_view payload) const {
  const Sha256::Digest digest = mac_.Of(kPurpose, user, payload);
  return {reinterpret_cast<const char*>(digest.data()), kSignatureBytes};
}

std::string TokenSigner::Issue(std::string_view user, int64_t expires_ms, uint64_t random, uint32_t count) const {
  std::string raw;
  AppendBigEndian(static_cast<uint64_t>(expires_ms), kExpiryBytes, &raw);
  AppendBigEndian(random, 8, &raw);
  AppendBigEndian(count, 3, &raw);
  raw += Sign(user, raw);
  return std::string(kPrefix) + Encoded(raw);
}

bool TokenSigner::Verify(std::string_view user, std::string_view id, int64_t* expires_ms) const {
  std::string raw;
  if (!LooksLikeToken(id) || !Decoded(id.substr(kPrefix.size()), &raw)) return false;
  const std::string_view payload = std::string_view(raw).substr(0, kPayloadBytes);
  if (!EqualInConstantTime(Sign(user, payload), std::string_view(raw).substr(kPayloadBytes))) return false;
  uint64_t expires = 0;
  for (size_t i = 0; i < kExpiryBytes; ++i) expires = expires << 8 | static_cast<uint8_t>(raw[i]);
  *expires_ms = static_cast<int64_t>(expires);
  return true;
}

std::string TokenClaim::Encode() const {
  std::string value;
  ByteWriter writer(&value);
  writer.Byte(kClaimVersion);
  writer.Varint(static_cast<uint64_t>(expires_ms));
  writer.Bytes(conv);
  writer.Bytes(user);
  writer.Bytes(device);
  writer.Varint(n);
  writer.Varint(seq);
  return value;
}

bool TokenClaim::Decode(std::string_view value, TokenClaim* claim) {
  ByteReader reader(value);
  if (reader.Byte() != kClaimVersion) return false;
  claim->expires_ms = static_cast<int64_t>(reader.Varint());
  claim->conv = reader.Bytes();
  claim->user = reader.Bytes();
  claim->device = reader.Bytes();
  claim->n = reader.Varint();
  claim->seq = reader.Varint();
  return reader.AtEnd();
}

}  // namespace everyonce
