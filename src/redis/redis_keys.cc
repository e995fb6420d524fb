#include "redis/redis_keys.h"

#include "core/producer_table.h"

namespace everyonce {
namespace {

std::string Prefix(uint32_t partition) { return "eo:{p" + std::to_string(partition) + "}:"; }

}  // namespace

uint32_t RedisPartitionOf(std::string_view name) { return static_cast<uint32_t>(HashOfId(name) % kRedisPartitions); }

ConversationKeys::ConversationKeys(std::string_view conv) : partition_(RedisPartitionOf(conv)), conv_(conv) {}

std::string ConversationKeys::Key(char kind) const {
  std::string key = Prefix(partition_);
  key.push_back(kind);
  return key.append(":").append(conv_);
}

std::string ConversationKeys::Own(std::string_view user) const { return Key('o').append("/").append(user); }

std::string ConversationKeys::Blocks(std::string_view user, std::string_view device) const {
  return Key('b').append("/").append(user).append("/").append(device);
}

std::string ConversationKeys::Window(std::string_view user, std::string_view id) const {
  return Key('w').append("/").append(user).append("/").append(id);
}

PartitionKeys::PartitionKeys(uint32_t partition)
    : catalogue(Prefix(partition).append("catalogue")),
      groups(Prefix(partition).append("groups")),
      feed(Prefix(partition).append("feed")),
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

}  // namespace everyonce
