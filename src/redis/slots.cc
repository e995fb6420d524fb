#include "redis/slots.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "redis/redis_url.h"

namespace everyonce {
namespace {

constexpr std::array<uint16_t, 256> MakeTable() {
  std::array<uint16_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte << 8;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 0x8000) != 0 ? (crc << 1) ^ 0x1021 : crc << 1;
    table[byte] = static_cast<uint16_t>(crc);
  }
  return table;
}
constexpr std::array<uint16_t, 256> kTable = MakeTable();

template <typename Number>
bool ToNumber(std::string_view text, Number* number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return !text.empty() && error == std::errc() && end == text.data() + text.size();
}

// A node as [host, port, …]; an empty or unknown host is the one that was asked.
bool ReadNode(const RedisReply& reply, std::string_view asked_host, SlotMap::Node* node) {
  if (!reply.is_array() || reply.elements.size() < 2) return false;
  const RedisReply& host = reply.elements[0];
  uint64_t port = 0;
  if (!reply.elements[1].ToNumber(&port) || port == 0 || port > 65535) return false;
  const bool told = host.is_text() && !host.text.empty() && host.text != "?";
  node->host = told ? host.text : std::string(asked_host);
  node->port = static_cast<uint16_t>(port);
  return true;
}

}  // namespace

uint16_t Crc16(std::string_view bytes) {
  uint16_t crc = 0;
  for (const char c : bytes) {
    crc = static_cast<uint16_t>((crc << 8) ^ kTable[((crc >> 8) ^ static_cast<uint8_t>(c)) & 0xff]);
  }
  return crc;
}

uint16_t SlotOfKey(std::string_view key) {
  const size_t open = key.find('{');
  if (open != std::string_view::npos) {
    const size_t close = key.find('}', open + 1);
    if (close != std::string_view::npos && close > open + 1) key = key.substr(open + 1, close - open - 1);
  }
  return Crc16(key) % kRedisSlots;
}

void SlotMap::Set(uint16_t slot, const Node& node) {
  const auto known = std::find(masters.begin(), masters.end(), node);
  const auto index = static_cast<uint16_t>(known - masters.begin());
  if (known == masters.end()) {
    if (masters.size() >= kRedisSlots) return;
    masters.push_back(node);
  }
  if (owner[slot] == kNone) ++covered;
  owner[slot] = index;
}

bool ParseClusterSlots(const RedisReply& reply, std::string_view asked_host, SlotMap* map) {
  if (!reply.is_array() || reply.elements.size() > kRedisSlots) return false;
  SlotMap read;
  for (const RedisReply& range : reply.elements) {
    uint64_t first = 0;
    uint64_t last = 0;
    SlotMap::Node node;
    if (!range.is_array() || range.elements.size() < 3 || !range.elements[0].ToNumber(&first) ||
        !range.elements[1].ToNumber(&last) || first > last || last >= kRedisSlots ||
        !ReadNode(range.elements[2], asked_host, &node)) {
      return false;
    }
    for (uint64_t slot = first; slot <= last; ++slot) read.Set(static_cast<uint16_t>(slot), node);
  }
  *map = std::move(read);
  return true;
}

bool ParseRedirect(const RedisReply& reply, std::string_view asked_host, Redirect* redirect) {
  if (!reply.HasErrorCode("MOVED") && !reply.HasErrorCode("ASK")) return false;
  std::string_view text = reply.text;
  redirect->ask = text.starts_with("ASK");
  text.remove_prefix(std::min(text.size(), text.find(' ') + 1));
  const size_t space = text.find(' ');
  if (space == std::string_view::npos) return false;
  if (!ToNumber(text.substr(0, space), &redirect->slot) || redirect->slot >= kRedisSlots) return false;
  if (!ParseRedisNode(text.substr(space + 1), &redirect->node.host, &redirect->node.port)) return false;
  if (redirect->node.host.empty() || redirect->node.host == "?") redirect->node.host = asked_host;
  return true;
}

bool ParseServerInfo(std::string_view text, ServerInfo* info) {
  *info = {};
  while (!text.empty()) {
    const size_t end = std::min(text.size(), text.find('\n'));
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(text.size(), end + 1));
    if (line.ends_with('\r')) line.remove_suffix(1);
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string_view name = line.substr(0, colon);
    const std::string_view value = line.substr(colon + 1);
    if (name == "redis_version") {
      info->version = value;
      (void)ToNumber(value.substr(0, value.find('.')), &info->major_version);
    } else if (name == "cluster_enabled") {
      info->cluster = value == "1";
    } else if (name == "role") {
      info->primary = value == "master";
    } else if (name == "loading") {
      info->loading = value == "1";
    } else if (name == "master_host") {
      info->master.host = value;
    } else if (name == "master_port") {
      (void)ToNumber(value, &info->master.port);
    } else if (name == "connected_slaves") {
      (void)ToNumber(value, &info->replicas);
    } else if (name == "aof_enabled") {
      info->aof = value == "1";
    } else if (name == "maxmemory_policy") {
      info->maxmemory_policy = value;
    } else if (name == "master_replid") {
      info->replication_id = value;
    }
  }
  return info->major_version != 0;
}

}  // namespace everyonce
