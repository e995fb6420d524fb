#include "runtime/engine_thread.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace everyonce {

EngineThread::EngineThread(std::unique_ptr<Log> log, EngineOptions options, std::function<void()> wake)
    : EngineThread(std::move(wake)) {
  Start(std::move(log), std::move(options));
}

EngineThread::EngineThread(std::function<void()> wake) : wake_(std::move(wake)) {
  uv_loop_init(&loop_);
  uv_async_init(&loop_, &async_, [](uv_async_t* handle) { static_cast<EngineThread*>(handle->data)->StepAll(); });
  uv_timer_init(&loop_, &timer_);
  async_.data = this;
  timer_.data = this;
  // Until it starts they keep no loop busy.
  uv_unref(reinterpret_cast<uv_handle_t*>(&async_));
}

void EngineThread::Start(std::unique_ptr<Log> log, EngineOptions options) {
  log_ = std::move(log);
  engine_ = std::make_unique<Engine>(log_.get(), std::move(options));
  // In the next turn of the loop: it is called in the middle of the log's own work.
  log_->OnAnswered([this] { uv_async_send(&async_); });
  uv_ref(reinterpret_cast<uv_handle_t*>(&async_));
  thread_ = std::thread([this] { Run(); });
  Signal();  // what is due by itself is due from the beginning
}

EngineThread::~EngineThread() {
  if (thread_.joinable()) {
    PushControl({.kind = InputKind::kStop});
    // Nobody takes the output any more: make room until the thread has ended.
    OutputBatch batch;
    while (!ended_.load(std::memory_order_acquire)) {
      while (PopOutput(&batch)) {
      }
      std::this_thread::yield();
    }
    Join();
  } else if (engine_ == nullptr && !finished_) {
    CloseLoop();  // never started
  }
  Input* input = nullptr;
  while (inbox_.pop(input)) delete input;
  OutputBatch* batch = nullptr;
  while (outbox_.pop(batch)) delete batch;
}

bool EngineThread::TryPushFrames(Input input) {
  Flush();
  const size_t bytes = input.bytes.size();
  const bool too_many = inbox_bytes_.load(std::memory_order_relaxed) + bytes > kInboxBytes;
  if (!waiting_.empty() || inbox_.write_available() == 0 || (too_many && inbox_.write_available() < kInboxItems)) {
    drain_wanted_.store(true, std::memory_order_seq_cst);
    Signal();  // the engine may have emptied the queue since
    return false;
  }
  inbox_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  waiting_.push_back(std::make_unique<Input>(std::move(input)));
  Flush();  // there is room: this thread alone puts in
  Signal();
  return true;
}

void EngineThread::PushControl(Input input) {
  waiting_.push_back(std::make_unique<Input>(std::move(input)));
  Flush();
  Signal();
}

// Moves waiting control items into the inbox, in order. True where there was one: the engine must be told.
bool EngineThread::Flush() {
  const size_t before = waiting_.size();
  while (!waiting_.empty() && inbox_.push(waiting_.front().get())) {
    (void)waiting_.front().release();  // the queue owns it
    waiting_.pop_front();
  }
  if (!waiting_.empty()) drain_wanted_.store(true, std::memory_order_seq_cst);
  return waiting_.size() != before;
}

void EngineThread::Signal() {
  if (thread_.joinable()) uv_async_send(&async_);
}

bool EngineThread::PopOutput(OutputBatch* batch) {
  if (Flush()) Signal();
  OutputBatch* taken = nullptr;
  if (!outbox_.pop(taken)) return false;
  *batch = std::move(*taken);
  delete taken;
  // Both sides exchange: either this sees that the engine waits, or the engine's second push sees the room.
  if (output_blocked_.exchange(false, std::memory_order_acq_rel)) Signal();
  return true;
}

void EngineThread::Join() {
  if (!thread_.joinable()) return;
  thread_.join();
  // Only now: until here this thread may still have signalled the loop.
  CloseLoop();
}

void EngineThread::CloseLoop() {
  uv_close(reinterpret_cast<uv_handle_t*>(&async_), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&timer_), nullptr);
  uv_run(&loop_, UV_RUN_DEFAULT);
  uv_loop_close(&loop_);
}

EngineCounters EngineThread::counters() const {
  const std::lock_guard<std::mutex> lock(counters_mutex_);
  return counters_;
}

LogCounters EngineThread::log_counters() const {
  const std::lock_guard<std::mutex> lock(counters_mutex_);
  return log_counters_;
}

EngineThread::RelayStats EngineThread::relay_stats() const {
  const std::lock_guard<std::mutex> lock(counters_mutex_);
  return relay_stats_;
}

Time EngineThread::Now() {
  using std::chrono::duration_cast;
  using std::chrono::milliseconds;
  return {.wall_ms = duration_cast<milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count(),
          .steady_ms = duration_cast<milliseconds>(std::chrono::steady_clock::now().time_since_epoch()).count() + 1};
}

void EngineThread::Run() {
  uv_run(&loop_, UV_RUN_DEFAULT);  // until Finish
  ended_.store(true, std::memory_order_release);
}

