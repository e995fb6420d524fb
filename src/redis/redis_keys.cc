#include "redis/redis_keys.h"

#include "core/producer_table.h"

namespace everyonce {
namespace {

constexpr std::string_view kCatalogue = "catalogue";
constexpr std::string_view kGroups = "groups";
constexpr std::string_view kFeed = "feed";

std::string Prefix(uint32_t partition) { return "eo:{p" + std::to_string(partition) + "}:"; }

}  // namespace

uint32_t RedisPartitionOf(std::string_view name) { return static_cast<uint32_t>(HashOfId(name) % kRedisPartitions); }

RedisKey::operator std::string() const {
  std::string text;
  for (const std::string_view piece : pieces) text.append(piece);
  return text;
}

ConversationKeys::ConversationKeys(std::string_view conv)
    : partition_(RedisPartitionOf(conv)), prefix_(Prefix(partition_)), conv_(conv) {}

RedisKey ConversationKeys::Catalogue() const { return {{prefix_, kCatalogue}}; }
RedisKey ConversationKeys::Groups() const { return {{prefix_, kGroups}}; }
RedisKey ConversationKeys::Feed() const { return {{prefix_, kFeed}}; }

PartitionKeys::PartitionKeys(uint32_t partition)
    : catalogue(Prefix(partition).append(kCatalogue)),
      groups(Prefix(partition).append(kGroups)),
      feed(Prefix(partition).append(kFeed)),
      prefix_(Prefix(partition)) {}

std::string PartitionKeys::Of(char kind, std::string_view group) const {
  std::string key = prefix_;
  key.push_back(kind);
  return key.append(":").append(group);
}

std::string FeedGroupsKey() { return "eo:{feed}:groups"; }
std::string FeedBellKey() { return "eo:{feed}:news"; }
std::string FeedLettersKey(std::string_view group) { return std::string("eo:{feed}:x:").append(group); }
std::string RetentionTurnKey() { return "eo:{retention}:turn"; }
std::string TokenKeyKey() { return "eo:{tokens}:key"; }
std::string TokenUseKey(std::string_view token) { return Prefix(RedisPartitionOf(token)).append("t:").append(token); }

std::string UserIndexKey(std::string_view user) { return Prefix(RedisPartitionOf(user)).append("u:").append(user); }
std::string UserDevicesKey(std::string_view user) { return Prefix(RedisPartitionOf(user)).append("d:").append(user); }
std::string WorkersKey() { return "eo:{workers}:leases"; }
std::string MigrationKey() { return "eo:{migration}:state"; }
std::string MigrationBarrierKey(uint32_t index) { return "eo:{migration" + std::to_string(index) + "}:barrier"; }

}  // namespace everyonce
