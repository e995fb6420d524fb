#include "store/store_thread.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "store/claims.h"
#include "store/counter.h"
#include "store/shared_store.h"
#include "support/fault_kv.h"
#include "support/temp_dir.h"

namespace everyonce {
namespace {

// Gathers answers, and lets a test wait for a number of them.
class Gathering final : public AnswerSink {
 public:
  void Take(std::vector<StoreResult> results) override {
    const std::lock_guard lock(mutex_);
    ++calls_;
    for (StoreResult& result : results) results_.push_back(std::move(result));
    came_.notify_all();
  }
  std::vector<StoreResult> Wait(size_t count) {
    std::unique_lock lock(mutex_);
    came_.wait(lock, [&] { return results_.size() >= count; });
    return std::exchange(results_, {});
  }
  size_t calls() {
    const std::lock_guard lock(mutex_);
    return calls_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable came_;
  std::vector<StoreResult> results_;
  size_t calls_ = 0;
};

StoreAct Take(std::string key, uint64_t count = 1) {
  return [key = std::move(key), count](const StoreRoom& room) {
    uint64_t first = 0;
    StoreAnswer answer;
    answer.status = TakeNumbers(room, key, count, UINT64_MAX, &first);
    answer.values.emplace_back(first);
    return answer;
  };
}

uint64_t First(const StoreResult& result) { return std::get<uint64_t>(result.answer.values.at(0)); }

// Holds the store's thread inside an operation until it is let go.
struct Gate {
  std::mutex mutex;
  std::condition_variable changed;
  bool entered = false;
  bool open = false;

  StoreAct Act() {
    return [this](const StoreRoom&) {
      std::unique_lock lock(mutex);
      entered = true;
      changed.notify_all();
      changed.wait(lock, [this] { return open; });
      return StoreAnswer{};
    };
  }
  void AwaitEntered() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [this] { return entered; });
  }
  void Open() {
    const std::lock_guard lock(mutex);
    open = true;
    changed.notify_all();
  }
};

class StoreThreadTest : public testing::Test {
 protected:
  std::shared_ptr<test::FaultKv::Disk> disk_ = std::make_shared<test::FaultKv::Disk>();
  std::shared_ptr<SharedStore> store_ = SharedStore::On(std::make_unique<test::FaultKv>(disk_), true);
  std::shared_ptr<Gathering> sink_ = std::make_shared<Gathering>();
  uint32_t id_ = 0;