// One wake: take in everything, decide and commit it, give out; again while there is more.
void EngineThread::StepAll() {
  if (finished_) return;
  for (;;) {
    if (!GiveOut()) return;  // the outbox is full: PopOutput wakes us
    const Time now = Now();
    const bool took = TakeIn(now);
    engine_->Step(now);
    if (took && drain_wanted_.exchange(false, std::memory_order_seq_cst)) drained_ = true;
    Publish();
    if (!GiveOut()) return;
    if (stopping_ && !engine_->HasWork() && !engine_->IsCommitting()) return Finish();
    if (!took && !engine_->HasWork()) break;
  }
  // Refused while the queue was already empty: no item will come to report on.
  if (inbox_.read_available() == 0 && drain_wanted_.exchange(false, std::memory_order_seq_cst)) {
    drained_ = true;
    if (!GiveOut()) return;
  }
  Arm();
}

// Takes in what one step may decide: in order, and no more than the step can look at, so that what waits does so in the
// inbox, whose fullness pauses the sockets, and not inside the engine. True where anything was taken.
bool EngineThread::TakeIn(const Time& now) {
  if (engine_->HasReady()) return false;
  bool took = false;
  size_t bytes = 0;
  size_t packets = 0;
  while (!stopping_ && bytes < kMaxBytesPerStep && packets < kMaxPacketsPerStep) {
    if (frames_ == nullptr) {
      Input* next = nullptr;
      if (!inbox_.pop(next)) break;
      took = true;
      std::unique_ptr<Input> input(next);
      if (input->kind != InputKind::kFrames) {
        ++packets;
        Take(*input);
        continue;
      }
      inbox_bytes_.fetch_sub(input->bytes.size(), std::memory_order_relaxed);
      frames_ = std::move(input);
      next_frame_ = 0;
    }
    if (next_frame_ < frames_->frames.size()) {
      const FrameSpan& span = frames_->frames[next_frame_++];
      took = true;
      bytes += span.length;
      packets +=
          engine_->Receive(span.connection, std::string_view(frames_->bytes).substr(span.offset, span.length), now);
    }
    if (next_frame_ >= frames_->frames.size()) frames_.reset();
  }
  return took;
}

void EngineThread::Take(Input& input) {
  switch (input.kind) {
    case InputKind::kFrames:  // TakeIn has them
      return;
    case InputKind::kOpen:
      return engine_->Open(input.id, input.user);
    case InputKind::kAccept:
      return engine_->Accept(input.id, input.user);
    case InputKind::kClose:
      return engine_->Close(input.id);
    case InputKind::kLagging:
      return engine_->SetLagging(input.id, input.flag);
    case InputKind::kRequest:
      return engine_->Request(input.id, input.user, input.device, input.bytes, input.flag);
    case InputKind::kDrain:
      return engine_->Drain(input.after_ms);
    case InputKind::kAuthorized:
      return engine_->Authorized(input.id, input.flag);
    case InputKind::kMessageEvents:
      return engine_->SetMessageEvents(input.flag);
    case InputKind::kFeed:
      return engine_->CallFeed(input.id, std::move(*input.feed), Now());
    case InputKind::kArchived:
      return engine_->Archived(input.id, input.flag, std::move(input.texts));
    case InputKind::kTask:
      task_answers_.AddBytes(OutputKind::kAnswer, input.id, input.task());
      return;
    case InputKind::kStop:
      stopping_ = true;
      return;
  }
}

// Puts what the engine has into the outbox and wakes the edge. False where there is no room.
bool EngineThread::GiveOut() {
  if (blocked_ == nullptr) {
    std::vector<OutputBatch> batches;
    batches.push_back(engine_->TakeOutput());
    if (!task_answers_.empty()) batches.push_back(std::exchange(task_answers_, {}));
    auto batch = std::make_unique<OutputBatch>(MergeBatches(std::move(batches)));
    if (drained_) batch->Add(OutputKind::kDrain, 0);
    drained_ = false;
    if (batch->empty()) return true;
    blocked_ = std::move(batch);
  }
  if (!outbox_.push(blocked_.get())) {
    output_blocked_.exchange(true, std::memory_order_acq_rel);
    // It may have been emptied between the two: then nobody would wake us.
    if (!outbox_.push(blocked_.get())) return false;
  }
  (void)blocked_.release();  // the queue owns it
  if (wake_) wake_();
  return true;
}

// Everything that was taken in is decided and given out: close the store, say so, end.
void EngineThread::Finish() {
  finished_ = true;
  log_->Close();  // what is still read is answered while there is someone to take it
  engine_.reset();
  log_.reset();
  blocked_ = std::make_unique<OutputBatch>();
  blocked_->Add(OutputKind::kStopped, 0);
  while (!outbox_.push(blocked_.get())) std::this_thread::yield();  // the edge empties it, or ~EngineThread does
  (void)blocked_.release();                                         // the queue owns it
  if (wake_) wake_();
  uv_stop(&loop_);
}

void EngineThread::Publish() {
  const std::lock_guard<std::mutex> lock(counters_mutex_);
  counters_ = engine_->counters();
  log_counters_ = log_->counters();
  if (const Relay* relay = log_->relay(); relay != nullptr) {
    relay_stats_ = {relay->counters(), engine_->relaying_counters()};
  }
}

void EngineThread::Arm() {
  const int64_t deadline_ms = engine_->NextDeadline();
  if (deadline_ms == INT64_MAX) {
    uv_timer_stop(&timer_);
    return;
  }
  const auto wait_ms = static_cast<uint64_t>(std::max<int64_t>(1, deadline_ms - Now().steady_ms));
  uv_update_time(&loop_);
  uv_timer_start(
      &timer_, [](uv_timer_t* handle) { static_cast<EngineThread*>(handle->data)->StepAll(); }, wait_ms, 0);
}

}  // namespace everyonce
