#pragma once

#include <algorithm>
#include <cstdint>

namespace everyonce {

// Packets per second of one connection, averaged over 10 s: a token bucket that holds ten seconds' worth
// (protocol.md, `limits.rate`). Time is passed in; it may stand still, and going back counts as standing still.
class RateLimiter {
 public:
  explicit RateLimiter(uint32_t per_second = 0) : per_second_(per_second), tokens_milli_(Capacity()) {}

  // Takes one packet, or what costs as much as `count` of them. Returns 0 where it is within the rate, else the
  // milliseconds after which it will be. REQUIRES: count ≤ 10.
  int64_t Take(int64_t now_ms, uint32_t count = 1) {
    const int64_t cost_milli = int64_t{1000} * count;
    if (per_second_ == 0) return 0;
    if (last_ms_ == 0) last_ms_ = now_ms;
    if (now_ms > last_ms_) {
      tokens_milli_ = std::min(Capacity(), tokens_milli_ + (now_ms - last_ms_) * per_second_);
      last_ms_ = now_ms;
    }
    if (tokens_milli_ >= cost_milli) {
      tokens_milli_ -= cost_milli;
      return 0;
    }
    return std::max<int64_t>(1, (cost_milli - tokens_milli_ + per_second_ - 1) / per_second_);
  }

 private:
  static constexpr int64_t kSeconds = 10;
  int64_t Capacity() const { return int64_t{1000} * kSeconds * per_second_; }

  int64_t per_second_;
  int64_t tokens_milli_;  // thousandths of a packet, so that no fraction is lost
  int64_t last_ms_ = 0;
};

// How often something happened within a sliding window of fixed length, kept as one window with a start: it never
// counts less than what happened since the window began.
class WindowCounter {
 public:
  explicit WindowCounter(int64_t window_ms) : window_ms_(window_ms) {}

  // Counts one more and returns how many the window holds.
  uint32_t Add(int64_t now_ms) {
    if (count_ == 0 || now_ms - start_ms_ >= window_ms_) {
      start_ms_ = now_ms;
      count_ = 0;
    }
    return ++count_;
  }

 private:
  int64_t window_ms_;
  int64_t start_ms_ = 0;
  uint32_t count_ = 0;
};

}  // namespace everyonce
