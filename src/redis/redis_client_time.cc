// Calls of a RedisClient that wait: for a later try, or until it is known who serves their slot.

#include <algorithm>
#include <utility>

#include "redis/redis_client.h"
#include "redis/redis_client_timer.h"

namespace everyonce {

// `due_ms`: when it is looked at again, its deadline at the latest. As many wait as may wait for one node.
void RedisClient::Wait(const CallPointer& call, Calls* calls, uint64_t due_ms) {
  const bool full = waiting_.size() + unplaced_.size() >= options_.max_commands ||
                    waiting_bytes_ + call->bytes.size() > options_.max_bytes;
  if (full) {
    // What may have been done is told as that.
    if (!call->last.unknown()) call->last = {RedisCode::kQueueFull, "too much waits for Redis"};
    return call->done({call->last, {}, 0});
  }
  waiting_bytes_ += call->bytes.size();
  calls->emplace(due_ms, call);
  Schedule();
}

// Those that are due, in the order in which they came to be.
std::vector<RedisClient::CallPointer> RedisClient::TakeUntil(uint64_t now_ms, Calls* calls) {
  std::vector<CallPointer> due;
  const auto end = calls->upper_bound(now_ms);
  for (auto call = calls->begin(); call != end; ++call) {
    waiting_bytes_ -= call->second->bytes.size();
    due.push_back(std::move(call->second));
  }
  calls->erase(calls->begin(), end);
  return due;
}

void RedisClient::Schedule() {
  if (closed_) return;
  uint64_t due_ms = looking_ == nullptr ? look_at_ms_ : UINT64_MAX;
  for (const Calls* calls : {&waiting_, &unplaced_}) {
    if (!calls->empty()) due_ms = std::min(due_ms, calls->begin()->first);
  }
  if (due_ms == UINT64_MAX) return;
  const uint64_t now_ms = uv_hrtime() / 1000000;
  uv_update_time(loop_);
  uv_timer_start(
      &timer_->timer, [](uv_timer_t* timer) { static_cast<Timer*>(timer->data)->owner->OnTimer(); },
      due_ms > now_ms ? due_ms - now_ms : 0, 0);
}

void RedisClient::OnTimer() {
  const uint64_t now_ms = uv_hrtime() / 1000000;
  std::vector<CallPointer> due = TakeUntil(now_ms, &waiting_);
  for (CallPointer& call : TakeUntil(now_ms, &unplaced_)) due.push_back(std::move(call));
  if (looking_ == nullptr && now_ms >= look_at_ms_) LookNow();
  for (const CallPointer& call : due) {
    if (call->deadline_ms <= now_ms && !closed_) {
      GiveUp(call);
    } else {
      Send(call);
    }
  }
  Schedule();
}

}  // namespace everyonce
