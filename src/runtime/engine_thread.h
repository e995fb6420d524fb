#pragma once

#include <uv.h>

#include <atomic>
#include <boost/lockfree/spsc_queue.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>

#include "engine/engine.h"
#include "runtime/inbox.h"

namespace everyonce {

// Runs an Engine on a thread of its own, with its own libuv loop, between two bounded lock-free queues.
//
// The edge's thread (one, the JavaScript thread) calls everything public but the constructor's `wake`, which is called
// on the engine thread when output waits. Group commit needs no timer: while one group is being synced the inbox
// gathers, and what it holds then is the next group.
//
// Flow: a full inbox refuses frames (TryPushFrames is false) until kDrain is given out; a full outbox stops the engine
// from taking in, and so fills the inbox. Control items (open, close, accept …) are never refused: they wait in a list
// of the edge's own, bounded by the number of its connections.
class EngineThread {
 public:
  // `log` is owned, and destroyed (its store closed) on the engine thread before kStopped is given out.
  EngineThread(std::unique_ptr<Log> log, EngineOptions options, std::function<void()> wake);
  // The same in two steps, for a log that lives on this thread's loop: it is made on loop(), which its maker may run
  // until it is open, and handed to Start. Where Start is never called the log must be gone before this is.
  explicit EngineThread(std::function<void()> wake);
  uv_loop_t* loop() { return &loop_; }
  void Start(std::unique_ptr<Log> log, EngineOptions options);
  // Stops and joins if Stop was not called: what was taken in is decided, nothing is given out any more.
  ~EngineThread();
  EngineThread(const EngineThread&) = delete;
  EngineThread& operator=(const EngineThread&) = delete;

  // Frames in order; false, and nothing taken, where the inbox is full: a kDrain follows when there is room.
  bool TryPushFrames(Input input);
  void PushControl(Input input);

  // Takes what waits in the outbox, oldest first. Returns false where there is nothing.
  bool PopOutput(OutputBatch* batch);

  // After kStopped was taken: waits for the thread's end, at once.
  void Join();

  // Both clocks, now.
  static Time Now();

  // A copy of the engine's counters as of its last step.
  EngineCounters counters() const;
  // Synced writes and the like are the log's to tell: as of the last step.
  LogCounters log_counters() const;
  // What was told to and heard of other processes on the same log.
  struct RelayStats {
    RelayCounters relay;
    RelayingCounters relaying;
  };
  RelayStats relay_stats() const;

 private:
  static constexpr size_t kInboxItems = 1024;
  static constexpr size_t kInboxBytes = 32u << 20;  // of frames; one item larger than that still goes in alone
  static constexpr size_t kOutboxBatches = 64;
  // Taken in before the group is committed. A frame of nothing but the smallest packets decodes into seventy times its
  // size, so this bounds that, too.
  static constexpr size_t kMaxBytesPerStep = 2u << 20;
  static constexpr size_t kMaxPacketsPerStep = 4096;

  void CloseLoop();
  void Run();
  bool Flush();
  void Signal();
  void StepAll();
  bool TakeIn(const Time& now);
  void Take(Input& input);
  bool GiveOut();
  void Finish();
  void Publish();
  void Arm();

  std::function<void()> wake_;
  std::unique_ptr<Log> log_;
  std::unique_ptr<Engine> engine_;

  boost::lockfree::spsc_queue<Input*, boost::lockfree::capacity<kInboxItems>> inbox_;
  boost::lockfree::spsc_queue<OutputBatch*, boost::lockfree::capacity<kOutboxBatches>> outbox_;
  std::deque<std::unique_ptr<Input>> waiting_;  // edge thread: control items behind a full inbox
  std::atomic<size_t> inbox_bytes_{0};
  std::atomic<bool> drain_wanted_{false};    // frames were refused
  std::atomic<bool> output_blocked_{false};  // a batch waits for room in the outbox
  std::atomic<bool> ended_{false};

  // Engine thread.
  std::unique_ptr<Input> frames_;  // half taken in
  size_t next_frame_ = 0;          // of frames_
  std::unique_ptr<OutputBatch> blocked_;
  OutputBatch task_answers_;
  bool drained_ = false;  // tell the edge that the inbox has room
  bool stopping_ = false;
  bool finished_ = false;

  mutable std::mutex counters_mutex_;  // held for a copy, once per step
  EngineCounters counters_;
  LogCounters log_counters_;
  RelayStats relay_stats_;

  uv_loop_t loop_;
  uv_async_t async_;
  uv_timer_t timer_;
  std::thread thread_;
};

}  // namespace everyonce
