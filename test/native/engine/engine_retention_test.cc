// The engine and retention: it goes on while the server is busy, and a push that was removed is told as a hole.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "engine/engine.h"
#include "log/embedded_log.h"
#include "log/memory_kv.h"

namespace everyonce {
namespace {

using testing::HasSubstr;

class EngineRetention : public testing::Test {
 protected:
  void SetUp() override {
    EmbeddedLogOptions options;
    options.retention.messages = 1;
    options.retention.every_ms = 60'000;
    Status status;
    log_ = OpenEmbeddedLog(std::make_unique<MemoryKv>(), std::move(options), &status);
    ASSERT_NE(log_, nullptr) << status.message;
    engine_ = std::make_unique<Engine>(log_.get(), EngineOptions());
  }
  std::string Step(int64_t milliseconds = 0) {
    now_.wall_ms += milliseconds;
    now_.steady_ms += milliseconds;
    engine_->Step(now_);
    return engine_->TakeOutput().bytes;
  }
  std::string Receive(uint32_t connection, const std::string& frame, int64_t milliseconds = 0) {
    engine_->Receive(connection, frame, now_);
    return Step(milliseconds);
  }
  void Connect(uint32_t connection, const std::string& user) {
    engine_->Open(connection);
    (void)Receive(connection, R"({"t":"hello","v":1,"device":"phone","pe":1})");
    engine_->Accept(connection, user);
    EXPECT_THAT(Step(), HasSubstr("welcome"));
  }
  std::string Send(uint64_t n, int64_t milliseconds = 0) {
    const std::string number = std::to_string(n);
    return Receive(
        1, R"({"t":"send","conv":"dm:ann:bob","id":"message-)" + number + R"(","n":)" + number + R"(,"body":1})",
        milliseconds);
  }

  std::unique_ptr<Log> log_;
  std::unique_ptr<Engine> engine_;
  Time now_{.wall_ms = 1'760'000'000'000, .steady_ms = 1000};
};

TEST_F(EngineRetention, ItIsDueFromTheBeginningAndThenAfterEachRound) {
  EXPECT_LE(engine_->NextDeadline(), now_.steady_ms) << "also where nobody ever connects";
  (void)Step();
  EXPECT_EQ(log_->counters().retention_runs, 1u);
  EXPECT_EQ(engine_->NextDeadline(), now_.steady_ms + 60'000);
  (void)Step(59'999);
  EXPECT_EQ(log_->counters().retention_runs, 1u);
  (void)Step(1);
  EXPECT_EQ(log_->counters().retention_runs, 2u);
}

// Else what a store held when it got an archive could be gone before the archive's group is registered.
TEST_F(EngineRetention, NothingIsRemovedBeforeTheArchivesGroupIsThere) {
  EngineOptions options;
  options.archive = true;
  options.archive_group = "archive";
  engine_ = std::make_unique<Engine>(log_.get(), std::move(options));
  Connect(1, "ann");
  for (uint64_t n = 1; n <= 5; ++n) EXPECT_THAT(Send(n, 60'000), HasSubstr("ack"));
  auto open = [&](const char* group) {
    FeedCall call;
    call.kind = FeedCallKind::kChange;
    call.change.action = FeedAction::kOpen;
    call.change.group = group;
    engine_->CallFeed(1, std::move(call), now_);
    (void)Step();
  };
  open("another");
  (void)Step(60'000);
  EXPECT_EQ(log_->counters().retention_runs, 0u);
  open("archive");
  (void)Step(1000);
  EXPECT_EQ(log_->counters().retention_runs, 1u);
  EXPECT_EQ(log_->counters().removed_messages, 0u) << "neither group has passed anything";
}

TEST_F(EngineRetention, ItGoesOnWhileEveryStepHasWork) {
  Connect(1, "ann");
  for (uint64_t n = 1; n <= 30; ++n) EXPECT_THAT(Send(n, 10'000), HasSubstr("ack"));
  EXPECT_GE(log_->counters().retention_runs, 4u);
  EXPECT_GE(log_->counters().removed_messages, 20u);
}

TEST_F(EngineRetention, APushThatWasRemovedBeforeItsAckComesAgainAsAHole) {
  Connect(1, "ann");
  Connect(2, "bob");
  for (uint64_t n = 1; n <= 3; ++n) EXPECT_THAT(Send(n), HasSubstr(R"("t":"msg")"));
  (void)Step(60'000);  // the next round; the first repeat came before it in the same step
  EXPECT_EQ(log_->counters().removed_messages, 2u);
  const std::string again = Step(10'000);
  EXPECT_THAT(again, HasSubstr(R"("t":"hole")"));
  EXPECT_THAT(again, HasSubstr(R"("from":1,"to":2,"reason":"expired")"));
  EXPECT_THAT(again, HasSubstr(R"("seq":3)"));
}

}  // namespace
}  // namespace everyonce
