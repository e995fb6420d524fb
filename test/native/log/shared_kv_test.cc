#include "log/shared_kv.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "log/embedded_log.h"
#include "log/memory_kv.h"
#include "support/fault_kv.h"

namespace everyonce {
namespace {

WriteBatch Batch(const std::string& key, const std::string& value = "v") {
  WriteBatch batch;
  batch.Put(Space::kPrimitives, key, value);
  return batch;
}

bool Has(Kv* kv, const std::string& key) {
  std::string value;
  bool found = false;
  return kv->Get(Space::kPrimitives, key, &value, &found).ok() && found;
}

class SharedKvTest : public testing::Test {
 protected:
  std::shared_ptr<test::FaultKv::Disk> disk_ = std::make_shared<test::FaultKv::Disk>();
  std::shared_ptr<SharedKv> shared_ = std::make_shared<SharedKv>(std::make_unique<test::FaultKv>(disk_), true);
  std::unique_ptr<Kv> one_ = SharedKv::Open(shared_, true);
  std::unique_ptr<Kv> two_ = SharedKv::Open(shared_, true);
};

TEST_F(SharedKvTest, EachSeesWhatTheOtherWrote) {
  ASSERT_TRUE(one_->Write(Batch("a"), true).ok());
  EXPECT_TRUE(Has(two_.get(), "a"));
  EXPECT_EQ(one_->syncs(), 1u);
  EXPECT_EQ(two_->syncs(), 0u);
}

TEST_F(SharedKvTest, AFailedWriteStopsAllUntilOneRecovers) {
  disk_->FailWrite(1, test::FaultKv::Fate::kKept);
  EXPECT_EQ(one_->Write(Batch("a"), true).code, Code::kUnavailable);
  EXPECT_TRUE(one_->stale());
  EXPECT_TRUE(two_->stale());
  EXPECT_EQ(two_->Write(Batch("b"), true).code, Code::kUnavailable);
  ASSERT_TRUE(two_->Recover().ok());
  EXPECT_EQ(disk_->recovers, 1u);
  EXPECT_FALSE(two_->stale());
  EXPECT_TRUE(Has(two_.get(), "a"));
}

TEST_F(SharedKvTest, WhoReadBeforeAnothersRecoveryMustTakeNoteOfIt) {
  disk_->FailWrite(1, test::FaultKv::Fate::kLost);
  EXPECT_FALSE(one_->Write(Batch("a"), true).ok());
  ASSERT_TRUE(one_->Recover().ok());
  ASSERT_TRUE(one_->Write(Batch("b"), true).ok());
  // `two` decided before all that: it must not write on what it knew.
  EXPECT_TRUE(two_->stale());
  EXPECT_EQ(two_->Write(Batch("c"), true).code, Code::kUnavailable);
  EXPECT_FALSE(Has(two_.get(), "b"));
  ASSERT_TRUE(two_->Recover().ok());
  EXPECT_EQ(disk_->recovers, 1u) << "it was open again already";
  EXPECT_TRUE(Has(two_.get(), "b"));
  EXPECT_FALSE(Has(two_.get(), "c"));
  EXPECT_FALSE(one_->stale());
  EXPECT_TRUE(two_->Write(Batch("c"), true).ok());
}

TEST_F(SharedKvTest, ARecoveryThatFailsLeavesAllRefused) {
  disk_->FailWrite(1, test::FaultKv::Fate::kLost);
  EXPECT_FALSE(one_->Write(Batch("a"), true).ok());
  disk_->failing_recovers = 1;
  EXPECT_FALSE(one_->Recover().ok());
  EXPECT_TRUE(two_->stale());
  ASSERT_TRUE(two_->Recover().ok());
  ASSERT_TRUE(one_->Recover().ok());
  EXPECT_TRUE(one_->Write(Batch("a"), true).ok());
}

TEST_F(SharedKvTest, AUserWithoutSyncSaysSo) {
  const std::unique_ptr<Kv> loose = SharedKv::Open(shared_, false);
  EXPECT_FALSE(loose->durable());
  EXPECT_TRUE(one_->durable());
  ASSERT_TRUE(loose->Write(Batch("a"), true).ok());
  EXPECT_EQ(disk_->syncs, 0u);
}

TEST_F(SharedKvTest, TheLogNoticesAnothersRecovery) {
  Status status;
  const std::unique_ptr<EmbeddedLog> log = OpenEmbeddedLog(SharedKv::Open(shared_, true), {.now_ms = 1000}, &status);
  ASSERT_NE(log, nullptr);
  const auto send = [&](uint64_t n, const std::string& id) {
    Command command;
    command.conv = "dm:alice:bob";
    command.user = "alice";
    command.device = "d1";
    command.n = n;
    command.id = id;
    command.type = "text";
    command.body = "1";
    Outcome outcome;
    log->Commit({command}, 1000, [&](std::vector<Outcome> outcomes) { outcome = std::move(outcomes.at(0)); });
    return outcome;
  };
  EXPECT_EQ(send(1, "message-1").seq, 1u);
  disk_->FailWrite(1, test::FaultKv::Fate::kLost);
  EXPECT_FALSE(one_->Write(Batch("a"), true).ok());
  ASSERT_TRUE(one_->Recover().ok());
  // Reads come back by themselves, and nothing is numbered twice.
  Status viewed;
  ConversationView view;
  log->View("alice", "d1", "dm:alice:bob", [&](Status told, ConversationView found) {
    viewed = std::move(told);
    view = std::move(found);
  });
  EXPECT_TRUE(viewed.ok()) << viewed.message;
  EXPECT_EQ(view.head, 1u);
  EXPECT_EQ(send(2, "message-2").seq, 2u);
  EXPECT_EQ(disk_->recovers, 1u);
}

TEST(SharedKvThreadsTest, ManyThreadsReadAndWrite) {
  const auto shared = std::make_shared<SharedKv>(std::make_unique<MemoryKv>(), true);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const std::unique_ptr<Kv> kv = SharedKv::Open(shared, true);
      for (int i = 0; i < 2000; ++i) {
        const std::string key = std::to_string(t) + " " + std::to_string(i);
        ASSERT_TRUE(kv->Write(Batch(key), true).ok());
        ASSERT_TRUE(Has(kv.get(), key));
        if (i % 500 == 0) {
          size_t seen = 0;
          ASSERT_TRUE(kv->Scan(Space::kPrimitives, "", "", false, [&](std::string_view, std::string_view) {
                          ++seen;
                          return true;
                        }).ok());
          ASSERT_GE(seen, static_cast<size_t>(i));
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace everyonce
