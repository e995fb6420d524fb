#include "core/page_cursor.h"

#include <xxhash.h>

#include "core/identifiers.h"
#include "core/limits.h"

namespace everyonce {
namespace {

constexpr char kVersion = 2;
constexpr char kAll = 1;
constexpr char kNewestFirst = 2;
constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr size_t kChecksumBytes = 4;

void PutInteger(uint64_t value, std::string* out) {
  while (value >= 0x80) {
    out->push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out->push_back(static_cast<char>(value));
}

bool TakeInteger(std::string_view* in, uint64_t* value) {
  *value = 0;
  for (int shift = 0; shift < 63 && !in->empty(); shift += 7) {
    const auto byte = static_cast<uint8_t>(in->front());
    in->remove_prefix(1);
    *value |= uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) return *value <= kMaxInteger;
  }
  return false;
}

bool TakeText(std::string_view* in, std::string* text) {
  uint64_t length = 0;
  if (!TakeInteger(in, &length) || length > in->size()) return false;
  text->assign(in->substr(0, length));
  in->remove_prefix(length);
  return true;
}

void PutText(std::string_view text, std::string* out) {
  PutInteger(text.size(), out);
  out->append(text);
}

void PutChecksum(std::string* out) {
  const uint64_t hash = XXH3_64bits(out->data(), out->size());
  for (size_t i = 0; i < kChecksumBytes; ++i) out->push_back(static_cast<char>(hash >> (8 * i)));
}

// RFC 4648, 5: base64url without padding.
std::string ToText(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() * 4 + 2) / 3);
  uint32_t bits = 0;
  int count = 0;
  for (const char each : bytes) {
    bits = bits << 8 | static_cast<uint8_t>(each);
    for (count += 8; count >= 6; count -= 6) text.push_back(kAlphabet[bits >> (count - 6) & 63]);
  }
  if (count > 0) text.push_back(kAlphabet[bits << (6 - count) & 63]);
  return text;
}

bool FromText(std::string_view text, std::string* bytes) {
  uint32_t bits = 0;
  int count = 0;
  for (const char each : text) {
    const size_t digit = kAlphabet.find(each);
    if (digit == std::string_view::npos) return false;
    bits = bits << 6 | static_cast<uint32_t>(digit);
    count += 6;
    if (count >= 8) {
      bytes->push_back(static_cast<char>(bits >> (count - 8)));
      count -= 8;
    }
  }
  return true;
}

}  // namespace

std::string EncodePageCursor(const PageCursor& cursor) {
  std::string bytes(1, kVersion);
  bytes.push_back(static_cast<char>((cursor.all ? kAll : 0) | (cursor.newest_first ? kNewestFirst : 0)));
  PutText(cursor.position.conv, &bytes);
  PutInteger(cursor.position.epoch, &bytes);
  PutInteger(cursor.position.seq, &bytes);
  PutInteger(cursor.covers.size(), &bytes);
  for (const Span& span : cursor.covers) {
    PutText(span.conv, &bytes);
    PutInteger(span.epoch, &bytes);
    PutInteger(span.from, &bytes);
    PutInteger(span.to - span.from, &bytes);
  }
  PutChecksum(&bytes);
  return ToText(bytes);
}

std::optional<PageCursor> DecodePageCursor(std::string_view text) {
  std::string bytes;
  if (text.size() > kMaxNextBytes || !FromText(text, &bytes)) return std::nullopt;
  if (bytes.size() < kChecksumBytes + 2) return std::nullopt;
  std::string checked = bytes.substr(0, bytes.size() - kChecksumBytes);
  std::string_view in = checked;
  PutChecksum(&checked);
  if (checked != bytes || bytes[0] != kVersion) return std::nullopt;
  in = std::string_view(checked).substr(2, checked.size() - kChecksumBytes - 2);
  PageCursor cursor;
  cursor.all = (bytes[1] & kAll) != 0;
  cursor.newest_first = (bytes[1] & kNewestFirst) != 0;
  uint64_t count = 0;
  if (!TakeText(&in, &cursor.position.conv) || !IsConversation(cursor.position.conv) ||
      !TakeInteger(&in, &cursor.position.epoch) || !TakeInteger(&in, &cursor.position.seq) ||
      !TakeInteger(&in, &count) || count > kMaxCursorSpans) {
    return std::nullopt;
  }
  for (uint64_t i = 0; i < count; ++i) {
    Span span;
    uint64_t length = 0;
    if (!TakeText(&in, &span.conv) || !TakeInteger(&in, &span.epoch) || !TakeInteger(&in, &span.from) ||
        !TakeInteger(&in, &length)) {
      return std::nullopt;
    }
    span.to = span.from + length;
    if (!IsConversation(span.conv) || span.to > kMaxInteger) return std::nullopt;
    cursor.covers.push_back(std::move(span));
  }
  if (!in.empty()) return std::nullopt;
  return cursor;
}

}  // namespace everyonce
