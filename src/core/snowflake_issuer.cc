#include "core/snowflake_issuer.h"

#include <algorithm>

namespace everyonce {

SnowflakeIssuer::Result SnowflakeIssuer::Issue(int64_t now_ms, uint64_t* ids, size_t count) {
  if (now_ms < ids_.epoch_ms() || now_ms > ids_.max_ms()) return {.verdict = Verdict::kOutOfRange};
  const int64_t backward_ms = std::max<int64_t>(newest_now_ms_ - now_ms, 0);
  if (backward_ms > 0 && !is_behind_) ++steps_back_;
  is_behind_ = backward_ms > 0;
  if (backward_ms > rules_.max_backward_ms) {
    return {.verdict = Verdict::kClockBackwards,
            .wait_ms = backward_ms - rules_.max_backward_ms,
            .backward_ms = backward_ms};
  }
  newest_now_ms_ = std::max(newest_now_ms_, now_ms);
  // Borrowing is counted from where the clock has been, so that a small step back takes nothing away.
  const int64_t ahead_ms = newest_now_ms_ + rules_.max_ahead_ms;
  Result result;
  result.backward_ms = backward_ms;
  result.issued = ids_.Fill(now_ms, std::min(ahead_ms, bounds_.reserved_until_ms), ids, count);
  issued_ += result.issued;
  if (result.issued == count) return result;
  if (ids_.last_ms() >= bounds_.reserved_until_ms || now_ms > bounds_.reserved_until_ms) {
    result.verdict = Verdict::kUnreserved;
  } else if (ids_.last_ms() >= ids_.max_ms()) {
    result.verdict = Verdict::kOutOfRange;
  } else {
    result.verdict = Verdict::kExhausted;
    // The millisecond after the newest one comes within reach when the clock is this much further.
    result.wait_ms = std::max<int64_t>(ids_.last_ms() + 1 - rules_.max_ahead_ms - now_ms, 1);
  }
  return result;
}

}  // namespace everyonce
