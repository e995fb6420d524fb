// Deadlines of a RedisConnection: of connecting, of commands, and the wait before the next attempt.

#include <algorithm>
#include <utility>

#include "redis/redis_connection.h"
#include "redis/redis_socket.h"

namespace everyonce {

void RedisConnection::Schedule() {
  if (handles_ == nullptr) return;
  uint64_t due_ms = waiting_.empty() && in_flight_.empty() ? UINT64_MAX : earliest_deadline_ms_;
  if (state_ == State::kDown) due_ms = std::min(due_ms, reconnect_at_ms_);
  if (state_ == State::kConnecting || state_ == State::kGreeting) due_ms = std::min(due_ms, connect_deadline_ms_);
  if (due_ms >= armed_for_ms_) return;  // the timer comes earlier anyway, and looks again
  armed_for_ms_ = due_ms;
  const uint64_t now_ms = NowMs();
  uv_update_time(loop_);
  uv_timer_start(
      &handles_->timer,
      [](uv_timer_t* timer) {
        const std::shared_ptr<RedisConnection> owner = static_cast<Handles*>(timer->data)->owner;
        owner->OnTimer();
      },
      due_ms > now_ms ? due_ms - now_ms : 0, 0);
}

void RedisConnection::OnTimer() {
  armed_for_ms_ = UINT64_MAX;
  const uint64_t now_ms = NowMs();
  if ((state_ == State::kConnecting || state_ == State::kGreeting) && now_ms >= connect_deadline_ms_) {
    // A server without TLS says nothing at all: to it the handshake is the beginning of a long command.
    const bool shaking = state_ == State::kConnecting && socket_ != nullptr && socket_->tls != nullptr;
    Fail({RedisCode::kUnreachable, "no answer within " + std::to_string(options_.connect_timeout_ms) + " ms" +
                                       (shaking ? " to TLS (without it the URL begins with redis://)" : "")});
  } else if (state_ == State::kDown && now_ms >= reconnect_at_ms_) {
    Connect();
  }
  if (now_ms >= earliest_deadline_ms_) ExpireOverdue(now_ms);
  Schedule();
}

void RedisConnection::ExpireOverdue(uint64_t now_ms) {
  earliest_deadline_ms_ = UINT64_MAX;
  std::deque<Entry> never_sent;
  std::erase_if(waiting_, [&](Entry& entry) {
    if (!entry.greeting && entry.deadline_ms <= now_ms) {
      never_sent.push_back(std::move(entry));
      return true;
    }
    earliest_deadline_ms_ = std::min(earliest_deadline_ms_, entry.deadline_ms);
    return false;
  });
  std::vector<Done> overdue;
  const bool stuck = !in_flight_.empty() && !in_flight_.front().greeting && in_flight_.front().deadline_ms <= now_ms;
  for (Entry& entry : in_flight_) {
    if (!entry.greeting && entry.deadline_ms <= now_ms) {
      if (entry.done) overdue.push_back(std::exchange(entry.done, nullptr));
    } else {
      earliest_deadline_ms_ = std::min(earliest_deadline_ms_, entry.deadline_ms);
    }
  }
  if (stuck) Fail({RedisCode::kTimeout, "no answer in time"});
  const std::string name = options_.address.Name();
  for (Done& done : overdue) done({{RedisCode::kTimeout, name + ": no answer in time"}, {}, 0});
  RedisStatus unreachable = {RedisCode::kUnreachable,
                             last_failure_.ok() ? name + ": not sent in time" : last_failure_.message};
  if (last_failure_.hopeless()) unreachable.code = last_failure_.code;
  AnswerAll(&never_sent, unreachable);
}

}  // namespace everyonce