  bool Submit(StoreAct act) {
    return store_->thread().Submit({.sink = sink_, .id = ++id_, .bytes = 1, .act = std::move(act)});
  }
};

TEST_F(StoreThreadTest, OneSyncedWriteForAllThatGatheredAndAnswersInOrder) {
  Gate gate;
  Submit(gate.Act());
  gate.AwaitEntered();
  for (int i = 0; i < 100; ++i) Submit(Take("q"));
  const size_t calls = sink_->calls();
  gate.Open();
  const std::vector<StoreResult> results = sink_->Wait(101);
  for (uint32_t i = 1; i <= 100; ++i) {
    EXPECT_EQ(results[i].id, i + 1);
    EXPECT_EQ(First(results[i]), i);
  }
  EXPECT_EQ(disk_->syncs, 1u);
  EXPECT_EQ(sink_->calls() - calls, 2u) << "one for the gate, one for the group";
}

TEST_F(StoreThreadTest, AFullQueueIsToldAndTakesNothing) {
  Gate gate;
  Submit(gate.Act());
  gate.AwaitEntered();
  for (size_t i = 0; i < StoreThread::kMaxQueued; ++i) ASSERT_TRUE(Submit(Take("q")));
  EXPECT_FALSE(Submit(Take("q")));
  gate.Open();
  const std::vector<StoreResult> results = sink_->Wait(StoreThread::kMaxQueued + 1);
  EXPECT_EQ(First(results.back()), StoreThread::kMaxQueued);
  EXPECT_TRUE(Submit(Take("q")));
  EXPECT_EQ(First(sink_->Wait(1).at(0)), StoreThread::kMaxQueued + 1);
  EXPECT_EQ(store_->thread().counters().refused, 1u);
}

TEST_F(StoreThreadTest, AFailedWriteIsUnknownAndTheSameAgainTells) {
  for (const test::FaultKv::Fate fate : {test::FaultKv::Fate::kLost, test::FaultKv::Fate::kKept}) {
    Submit(Take("q"));
    const uint64_t before = First(sink_->Wait(1).at(0));
    disk_->FailWrite(1, fate);
    Submit(Take("q"));
    EXPECT_EQ(sink_->Wait(1).at(0).answer.status.code, Code::kUnavailable);
    Submit(Take("q"));
    // Never what may have been given before; a hole only where the write was there after all.
    EXPECT_EQ(First(sink_->Wait(1).at(0)), before + (fate == test::FaultKv::Fate::kKept ? 2 : 1));
  }
}

TEST_F(StoreThreadTest, NothingIsToldThatACrashTakesBack) {
  for (int i = 0; i < 5; ++i) Submit(Take("q"));
  const std::vector<StoreResult> results = sink_->Wait(5);
  store_.reset();
  disk_->Crash(0);
  store_ = SharedStore::On(std::make_unique<test::FaultKv>(disk_), true);
  Submit(Take("q"));
  EXPECT_EQ(First(sink_->Wait(1).at(0)), First(results.back()) + 1);
}

TEST_F(StoreThreadTest, ClosingAnswersWhatIsQueued) {
  Gate gate;
  Submit(gate.Act());
  gate.AwaitEntered();
  for (int i = 0; i < 50; ++i) Submit(Take("q"));
  gate.Open();
  store_.reset();
  EXPECT_EQ(First(sink_->Wait(51).back()), 50u);
}

TEST_F(StoreThreadTest, ForgottenClaimsAreRemovedByThemselves) {
  store_->thread().SetTime(1000);
  for (int i = 0; i < 600; ++i) {
    Submit([i](const StoreRoom& room) {
      bool fresh = false;
      StoreAnswer answer;
      answer.status = CheckIn(room, {.kind = 'd', .key = std::to_string(i)}, 50, &fresh);
      answer.values.emplace_back(fresh);
      return answer;
    });
  }
  sink_->Wait(600);
  store_->thread().SetTime(2000);
  // Each look is one operation; slices come between them, within a second.
  while (store_->thread().counters().expired < 600) {
    Submit([](const StoreRoom&) { return StoreAnswer{}; });
    sink_->Wait(1);
  }
  store_.reset();
  disk_->Crash(disk_->unsynced.size());
  EXPECT_EQ(disk_->synced.size(), 1u) << "the fence counter alone";
}

TEST(SharedStoreTest, OneDirectoryIsOneStoreUntilItsLastUserGoes) {
  const test::TempDir dir;
  std::shared_ptr<SharedStore> one;
  std::shared_ptr<SharedStore> two;
  ASSERT_TRUE(SharedStore::Open(dir / "data", false, &one).ok());
  ASSERT_TRUE(SharedStore::Open(dir / "data/../data/", false, &two).ok());
  EXPECT_EQ(one, two);
  std::unique_ptr<Kv> log;
  std::unique_ptr<Kv> second;
  ASSERT_TRUE(one->OpenForLog(true, &log).ok());
  EXPECT_EQ(two->OpenForLog(true, &second).code, Code::kStoreLocked);
  std::unique_ptr<RocksKv> other;
  EXPECT_EQ(RocksKv::Open({.dir = dir / "data"}, &other).code, Code::kStoreLocked);
  one.reset();
  two.reset();
  EXPECT_EQ(RocksKv::Open({.dir = dir / "data"}, &other).code, Code::kStoreLocked) << "the log still has it";
  log.reset();
  EXPECT_TRUE(RocksKv::Open({.dir = dir / "data"}, &other).ok());
}

TEST(SharedStoreTest, OpeningAndClosingRaceOrderly) {
  const test::TempDir dir;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 15; ++i) {
        std::shared_ptr<SharedStore> store;
        const Status status = SharedStore::Open(dir / "data", false, &store);
        ASSERT_TRUE(status.ok()) << status.message;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(SharedStoreTest, ACopyJumpsAheadOfAllThatMayHaveBeenGivenOutSince) {
  const test::TempDir dir;
  const auto sink = std::make_shared<Gathering>();
  std::shared_ptr<SharedStore> store;
  ASSERT_TRUE(SharedStore::Open(dir / "data", false, &store).ok());
  const auto take = [&](const std::string& key) {
    store->thread().Submit({.sink = sink, .id = 1, .bytes = 1, .act = Take(key, 10)});
    return First(sink->Wait(1).at(0));
  };
  EXPECT_EQ(take("q1"), 1u);
  ASSERT_TRUE(store->Checkpoint(dir / "data/copy").ok());
  const uint64_t after = take("q1") + 10 + take("q2");
  store.reset();
  ASSERT_TRUE(SharedStore::Open(dir / "data/copy", false, &store).ok());
  EXPECT_GT(take("q1"), kJump);
  EXPECT_GT(take("q2"), kJump) << "a key that the copy does not know";
  const uint64_t here = take("q1");
  EXPECT_GT(here, after);
  store.reset();
  ASSERT_TRUE(SharedStore::Open(dir / "data/copy", false, &store).ok());
  EXPECT_EQ(take("q1"), here + 10) << "once for each restore";
  std::shared_ptr<SharedStore> late;
  EXPECT_EQ(SharedStore::Open(dir / "data/copy", true, &late).code, Code::kStoreLocked);
}

}  // namespace
}  // namespace everyonce
