#include "engine/shared_rates.h"

#include <iterator>

namespace everyonce {
namespace {

constexpr int kLooksPerCall = 4;  // more than one, so that what is due goes faster than it comes

}  // namespace

std::shared_ptr<SharedRate> SharedRates::Of(std::string_view key, int64_t now_ms) {
  if (per_second_ == 0) return nullptr;
  Trim(now_ms);
  const auto found = by_key_.find(key);
  if (found != by_key_.end()) {
    entries_.splice(entries_.begin(), entries_, found->second);
    entries_.front().used_ms = now_ms;
    return entries_.front().rate;
  }
  entries_.push_front({std::string(key), std::make_shared<SharedRate>(per_second_), now_ms});
  by_key_.emplace(entries_.front().key, entries_.begin());
  return entries_.front().rate;
}

void SharedRates::Trim(int64_t now_ms) {
  for (int look = 0; look < kLooksPerCall && !entries_.empty(); ++look) {
    const auto last = std::prev(entries_.end());
    if (entries_.size() <= max_resting_ && now_ms - last->used_ms < kRestMs) return;
    if (last->rate.use_count() > 1) {  // somebody's: its rest has not begun
      last->used_ms = now_ms;
      entries_.splice(entries_.begin(), entries_, last);
      continue;
    }
    by_key_.erase(last->key);
    entries_.erase(last);
  }
}

}  // namespace everyonce
