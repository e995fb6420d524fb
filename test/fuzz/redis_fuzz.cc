// libFuzzer target: whatever a Redis, what answers in its place, or who rings there, may say. The same bytes give the
// same replies however they are cut, and topology, redirects and INFO read from them hold what they promise.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "redis/bell_codec.h"
#include "redis/redis_url.h"
#include "redis/reply.h"
#include "redis/slots.h"

namespace everyonce {
namespace {

constexpr size_t kMaxReplyBytes = 1 << 16;

void Require(bool holds) {
  if (!holds) std::abort();
}

void Describe(const RedisReply& reply, std::string* out) {
  *out += static_cast<char>('a' + static_cast<int>(reply.type));
  *out += std::to_string(reply.integer) + ':' + std::to_string(reply.text.size()) + ':' + reply.text;
  for (const RedisReply& element : reply.elements) Describe(element, out);
  *out += '.';
}

// All that `bytes` say, fed in pieces of `piece`.
std::string Parse(std::string_view bytes, size_t piece, std::vector<RedisReply>* replies) {
  RedisParser parser(kMaxReplyBytes);
  std::string described;
  RedisReply reply;
  for (size_t at = 0; at < bytes.size(); at += piece) {
    const std::string_view part = bytes.substr(at, piece);
    if (!parser.Feed(part.data(), part.size())) break;
    while (parser.Next(&reply)) {
      Describe(reply, &described);
      if (replies != nullptr) replies->push_back(reply);
    }
    if (!parser.error().empty()) break;
  }
  return described;
}

void CheckTopology(const RedisReply& reply) {
  SlotMap map;
  map.Set(7, {"before", 1});
  const SlotMap before = map;
  if (!ParseClusterSlots(reply, "asked", &map)) {
    Require(map.masters == before.masters && map.owner == before.owner && map.covered == before.covered);
  } else {
    uint32_t covered = 0;
    for (const uint16_t owner : map.owner) {
      Require(owner == SlotMap::kNone || owner < map.masters.size());
      covered += owner == SlotMap::kNone ? 0 : 1;
    }
    Require(covered == map.covered && map.masters.size() <= kRedisSlots);
    for (const SlotMap::Node& node : map.masters) Require(!node.host.empty());
  }
  Redirect redirect;
  if (ParseRedirect(reply, "asked", &redirect)) {
    Require(redirect.slot < kRedisSlots && !redirect.node.host.empty());
    map.Set(redirect.slot, redirect.node);
    Require(map.Of(redirect.slot) != nullptr && *map.Of(redirect.slot) == redirect.node);
  }
  uint64_t number = 0;
  (void)reply.ToNumber(&number);
  (void)reply.HasErrorCode("MOVED");
}

void CheckText(std::string_view text) {
  ServerInfo info;
  (void)ParseServerInfo(text, &info);
  RedisAddress address;
  if (ParseRedisUrl(text, &address).ok()) Require(!address.host.empty() && !address.Name().empty());
  std::string host;
  uint16_t port = 0;
  if (ParseRedisNode(text, &host, &port)) Require(port != 0);  // without a host: that of whoever was asked
  Require(SlotOfKey(text) < kRedisSlots);
}

// What is read of bells says the same when it is written and read again.
void CheckBells(std::string_view bytes) {
  BellReader reader(bytes);
  BellHeader header;
  if (!reader.ReadHeader(&header)) return;
  Bell bell;
  while (reader.Next(&bell)) {
    std::string payload;
    AppendBellHeader(header, &payload);
    AppendBell(bell, bell.version, &payload);
    BellReader second(payload);
    BellHeader header_again;
    Bell again;
    Require(second.ReadHeader(&header_again) && second.Next(&again) && !second.Next(&bell) && !second.broken());
    Require(header_again.origin == header.origin && header_again.number == header.number);
    std::string payload_again;
    AppendBellHeader(header_again, &payload_again);
    AppendBell(again, again.version, &payload_again);
    Require(payload == payload_again);
  }
}

}  // namespace
}  // namespace everyonce

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace everyonce;
  if (size < 1) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::vector<RedisReply> replies;
  const std::string whole = Parse(bytes, bytes.size() + 1, &replies);
  const std::string cut = Parse(bytes, 1 + data[0] % 16, nullptr);
  Require(whole == cut);
  for (const RedisReply& reply : replies) {
    CheckTopology(reply);
    CheckText(reply.text);
  }
  CheckText(bytes);
  CheckBells(bytes);
  return 0;
}
