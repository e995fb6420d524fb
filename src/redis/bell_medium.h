#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "log/relay.h"

namespace everyonce {

// What carries the bells of RedisRelay and answers where things stand: Redis (redis_medium.h), or what stands for it in
// a simulation. Of one loop.
class BellMedium {
 public:
  virtual ~BellMedium() = default;

  // What a channel said, and that a subscription begins: what was said before did not come. `again`: it had begun
  // before.
  using Said = std::function<void(uint32_t channel, std::string_view payload)>;
  using Began = std::function<void(uint32_t channel, bool again)>;
  virtual void Listen(Said said, Began began) = 0;

  virtual void Subscribe(uint32_t channel) = 0;
  virtual void Unsubscribe(uint32_t channel) = 0;
  virtual size_t active() const = 0;  // subscriptions that have begun

  // At most once: what is lost is lost. `done` on the loop; ok: it was given out.
  virtual void Publish(uint32_t channel, std::string payload, std::function<void(bool ok)> done) = 0;

  // As Relay's.
  virtual void Heads(const std::vector<std::string>& convs, Relay::HeadsDone done) = 0;
  virtual void People(const std::vector<std::pair<std::string, std::string>>& devices, Relay::PeopleDone done) = 0;

  virtual void Close() = 0;
};

}  // namespace everyonce
