#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "engine/rate_limiter.h"

namespace everyonce {

// The rate of several connections together: all of one user, all of one address.
struct SharedRate {
  explicit SharedRate(uint32_t per_second) : rate(per_second), refused(60'000) {}
  RateLimiter rate;
  WindowCounter refused;
};

// Finds the rate of a key. One that no connection has any more is kept for a while, so that coming back does not begin
// anew; bounded: what rested longest is forgotten.
class SharedRates {
 public:
  // `per_second` 0: there is no limit, and nothing is kept.
  explicit SharedRates(uint32_t per_second, size_t max_resting = 65'536)
      : per_second_(per_second), max_resting_(max_resting) {}

  uint32_t per_second() const { return per_second_; }
  size_t size() const { return by_key_.size(); }

  // Null where there is no limit. What is held by somebody is never forgotten.
  std::shared_ptr<SharedRate> Of(std::string_view key, int64_t now_ms);

  // Long enough for a bucket of ten seconds to be full again, and for refusals to be over.
  static constexpr int64_t kRestMs = 60'000;

 private:
  struct Entry {
    std::string key;
    std::shared_ptr<SharedRate> rate;
    int64_t used_ms = 0;
  };
  using Entries = std::list<Entry>;  // most recently used first
  void Trim(int64_t now_ms);

  uint32_t per_second_;
  size_t max_resting_;
  Entries entries_;
  std::unordered_map<std::string_view, Entries::iterator> by_key_;
};

}  // namespace everyonce
