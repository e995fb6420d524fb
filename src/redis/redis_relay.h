#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "log/log.h"
#include "log/relay.h"
#include "redis/bell_codec.h"
#include "redis/bell_medium.h"

namespace everyonce {

// What a relay knows and tells of the log that it belongs to.
struct RedisRelayLog {
  // The members of a group as far as they are known here, and which list that is; null: unknown.
  std::function<std::pair<std::string, std::shared_ptr<const MemberList>>(const std::string& conv)> members;
  // A device has said hello elsewhere.
  std::function<void(const Bell& bell)> hello;
  // Something was heard, or answered.
  std::function<void()> wake;
};

// Bells by sharded pub/sub, one channel per partition of the keys: of a conversation's messages by its own partition,
// of what concerns a user by the user's. A process subscribes to the partitions that its connections need.
//
// Why partitions: what is rung for one group of commits goes out in one SPUBLISH per partition, whatever the number of
// members, and a process has 1024 subscriptions at most, which are soon made again when a node is lost. The price is
// that a process with many users hears of all messages, and drops those of no concern: two to four
// microseconds each. Channels of users would cost a publication for each member of a group, channels of conversations
// millions of subscriptions.
class RedisRelay final : public Relay {
 public:
  // `origin`: no other process has it.
  RedisRelay(std::unique_ptr<BellMedium> medium, uint64_t origin, RedisRelayLog log);
  void Close() { medium_->Close(); }

  uint32_t channels() const override;
  uint32_t ChannelOf(std::string_view name) const override;
  void Watch(uint32_t channel) override;
  void Unwatch(uint32_t channel) override;
  void Tell(uint32_t channel, const Bell& bell) override;
  void Send() override;
  void Listen(Heard heard, Unsure unsure) override;
  bool Resolve(Bell* bell) override;
  void Heads(const std::vector<std::string>& convs, HeadsDone done) override;
  void People(const std::vector<std::pair<std::string, std::string>>& devices, PeopleDone done) override;
  RelayCounters counters() const override;

 private:
  struct Pending {
    std::string payload;
    uint64_t bells = 0;
  };

  std::string VersionFor(const Bell& bell) const;
  void Publish(uint32_t channel, Pending pending);
  void Said(uint32_t channel, std::string_view payload);
  void Began(uint32_t channel, bool again);
  void NoteNumber(uint32_t channel, const BellHeader& header, uint64_t count);

  std::unique_ptr<BellMedium> medium_;
  uint64_t origin_;
  RedisRelayLog log_;
  Heard heard_;
  Unsure unsure_;
  std::vector<uint32_t> watched_;      // how often, by channel
  std::vector<uint64_t> next_number_;  // of our own bells, by channel
  std::map<uint32_t, Pending> pending_;
  size_t pending_bytes_ = 0;
  size_t under_way_bytes_ = 0;
  // By channel: who rings there, and the number of the bell that comes next.
  std::vector<std::map<uint64_t, uint64_t>> expected_;
  RelayCounters counters_;
};

}  // namespace everyonce
