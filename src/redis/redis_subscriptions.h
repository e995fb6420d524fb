#pragma once

#include <uv.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "redis/redis_client.h"

namespace everyonce {

// Sharded channels, one per partition of the keys (redis_keys.h), each subscribed to at the master that serves its
// slot, over connections of their own: what has subscribed may say nothing else (RESP2). They follow slots that move
// and masters that change, and are made again after a cut. Not thread-safe: one loop, the client's.
class RedisSubscriptions {
 public:
  // What a channel said, and that a subscription begins: what was said before did not come. `again`: it had begun
  // before.
  using Said = std::function<void(uint32_t channel, std::string_view payload)>;
  using Began = std::function<void(uint32_t channel, bool again)>;

  // `client` tells who serves what, and outlives this.
  RedisSubscriptions(uv_loop_t* loop, RedisClient* client, Said said, Began began);
  ~RedisSubscriptions();
  RedisSubscriptions(const RedisSubscriptions&) = delete;
  RedisSubscriptions& operator=(const RedisSubscriptions&) = delete;

  static std::string NameOf(uint32_t channel);

  void Subscribe(uint32_t channel);
  // Takes effect a while later, so that one who comes and goes costs nothing.
  void Unsubscribe(uint32_t channel);
  // Masters may have changed: subscriptions that lie elsewhere move.
  void Follow();
  void Close();

  size_t active() const { return active_; }

 private:
  enum class State : uint8_t { kOff, kAsked, kOn };
  struct Channel {
    bool wanted = false;
    bool began = false;
    State state = State::kOff;
    uint64_t asked = 0;  // which question is the newest
    std::string node;    // where it is, or is asked for
  };
  struct Node {
    std::shared_ptr<RedisConnection> connection;
    size_t channels = 0;  // asked for or on
  };

  void Place(uint32_t channel);
  void Asked(uint32_t channel, uint64_t asked, const std::string& node, const RedisResult& result);
  void Drop(uint32_t channel, bool tell);
  void Pushed(const std::string& node, std::string_view kind, std::string_view name, std::string_view payload);
  void LinkChanged(const std::string& node, bool up);
  RedisConnection* ConnectionTo(const SlotMap::Node& node);
  void Soon();
  void OnTimer();
  void Ping();
  void LetIdleNodesGo();

  uv_loop_t* loop_;
  RedisClient* client_;
  Said said_;
  Began began_;
  bool closed_ = false;
  std::vector<Channel> channels_;
  std::map<std::string, Node> nodes_;
  size_t active_ = 0;
  uint64_t asked_ = 0;
  uint64_t ping_at_ms_ = 0;
  uv_timer_t* timer_ = nullptr;
};

}  // namespace everyonce
