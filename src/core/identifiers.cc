#include "core/identifiers.h"

#include <array>
#include <cstdint>

#include "core/limits.h"

namespace everyonce {
namespace {

// Which alphabets a byte belongs to, one bit each.
constexpr uint8_t kUserByte = 1;    // [A-Za-z0-9_.@-]
constexpr uint8_t kDeviceByte = 2;  // [A-Za-z0-9_-]
constexpr uint8_t kTypeByte = 4;    // [a-z0-9._-]

constexpr std::array<uint8_t, 256> kAlphabets = [] {
  std::array<uint8_t, 256> alphabets{};
  for (int byte = 'a'; byte <= 'z'; ++byte) alphabets[byte] = kUserByte | kDeviceByte | kTypeByte;
  for (int byte = '0'; byte <= '9'; ++byte) alphabets[byte] = kUserByte | kDeviceByte | kTypeByte;
  for (int byte = 'A'; byte <= 'Z'; ++byte) alphabets[byte] = kUserByte | kDeviceByte;
  alphabets['_'] = alphabets['-'] = kUserByte | kDeviceByte | kTypeByte;
  alphabets['.'] = kUserByte | kTypeByte;
  alphabets['@'] = kUserByte;
  return alphabets;
}();

bool Matches(std::string_view text, uint8_t alphabet, size_t min_bytes, size_t max_bytes) {
  if (text.size() < min_bytes || text.size() > max_bytes) return false;
  for (const char byte : text) {
    if ((kAlphabets[static_cast<uint8_t>(byte)] & alphabet) == 0) return false;
  }
  return true;
}

}  // namespace

bool IsUser(std::string_view text) { return Matches(text, kUserByte, 1, kMaxUserBytes) && text != "system"; }

bool IsDevice(std::string_view text) {
  return Matches(text, kDeviceByte, 1, kMaxDeviceBytes) && text != "server" && text != "system";
}

bool IsConversation(std::string_view text) { return IsDirect(text) || IsGroup(text); }

bool IsDirect(std::string_view text) {
  if (!text.starts_with("dm:")) return false;
  // No user id holds a colon, so the first one after the prefix parts the two.
  if (text.find(':', 3) == std::string_view::npos) return false;
  const DirectUsers users = UsersOfDirect(text);
  return IsUser(users.first) && IsUser(users.second) && users.first < users.second;
}

bool IsGroup(std::string_view text) {
  return text.starts_with("g:") && Matches(text.substr(2), kUserByte, 1, kMaxGroupNameBytes);
}

bool IsMessageId(std::string_view text) { return Matches(text, kDeviceByte, kMinIdBytes, kMaxIdBytes); }

bool IsPackageId(std::string_view text) { return Matches(text, kDeviceByte, 1, kMaxIdBytes); }

bool IsMessageType(std::string_view text) {
  return Matches(text, kTypeByte, 1, kMaxTypeBytes) && text != "system" && !text.starts_with("system.");
}

DirectUsers UsersOfDirect(std::string_view conv) {
  const size_t colon = conv.find(':', 3);
  return {conv.substr(3, colon - 3), conv.substr(colon + 1)};
}

bool IsParty(std::string_view user, std::string_view conv) {
  if (!IsDirect(conv)) return true;
  const DirectUsers users = UsersOfDirect(conv);
  return user == users.first || user == users.second;
}

}  // namespace everyonce
