#include "store/store_thread.h"

#include <algorithm>
#include <chrono>
#include <random>
#include <utility>

#include "log/generation.h"
#include "log/log_format.h"

namespace everyonce {
namespace {

int64_t SteadyMs() {
  using std::chrono::milliseconds;
  return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

uint64_t RandomSeed() {
  std::random_device source;
  return uint64_t{source()} << 32 | source();
}

// One call for each sink, with its answers in order.
void GiveOut(std::vector<StoreRequest>* group, std::vector<StoreAnswer>* answers) {
  std::vector<std::pair<AnswerSink*, std::vector<StoreResult>>> by_sink;
  for (size_t i = 0; i < group->size(); ++i) {
    AnswerSink* sink = (*group)[i].sink.get();
    if (sink == nullptr) continue;
    auto own = std::find_if(by_sink.begin(), by_sink.end(), [&](const auto& entry) { return entry.first == sink; });
    if (own == by_sink.end()) own = by_sink.insert(own, {sink, {}});
    own->second.push_back({(*group)[i].id, std::move((*answers)[i])});
  }
  for (auto& [sink, results] : by_sink) sink->Take(std::move(results));
}

}  // namespace

StoreThread::StoreThread(std::unique_ptr<Kv> kv) : kv_(std::move(kv)), table_(kv_.get()), filter_(RandomSeed()) {
  thread_ = std::thread([this] { Run(); });
}

StoreThread::~StoreThread() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

bool StoreThread::Submit(StoreRequest request) {
  {
    const std::lock_guard lock(mutex_);
    const bool too_large = queued_bytes_ + request.bytes > kMaxQueuedBytes && !queue_.empty();
    if (queue_.size() >= kMaxQueued || too_large) {
      ++counters_.refused;
      return false;
    }
    queued_bytes_ += request.bytes;
    queue_.push_back(std::move(request));
  }
  wake_.notify_one();
  return true;
}

void StoreThread::SetTime(int64_t now_ms) {
  const std::lock_guard lock(mutex_);
  told_ms_ = std::max(told_ms_, now_ms);
}

StoreCounters StoreThread::counters() const {
  const std::lock_guard lock(mutex_);
  StoreCounters counters = counters_;
  counters.queued = queue_.size();
  return counters;
}

void StoreThread::Run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (queue_.empty() && stopping_) return;
    if (queue_.empty()) {
      const int64_t wait_ms = filter_.building() ? 0 : tend_at_ms_ - SteadyMs();
      const auto wanted = [this] { return stopping_ || !queue_.empty(); };
      if (wait_ms > 0) wake_.wait_for(lock, std::chrono::milliseconds(wait_ms), wanted);
    }
    Group group = TakeGroup(lock);
    lock.unlock();
    if (!group.empty()) Decide(std::move(group));
    if (filter_.building()) BuildFilter();
    if (tend_at_ms_ <= SteadyMs()) Tend();
    lock.lock();
  }
}

StoreThread::Group StoreThread::TakeGroup(const std::unique_lock<std::mutex>&) {
  Group group;
  size_t bytes = 0;
  while (!queue_.empty() && group.size() < kGroupOperations && bytes < kGroupBytes) {
    bytes += queue_.front().bytes;
    group.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  queued_bytes_ -= bytes;
  return group;
}

void StoreThread::Decide(Group group) {
  std::vector<StoreAnswer> answers;
  Status status = Prepare();
  if (status.ok()) status = Act(&group, &answers);
  const bool wrote = status.ok() && !table_.empty();
  if (status.ok()) status = table_.Write(true);
  table_.Clear();
  if (!status.ok()) {
    // Unknown whether any of it is there.
    ready_ = false;
    status.code = Code::kUnavailable;
    answers.assign(group.size(), StoreAnswer{.status = status, .values = {}});
  }
  if (wrote) tend_at_ms_ = std::min(tend_at_ms_, SteadyMs() + kTendMs);
  {
    const std::lock_guard lock(mutex_);
    counters_.operations += group.size();
    counters_.filter = filter_.stats();
    if (wrote) ++(status.ok() ? counters_.groups : counters_.failures);
  }
  GiveOut(&group, &answers);
}

// The store is usable, and what is known of it is as of its last recovery, whoever did that.
Status StoreThread::Prepare() {
  if (ready_ && !kv_->stale()) return Status::Ok();
  const int64_t steady_ms = SteadyMs();
  if (kv_->stale()) {
    if (steady_ms < retry_at_ms_)
      return Status::Error(Code::kUnavailable, "the store has failed and is being recovered");
    ready_ = false;
    retry_at_ms_ = steady_ms + kRetryMs;
    if (Status status = kv_->Recover(); !status.ok()) return status;
    retry_at_ms_ = 0;
  }
  swept_ms_ = 0;  // what was removed and not synced may be back
  Status status = ReadMetaNumber(kv_.get(), key::Generation(), &generation_);
  ready_ = status.ok();
  return status;
}

Status StoreThread::Act(Group* group, std::vector<StoreAnswer>* answers) {
  const StoreRoom room = {.table = &table_, .now_ms = Now(), .generation = generation_, .filter = &filter_};
  answers->reserve(group->size());
  for (StoreRequest& request : *group) {
    const uint64_t before = table_.changes();
    answers->push_back(request.act(room));
    const Status& status = answers->back().status;
    if (!status.ok() && table_.changes() != before) return status;
  }
  return Status::Ok();
}

// Between groups, so nothing is staged: what is stored and what the filter was told meanwhile are all there is.
void StoreThread::BuildFilter() {
  const bool usable = Prepare().ok() && filter_.Slice(kv_.get(), "d", kFilterSlice).ok();
  std::unique_lock lock(mutex_);
  counters_.filter = filter_.stats();
  // It goes on when the store does.
  if (!usable)
    wake_.wait_for(lock, std::chrono::milliseconds(kTendMs), [this] { return stopping_ || !queue_.empty(); });
}

void StoreThread::Tend() {
  const int64_t steady_ms = SteadyMs();
  tend_at_ms_ = steady_ms + kTendMs;
  if (!Prepare().ok()) return;
  size_t removed = 0;
  int64_t next_ms = 0;
  const int64_t now_ms = Now();
  Status status = RemoveExpired(&table_, swept_ms_, now_ms, kSlice, &removed, &next_ms);
  // Not synced: what comes back after a crash has expired all the same, and is removed again.
  if (status.ok()) status = table_.Write(false);
  table_.Clear();
  if (!status.ok()) {
    ready_ = false;
    return;
  }
  swept_ms_ = std::min(next_ms, now_ms);
  constexpr int64_t kLongestMs = 3600000;
  const int64_t due_ms = std::clamp<int64_t>(next_ms > now_ms ? next_ms - now_ms : 0, 0, kLongestMs);
  tend_at_ms_ = steady_ms + (removed == kSlice ? 0 : std::max(due_ms, kTendMs));
  const std::lock_guard lock(mutex_);
  counters_.expired += removed;
}

int64_t StoreThread::Now() {
  using std::chrono::milliseconds;
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  int64_t told_ms = 0;
  {
    const std::lock_guard lock(mutex_);
    told_ms = told_ms_;
  }
  const int64_t wall_ms = std::chrono::duration_cast<milliseconds>(wall).count();
  now_ms_ = told_ms != 0 ? told_ms : std::max(now_ms_, wall_ms);
  return now_ms_;
}

}  // namespace everyonce
