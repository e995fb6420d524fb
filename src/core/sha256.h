#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace everyonce {

// SHA-256 (FIPS 180-4), and HMAC over it (RFC 2104, FIPS 198-1): a keyed code that whoever lacks the key can't make.
// Written out because nothing else that is linked has one; both are checked against the vectors of their standards.
class Sha256 {
 public:
  static constexpr size_t kBytes = 32;
  static constexpr size_t kBlockBytes = 64;
  using Digest = std::array<uint8_t, kBytes>;

  Sha256();
  void Add(std::string_view bytes);
  // The digest of all that was added. Once.
  Digest Finish();

 private:
  void AddBlock(const uint8_t* block);

  std::array<uint32_t, 8> state_;
  std::array<uint8_t, kBlockBytes> block_;
  size_t used_ = 0;
  uint64_t total_bytes_ = 0;
};

// HMAC-SHA-256 under one key of any length. What depends on the key alone is done once.
class HmacSha256 {
 public:
  explicit HmacSha256(std::string_view key);
  // Of the parts one behind the other.
  Sha256::Digest Of(std::string_view first, std::string_view second = {}, std::string_view third = {}) const;

 private:
  Sha256 inner_;
  Sha256 outer_;
};

// Whether two texts of the same length are equal, in a time that does not tell where they differ.
bool EqualInConstantTime(std::string_view a, std::string_view b);

}  // namespace everyonce
