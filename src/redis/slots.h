#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "redis/reply.h"

namespace everyonce {

inline constexpr uint16_t kRedisSlots = 16384;

// CRC-16/XMODEM, what Redis Cluster hashes keys with (its specification, appendix A).
uint16_t Crc16(std::string_view bytes);
// The slot of a key: of what stands in its first {…}, where that is not empty, else of all of it.
uint16_t SlotOfKey(std::string_view key);

// Which node serves which slot. Pure.
struct SlotMap {
  struct Node {
    std::string host;
    uint16_t port = 0;
    bool operator==(const Node&) const = default;
    bool operator<(const Node& other) const { return std::tie(host, port) < std::tie(other.host, other.port); }
  };
  static constexpr uint16_t kNone = 0xffff;

  std::vector<Node> masters;
  std::vector<uint16_t> owner = std::vector<uint16_t>(kRedisSlots, kNone);  // index into masters
  uint32_t covered = 0;                                                     // slots with an owner

  // The master of `slot`; null: nobody's.
  const Node* Of(uint16_t slot) const { return owner[slot] == kNone ? nullptr : &masters[owner[slot]]; }
  // A redirect told of one slot.
  void Set(uint16_t slot, const Node& node);
};

// The answer to CLUSTER SLOTS. `asked_host` stands in where a node does not know its own address. False, and `map`
// unchanged, where the reply is none: wrong shape, slots out of range, more nodes than slots.
[[nodiscard]] bool ParseClusterSlots(const RedisReply& reply, std::string_view asked_host, SlotMap* map);

// `MOVED 3999 127.0.0.1:6381`, `ASK …`. False: not such an error.
struct Redirect {
  bool ask = false;
  uint16_t slot = 0;
  SlotMap::Node node;
};
[[nodiscard]] bool ParseRedirect(const RedisReply& reply, std::string_view asked_host, Redirect* redirect);

// What INFO says of a server, as far as it decides how to use it.
struct ServerInfo {
  uint32_t major_version = 0;
  std::string version;
  bool cluster = false;
  bool primary = false;
  bool loading = false;
  SlotMap::Node master;  // of a replica
  uint32_t replicas = 0;
  bool aof = false;
  bool rdb = false;
  std::string maxmemory_policy;
  std::string replication_id;
};
// False where the text is not INFO's.
[[nodiscard]] bool ParseServerInfo(std::string_view text, ServerInfo* info);

}  // namespace everyonce
