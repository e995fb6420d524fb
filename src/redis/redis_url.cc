#include "redis/redis_url.h"

#include <algorithm>
#include <charconv>

namespace everyonce {
namespace {

constexpr size_t kMaxUrlBytes = 4096;
constexpr uint32_t kMaxDatabase = 1u << 20;

RedisStatus Bad(std::string message) { return {RedisCode::kBadUrl, "a Redis URL: " + std::move(message)}; }

bool ToNumber(std::string_view text, uint32_t low, uint32_t high, uint32_t* number) {
  if (text.empty()) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc() && end == text.data() + text.size() && *number >= low && *number <= high;
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool Decode(std::string_view text, std::string* out) {
  out->clear();
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out->push_back(text[i]);
      continue;
    }
    if (i + 2 >= text.size()) return false;
    const int high = HexDigit(text[i + 1]);
    const int low = HexDigit(text[i + 2]);
    if (high < 0 || low < 0) return false;
    out->push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return true;
}

RedisStatus ReadHost(std::string_view text, RedisAddress* address) {
  std::string_view port;
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    if (end == std::string_view::npos) return Bad("a [ without ]");
    address->host = text.substr(1, end - 1);
    text.remove_prefix(end + 1);
    if (!text.empty() && !text.starts_with(':')) return Bad("behind ] comes a port or nothing");
    if (!text.empty()) port = text.substr(1);
    if (text.size() == 1) return Bad("an empty port");
  } else {
    const size_t colon = text.find(':');
    address->host = text.substr(0, colon);
    if (colon != std::string_view::npos) {
      port = text.substr(colon + 1);
      if (port.empty()) return Bad("an empty port");
    }
  }
  if (address->host.empty()) return Bad("no host");
  const bool odd = std::any_of(address->host.begin(), address->host.end(),
                               [](char c) { return static_cast<uint8_t>(c) <= ' ' || c == '%' || c == 0x7f; });
  if (odd) return Bad("a host with a character that no host has");
  uint32_t number = address->port;
  if (!port.empty() && !ToNumber(port, 1, 65535, &number)) return Bad("a port is a number from 1 to 65535");
  address->port = static_cast<uint16_t>(number);
  return {};
}

}  // namespace

std::string RedisAddress::Name() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

RedisStatus ParseRedisUrl(std::string_view url, RedisAddress* address) {
  *address = {};
  if (url.size() > kMaxUrlBytes) return Bad("longer than 4096 bytes");
  if (url.find('\0') != std::string_view::npos) return Bad("a zero byte");
  address->tls = url.starts_with("rediss://");
  if (!address->tls && !url.starts_with("redis://")) return Bad("it begins with redis:// or rediss://");
  url.remove_prefix(address->tls ? 9 : 8);
  if (url.find_first_of("?#") != std::string_view::npos) return Bad("it has no ? and no # (in a password: %3F, %23)");
  const size_t slash = url.find('/');
  const std::string_view path = slash == std::string_view::npos ? "" : url.substr(slash + 1);
  std::string_view authority = url.substr(0, slash);
  const size_t at = authority.rfind('@');
  if (at != std::string_view::npos) {
    const std::string_view who = authority.substr(0, at);
    const size_t colon = who.find(':');
    if (!Decode(who.substr(0, colon), &address->user)) return Bad("a broken % in the user");
    if (colon != std::string_view::npos && !Decode(who.substr(colon + 1), &address->password)) {
      return Bad("a broken % in the password");
    }
    if (!address->user.empty() && address->password.empty()) return Bad("a user without a password");
    authority = authority.substr(at + 1);
  }
  RedisStatus status = ReadHost(authority, address);
  if (!status.ok()) return status;
  if (!path.empty() && !ToNumber(path, 0, kMaxDatabase, &address->database)) {
    return Bad("behind the / comes the number of a database");
  }
  return {};
}

bool ParseRedisNode(std::string_view text, std::string* host, uint16_t* port) {
  const size_t colon = text.rfind(':');
  uint32_t number = 0;
  if (colon == std::string_view::npos || !ToNumber(text.substr(colon + 1), 1, 65535, &number)) return false;
  *host = text.substr(0, colon);
  *port = static_cast<uint16_t>(number);
  return true;
}

}  // namespace everyonce
