#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace everyonce {

// The few shapes that stored records are made of: varints (LEB128, at most 10 bytes), 8-byte little-endian words, and
// bytes with their length in front.
class ByteWriter {
 public:
  explicit ByteWriter(std::string* out) : out_(out) {}

  void Byte(uint8_t value) { out_->push_back(static_cast<char>(value)); }
  void Varint(uint64_t value) {
    while (value >= 0x80) {
      Byte(static_cast<uint8_t>(value | 0x80));
      value >>= 7;
    }
    Byte(static_cast<uint8_t>(value));
  }
  void Fixed64(uint64_t value) {
    for (int shift = 0; shift < 64; shift += 8) Byte(static_cast<uint8_t>(value >> shift));
  }
  void Bytes(std::string_view bytes) {
    Varint(bytes.size());
    out_->append(bytes);
  }
  void Raw(std::string_view bytes) { out_->append(bytes); }

 private:
  std::string* out_;
};

// Reads what ByteWriter wrote. The first read that does not fit makes ok() false, and it and all later ones give 0 or
// nothing, so a reader checks once at the end. Views are into the input.
class ByteReader {
 public:
  explicit ByteReader(std::string_view in) : in_(in) {}

  bool ok() const { return ok_; }
  std::string_view rest() const { return ok_ ? in_ : std::string_view(); }
  bool AtEnd() const { return ok_ && in_.empty(); }

  uint8_t Byte() {
    if (!Has(1)) return 0;
    const auto value = static_cast<uint8_t>(in_.front());
    in_.remove_prefix(1);
    return value;
  }
  uint64_t Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const uint8_t byte = Byte();
      if (!ok_) return 0;
      value |= uint64_t{byte & 0x7fu} << shift;
      if ((byte & 0x80) == 0) return value;
    }
    ok_ = false;
    return 0;
  }
  uint64_t Fixed64() {
    if (!Has(8)) return 0;
    uint64_t value = 0;
    for (int i = 0; i < 8; ++i) value |= uint64_t{static_cast<uint8_t>(in_[i])} << (8 * i);
    in_.remove_prefix(8);
    return value;
  }
  std::string_view Bytes() {
    const uint64_t size = Varint();
    if (!Has(size)) return {};
    const std::string_view bytes = in_.substr(0, size);
    in_.remove_prefix(size);
    return bytes;
  }
  // Hands the rest to a decoder of its own; `rest` must be a suffix of rest().
  void Continue(std::string_view rest) { in_ = rest; }
  void Fail() { ok_ = false; }

 private:
  bool Has(uint64_t size) {
    if (size > in_.size()) ok_ = false;
    return ok_;
  }

  std::string_view in_;
  bool ok_ = true;
};

}  // namespace everyonce
