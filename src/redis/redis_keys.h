#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace everyonce {

// The keys of the log in Redis. All of one conversation lie in one hash slot, that of its partition; so do all of one
// user. What they hold stands in lua/shared/conversation.lua and the headers of lua/. '/' is in no identifier.
inline constexpr uint32_t kRedisPartitions = 1024;

// Stored data depends on it: never change.
uint32_t RedisPartitionOf(std::string_view name);

// A key in pieces, for a command that is written in one piece. Of what it was made from, and of its ConversationKeys:
// it holds none of its text.
struct RedisKey {
  std::array<std::string_view, 7> pieces;
  operator std::string() const;  // NOLINT(google-explicit-constructor): where a name is kept, it is a string
};

class ConversationKeys {
 public:
  explicit ConversationKeys(std::string_view conv);
  uint32_t partition() const { return partition_; }
  RedisKey Meta() const { return Key("c:"); }
  RedisKey Log() const { return Key("l:"); }
  RedisKey Members() const { return Key("m:"); }
  RedisKey Senders() const { return Key("p:"); }
  RedisKey Marks() const { return Key("g:"); }
  RedisKey Own(std::string_view user) const { return Key("o:", user); }
  RedisKey Blocks(std::string_view user, std::string_view device) const { return Key("b:", user, device); }
  RedisKey Window(std::string_view user, std::string_view id) const { return Key("w:", user, id); }
  // Of the partition: see PartitionKeys.
  RedisKey Catalogue() const;
  RedisKey Groups() const;
  RedisKey Feed() const;
  // What all its keys begin with; their slot is this one's.
  const std::string& prefix() const { return prefix_; }

 private:
  RedisKey Key(std::string_view kind) const { return {{prefix_, kind, conv_}}; }
  RedisKey Key(std::string_view kind, std::string_view user) const { return {{prefix_, kind, conv_, "/", user}}; }
  RedisKey Key(std::string_view kind, std::string_view user, std::string_view of_user) const {
    return {{prefix_, kind, conv_, "/", user, "/", of_user}};
  }

  uint32_t partition_;
  std::string prefix_;
  std::string_view conv_;
};

// What a partition has beside its conversations: their names (a sorted set, all of score 0), which consumer groups read
// it, and the feed that tells these of news. What a group has there stands in lua/shared/feed.lua.
struct PartitionKeys {
  explicit PartitionKeys(uint32_t partition);
  std::string State(std::string_view group) const { return Of('f', group); }
  std::string News(std::string_view group) const { return Of('n', group); }
  std::string Held(std::string_view group) const { return Of('h', group); }
  std::string Letters(std::string_view group) const { return Of('x', group); }

  std::string catalogue;
  std::string groups;
  std::string feed;

 private:
  std::string Of(char kind, std::string_view group) const;
  std::string prefix_;
};

// Of all partitions: which groups there are, which partitions lately had news, where a group's dead letters lie, and
// who removes what retention lets go.
std::string FeedGroupsKey();
std::string FeedBellKey();
std::string FeedLettersKey(std::string_view group);
std::string RetentionTurnKey();
// What message tokens are signed with, and what one was used for.
std::string TokenKeyKey();
std::string TokenUseKey(std::string_view token);

// A sorted set of the user's conversations, all of score 0: in byte order.
std::string UserIndexKey(std::string_view user);
std::string UserDevicesKey(std::string_view user);
std::string WorkersKey();
// A hash: what `everyonce migrate` moves here. `state` moving | moved, `source` the store, `at` Unix ms.
std::string MigrationKey();
// Of any slot, by its index: written and removed to know how far replicas are (Migration::Secure).
std::string MigrationBarrierKey(uint32_t index);

}  // namespace everyonce
