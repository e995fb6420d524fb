#pragma once

#include <array>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "core/status.h"
#include "store/dedup_filter.h"
#include "store/staged_table.h"

namespace everyonce {

// What an operation tells: a few values, in an order that its kind fixes.
using StoreValue = std::variant<std::monostate, bool, double, uint64_t, std::string>;
struct StoreAnswer {
  Status status;
  std::vector<StoreValue> values;
};

// What an operation works in. Nothing of it may be kept.
struct StoreRoom {
  StagedTable* table;
  int64_t now_ms;       // Unix milliseconds; never falls while the store is open
  uint64_t generation;  // of the store, see log/generation.h
  DedupFilter* filter;  // before Dedup's keys; null: none
};
// Decides on the store's thread, in order. Reads first and changes last: where it answers with an error after having
// changed something, its whole group fails.
using StoreAct = std::function<StoreAnswer(const StoreRoom& room)>;

struct StoreResult {
  uint32_t id = 0;
  StoreAnswer answer;
};
// Where answers go: one call per group for each sink, on the store's thread, in the order of the requests.
class AnswerSink {
 public:
  virtual ~AnswerSink() = default;
  virtual void Take(std::vector<StoreResult> results) = 0;
};

struct StoreRequest {
  std::shared_ptr<AnswerSink> sink;  // null: nobody waits
  uint32_t id = 0;
  size_t bytes = 0;  // about what it holds, for the queue's bound
  StoreAct act;
};

struct StoreCounters {
  uint64_t operations = 0;
  uint64_t groups = 0;    // written
  uint64_t failures = 0;  // groups that could not be written
  uint64_t refused = 0;   // operations that found the queue full
  uint64_t expired = 0;   // records removed
  uint64_t queued = 0;    // now
  DedupFilterStats filter;
};

// The thread of one store's primitives: operations of all users, decided in groups over what is stored, one synced
// write per group; a group gathers while the one before is being synced, so that takes no timer. Nothing is told before
// it is durable. A group whose write fails is answered kUnavailable as a whole (unknown: the same again tells), and the
// store is recovered by the next one; where that fails, it is tried again once a second.
//
// In between, at most every second, a bounded slice of what has expired is removed.
class StoreThread {
 public:
  static constexpr size_t kMaxQueued = 65536;
  static constexpr size_t kMaxQueuedBytes = size_t{64} << 20;

  explicit StoreThread(std::unique_ptr<Kv> kv);
  // Decides and answers what is queued, then ends.
  ~StoreThread();
  StoreThread(const StoreThread&) = delete;
  StoreThread& operator=(const StoreThread&) = delete;

  // From any thread. False, and nothing taken: the queue is full.
  bool Submit(StoreRequest request);

  // From now on the store's time is what it is told here, never falling; for tests.
  void SetTime(int64_t now_ms);
  StoreCounters counters() const;

 private:
  static constexpr size_t kGroupOperations = 2048;
  static constexpr size_t kGroupBytes = size_t{8} << 20;
  static constexpr size_t kSlice = 512;         // expired records removed at once, about 2 ms
  static constexpr size_t kFilterSlice = 2048;  // keys taken into the filter at once, about 2 ms
  static constexpr int64_t kTendMs = 1000;
  static constexpr int64_t kRetryMs = 1000;

  using Group = std::vector<StoreRequest>;
  void Run();
  Group TakeGroup(const std::unique_lock<std::mutex>& locked);
  void Decide(Group group);
  Status Prepare();
  Status Act(Group* group, std::vector<StoreAnswer>* answers);
  void Tend();
  void BuildFilter();
  int64_t Now();

  std::unique_ptr<Kv> kv_;
  StagedTable table_;
  DedupFilter filter_;
  int64_t now_ms_ = 0;
  uint64_t generation_ = 0;
  bool ready_ = false;       // generation_ is known and nothing has failed since
  int64_t retry_at_ms_ = 0;  // not before is a recovery tried again that has failed
  int64_t tend_at_ms_ = 0;
  int64_t swept_ms_ = 0;  // nothing expires before: a scan need not pass what was removed already

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<StoreRequest> queue_;
  size_t queued_bytes_ = 0;
  StoreCounters counters_;
  int64_t told_ms_ = 0;  // by SetTime
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace everyonce
