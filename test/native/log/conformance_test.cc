#include "log/conformance.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "log/embedded_log.h"
#include "log/log_format.h"
#include "log/memory_kv.h"
#include "log/rocks_kv.h"
#include "support/fault_kv.h"
#include "support/temp_dir.h"

// Every Log against the model of protocol.md. Another kind of Log joins by its own LogUnderTest here.

namespace everyonce::test {
namespace {

// The embedded log on any Kv. Few conversations are cached, so that dropping and loading them is tested all the time.
class EmbeddedUnderTest : public LogUnderTest {
 public:
  Log* log() override { return log_.get(); }
  void Reopen(int64_t now_ms, bool power_cut) override {
    log_.reset();
    if (power_cut) CutPower();
    Status status;
    EmbeddedLogOptions options;
    options.window_ms = kTestWindowMs;
    options.random = [this] { return ++random_; };
    options.cache_conversations = 3;
    options.now_ms = now_ms;
    options.retention = retention_;
    std::unique_ptr<Kv> kv = OpenKv();
    kv_ = kv.get();
    log_ = OpenEmbeddedLog(std::move(kv), std::move(options), &status);
    ASSERT_NE(log_, nullptr) << status.message;
  }

  bool SetRules(const LogModel::Rules& rules) override {
    retention_.max_age_ms = rules.max_age_ms;
    retention_.messages = rules.messages;
    retention_.until_acked = rules.until_acked;
    retention_.slice_work = 20;  // so that a round takes many slices, with commits between them
    Reopen(kTestStartMs, false);
    return true;
  }
  uint64_t FloorOf(const std::string& conv) override {
    std::string value;
    bool found = false;
    ConversationRecord record;
    const Status status = kv_->Get(Space::kConversations, key::Conversation(conv), &value, &found);
    EXPECT_TRUE(status.ok() && (!found || ConversationRecord::Decode(value, &record)));
    return record.floor;
  }

 protected:
  virtual std::unique_ptr<Kv> OpenKv() = 0;
  virtual void CutPower() {}

 private:
  std::unique_ptr<Log> log_;
  Kv* kv_ = nullptr;  // the log's
  RetentionOptions retention_;
  uint64_t random_ = 0;
};

// In memory. A power cut takes what was not synced.
class OnMemory final : public EmbeddedUnderTest {
 public:
  bool FailNextWrite(bool kept) override {
    armed_ = true;
    disk_->FailWrite(1, kept ? FaultKv::Fate::kKept : FaultKv::Fate::kLost);
    return true;
  }
  bool WriteFailed() override {
    const bool failed = armed_ && disk_->fail_in == 0;
    armed_ = false;
    disk_->fail_in = 0;
    return failed;
  }
  bool WriteWasKept() override { return disk_->fail_fate == FaultKv::Fate::kKept; }

 protected:
  std::unique_ptr<Kv> OpenKv() override { return std::make_unique<FaultKv>(disk_); }
  void CutPower() override { disk_->Crash(); }

 private:
  std::shared_ptr<FaultKv::Disk> disk_ = std::make_shared<FaultKv::Disk>();
  bool armed_ = false;
};

class OnRocks final : public EmbeddedUnderTest {
 protected:
  std::unique_ptr<Kv> OpenKv() override {
    std::unique_ptr<Kv> kv;
    const Status status = RocksKv::Open({.dir = dir_ / "data", .block_cache_bytes = 1 << 20}, &kv);
    EXPECT_TRUE(status.ok()) << status.message;
    return kv;
  }

 private:
  TempDir dir_{TempDir::Place::kMemory};
};

template <typename Kind>
void RunOn(RunOptions options) {
  Kind subject;
  subject.Reopen(kTestStartMs, false);
  ModelRun run(&subject, options);
  run.Run();
  if (options.retain_one_in != 0) {
    EXPECT_GT(run.model().removed(), 0u) << "nothing was ever removed";
  }
  if (testing::Test::HasFailure() || run.model().messages() < 3500) return;
  // A run that never met an answer has not tested it.
  for (const char* answer : {"ok", "dup", "gap", "conflict", "unknown_producer", "too_old", "unknown_conv", "forbidden",
                             "too_large", "token_invalid", "bad_request", "exists", "stale_device"}) {
    EXPECT_GT(run.model().answers().contains(answer) ? run.model().answers().at(answer) : 0, 0u) << answer;
  }
}

TEST(LogConformance, MemoryAnswersAsTheModel) { RunOn<OnMemory>({.seed = 11, .steps = 1500}); }
TEST(LogConformance, MemoryOpenedAgainAtEveryStep) { RunOn<OnMemory>({.seed = 12, .steps = 1000, .reopen_every = 1}); }
TEST(LogConformance, MemoryOpenedAgainNowAndThen) { RunOn<OnMemory>({.seed = 13, .steps = 1500, .reopen_every = 7}); }
TEST(LogConformance, MemoryWithFailingWrites) {
  RunOn<OnMemory>({.seed = 14, .steps = 1500, .reopen_every = 13, .fail_one_in = 5});
}
TEST(LogConformance, MemoryWithPowerCuts) {
  RunOn<OnMemory>({.seed = 15, .steps = 1500, .reopen_every = 3, .fail_one_in = 20, .power_cuts = true});
}
constexpr LogModel::Rules kFew{.messages = 25};
constexpr LogModel::Rules kAcked{.until_acked = true};
constexpr LogModel::Rules kAll{.max_age_ms = 400, .messages = 150, .until_acked = true};
TEST(LogConformance, MemoryThatKeepsFew) {
  RunOn<OnMemory>({.seed = 31, .steps = 1500, .reopen_every = 9, .rules = kFew, .retain_one_in = 4});
}
TEST(LogConformance, MemoryThatKeepsUntilAcked) {
  RunOn<OnMemory>({.seed = 32, .steps = 1500, .reopen_every = 9, .rules = kAcked, .retain_one_in = 4});
}
TEST(LogConformance, MemoryThatRemovesByAllRulesWithFailingWrites) {
  RunOn<OnMemory>({.seed = 33, .steps = 1500, .reopen_every = 13, .fail_one_in = 7, .rules = kAll, .retain_one_in = 3});
}
TEST(LogConformance, MemoryThatRemovesWithPowerCuts) {
  RunOn<OnMemory>({.seed = 34,
                   .steps = 1000,
                   .reopen_every = 3,
                   .fail_one_in = 20,
                   .power_cuts = true,
                   .rules = kFew,
                   .retain_one_in = 3});
}
TEST(LogConformance, RocksThatRemoves) {
  RunOn<OnRocks>({.seed = 35, .steps = 300, .reopen_every = 17, .rules = kAll, .retain_one_in = 4});
}
TEST(LogConformance, RocksAnswersAsTheModel) { RunOn<OnRocks>({.seed = 21, .steps = 600}); }
TEST(LogConformance, RocksOpenedAgainAtEveryStep) { RunOn<OnRocks>({.seed = 22, .steps = 40, .reopen_every = 1}); }
TEST(LogConformance, RocksOpenedAgainNowAndThen) { RunOn<OnRocks>({.seed = 23, .steps = 300, .reopen_every = 17}); }

}  // namespace
}  // namespace everyonce::test
