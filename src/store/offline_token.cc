#include "store/offline_token.h"

#include "core/byte_codec.h"

namespace everyonce {
namespace {

constexpr uint8_t kVersion = 1;
constexpr size_t kMaxOrders = 1000;
constexpr size_t kMaxTokenBytes = 32768;
constexpr size_t kSumBytes = 8;
constexpr std::string_view kDigits = "0123456789abcdef";

// FNV-1a: it guards against mistakes, not against anyone.
uint64_t HashOf(std::string_view bytes) {
  uint64_t hash = 14695981039346656037u;
  for (const char byte : bytes) hash = (hash ^ static_cast<uint8_t>(byte)) * 1099511628211u;
  return hash;
}

int DigitOf(char digit) {
  const size_t at = kDigits.find(digit);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

}  // namespace

std::string OfflineToken::Encode() const {
  std::string bytes;
  ByteWriter writer(&bytes);
  writer.Byte(kVersion);
  writer.Varint(generation);
  writer.Fixed64(walk);
  writer.Byte(orders.size() > 1 && orders[1] < orders[0] ? 1 : 0);
  uint64_t last = 0;
  for (const uint64_t order : orders) {
    writer.Varint(last == 0 ? order : order > last ? order - last : last - order);
    last = order;
  }
  writer.Fixed64(HashOf(bytes));
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const char byte : bytes) {
    text.push_back(kDigits[static_cast<uint8_t>(byte) >> 4]);
    text.push_back(kDigits[static_cast<uint8_t>(byte) & 15]);
  }
  return text;
}

bool OfflineToken::Decode(std::string_view text, OfflineToken* token) {
  if (text.size() % 2 != 0 || text.size() > kMaxTokenBytes) return false;
  std::string bytes;
  bytes.reserve(text.size() / 2);
  for (size_t i = 0; i < text.size(); i += 2) {
    const int high = DigitOf(text[i]);
    const int low = DigitOf(text[i + 1]);
    if (high < 0 || low < 0) return false;
    bytes.push_back(static_cast<char>(high << 4 | low));
  }
  // What was cut or mixed up must ack nothing.
  if (bytes.size() < kSumBytes) return false;
  const std::string_view told = std::string_view(bytes).substr(0, bytes.size() - kSumBytes);
  if (ByteReader(std::string_view(bytes).substr(told.size())).Fixed64() != HashOf(told)) return false;
  ByteReader reader(told);
  if (reader.Byte() != kVersion) return false;
  token->generation = reader.Varint();
  token->walk = reader.Fixed64();
  const bool falling = reader.Byte() != 0;
  token->orders.clear();
  uint64_t last = 0;
  while (reader.ok() && !reader.AtEnd()) {
    const uint64_t step = reader.Varint();
    if (step == 0 || (falling && !token->orders.empty() && step >= last)) return false;
    last = falling && !token->orders.empty() ? last - step : last + step;
    token->orders.push_back(last);
    if (token->orders.size() > kMaxOrders) return false;
  }
  return reader.ok() && !token->orders.empty();
}

uint64_t WalkOf(std::string_view receiver, std::string_view sender, bool newest_first) {
  std::string bytes(1, newest_first ? 'n' : 'o');
  ByteWriter writer(&bytes);
  writer.Bytes(receiver);
  writer.Bytes(sender);
  return HashOf(bytes);
}

}  // namespace everyonce
