#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "log/log.h"
#include "redis/redis_client.h"

namespace everyonce {

// What is removed. Each rule by itself removes; none: nothing is ever removed.
struct RedisRetentionOptions {
  int64_t max_age_ms = 0;     // messages accepted longer ago; 0: no such rule
  uint64_t messages = 0;      // all but the newest of a conversation; 0: no such rule
  bool until_acked = false;   // what everybody has acked (lua/retain.lua)
  int64_t every_ms = 60'000;  // from the end of one round over all conversations to the begin of the next
  int64_t slice_every_ms = 20;
  uint32_t slice_records = 200;  // of a conversation, in one script call: some hundred µs of the server's time

  bool removes() const { return max_age_ms > 0 || messages > 0 || until_acked; }
};

// Retention on Redis, in slices: names of conversations from the partitions' catalogues, then a script call for each.
// Everything is decided inside these, so that it does no harm where two processes do it at once; as a rule one does
// (lua/turn.lua), and the others wait for its end.
class RedisRetention {
 public:
  struct Host {
    RedisClient* client = nullptr;
    std::string owner;
    LogCounters* counters = nullptr;
    // The consumer groups as far as they are known here, and a word that there are others.
    std::function<std::vector<std::string>()> groups;
    std::function<void(const std::string& name)> meet_group;
    // Takes over the news of a partition, for all groups.
    std::function<void(uint32_t partition)> take_over;
  };

  RedisRetention(Host host, RedisRetentionOptions options) : host_(std::move(host)), options_(options) {}

  // Begins a slice where none is under way. Returns after how many ms to call it again; -1: never.
  int64_t Slice(int64_t now_ms);
  // No slice is under way.
  bool idle() const { return under_way_ == 0; }

 private:
  struct Name {
    std::string conv;
    uint32_t tries = 0;
  };
  struct Asking;  // who has which devices

  void TakeTurn();
  void ListNames();
  void Listed(uint32_t partition, const RedisResult& result);
  void LookAt(Name name, const std::string& version, const std::vector<std::string>& users);
  void Looked(const Name& name, const RedisResult& result);
  void Disown(const Name& name, const RedisReply& reply);
  void AskDevices(const Name& name, const RedisReply& reply);
  void Failed();
  void PartDone() { --under_way_; }
  void EndRound();

  Host host_;
  RedisRetentionOptions options_;
  int64_t now_ms_ = 0;
  size_t under_way_ = 0;
  bool in_round_ = false;
  bool resting_ = false;  // the round has ended, or is another's
  uint32_t next_partition_ = 0;
  std::deque<std::pair<uint32_t, std::string>> unlisted_;  // partitions of which there are more names, behind this one
  std::deque<Name> names_;
};

}  // namespace everyonce
