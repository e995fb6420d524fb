#pragma once

#include <uv.h>

#include <string>
#include <utility>
#include <vector>

#include "redis/bell_medium.h"
#include "redis/redis_client.h"
#include "redis/redis_subscriptions.h"

namespace everyonce {

// Bells by sharded pub/sub, positions by scripts.
class RedisMedium final : public BellMedium {
 public:
  // `client` outlives it.
  RedisMedium(uv_loop_t* loop, RedisClient* client);

  void Listen(Said said, Began began) override;
  void Subscribe(uint32_t channel) override { subscriptions_.Subscribe(channel); }
  void Unsubscribe(uint32_t channel) override { subscriptions_.Unsubscribe(channel); }
  size_t active() const override { return subscriptions_.active(); }
  void Publish(uint32_t channel, std::string payload, std::function<void(bool ok)> done) override;
  void Heads(const std::vector<std::string>& convs, Relay::HeadsDone done) override;
  void People(const std::vector<std::pair<std::string, std::string>>& devices, Relay::PeopleDone done) override;
  void Close() override { subscriptions_.Close(); }

 private:
  RedisClient* client_;
  Said said_;
  Began began_;
  RedisSubscriptions subscriptions_;
};

}  // namespace everyonce
