#include "runtime/engine_thread.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <future>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "log/embedded_log.h"
#include "log/memory_kv.h"

namespace everyonce {
namespace {

// The edge's side of an EngineThread: waits for its wakes and sorts what comes.
class Edge {
 public:
  Edge() {
    EmbeddedLogOptions options;
    options.random = [] { return uint64_t{7}; };
    Status status;
    std::unique_ptr<Log> log = OpenEmbeddedLog(std::make_unique<MemoryKv>(), std::move(options), &status);
    EngineOptions engine_options;
    engine_options.limits.rate = 0;
    thread = std::make_unique<EngineThread>(std::move(log), std::move(engine_options), [this] {
      const std::lock_guard<std::mutex> lock(mutex);
      woken = true;
      condition.notify_one();
    });
  }

  // Takes output until `enough` says so.
  template <typename Enough>
  void TakeUntil(Enough enough) {
    while (!enough()) {
      OutputBatch batch;
      if (!thread->PopOutput(&batch)) {
        std::unique_lock<std::mutex> lock(mutex);
        condition.wait(lock, [this] { return woken; });
        woken = false;
        continue;
      }
      for (size_t i = 0; i < batch.index.size(); i += 4) {
        ++kinds[batch.index[i]];
        last = static_cast<OutputKind>(batch.index[i]);
        if (last != OutputKind::kWrite) continue;
        const std::string_view frames = std::string_view(batch.bytes).substr(batch.index[i + 2], batch.index[i + 3]);
        for (size_t at = frames.find("\"t\":\"ack\""); at != std::string_view::npos;
             at = frames.find("\"t\":\"ack\"", at + 1)) {
          ++acks;
        }
      }
    }
  }

  void Enter(uint32_t id, const char* user) {
    thread->PushControl({.kind = InputKind::kOpen, .id = id});
    Frame(id, R"({"t":"hello","v":1,"device":"d1","pe":1})");
    const uint64_t asked = Count(OutputKind::kAuthenticate);
    TakeUntil([&] { return Count(OutputKind::kAuthenticate) > asked; });
    thread->PushControl({.kind = InputKind::kAccept, .id = id, .user = user});
  }

  bool Frame(uint32_t id, const std::string& text) {
    return thread->TryPushFrames(
        {.kind = InputKind::kFrames, .bytes = text, .frames = {{id, 0, static_cast<uint32_t>(text.size())}}});
  }

  uint64_t Count(OutputKind kind) { return kinds[static_cast<uint32_t>(kind)]; }

  std::mutex mutex;
  std::condition_variable condition;
  bool woken = false;
  uint64_t kinds[8] = {};
  uint64_t acks = 0;
  OutputKind last = OutputKind::kWrite;
  // Ends first: until then it wakes this edge.
  std::unique_ptr<EngineThread> thread;
};

std::string Send(uint64_t n) {
  return R"({"t":"send","conv":"dm:alice:bob","id":"message-)" + std::to_string(n) + R"(","n":)" + std::to_string(n) +
         R"(,"body":1})";
}

TEST(EngineThread, AnswersEverySendThroughAFullInboxAndEndsWithStopped) {
  Edge edge;
  edge.Enter(1, "alice");
  constexpr uint64_t kMessages = 20'000;
  uint64_t refused = 0;
  for (uint64_t n = 1; n <= kMessages; ++n) {
    while (!edge.Frame(1, Send(n))) {
      ++refused;
      const uint64_t drained = edge.Count(OutputKind::kDrain);
      edge.TakeUntil([&] { return edge.Count(OutputKind::kDrain) > drained; });
    }
  }
  edge.TakeUntil([&] { return edge.acks == kMessages; });
  edge.thread->PushControl({.kind = InputKind::kStop});
  edge.TakeUntil([&] { return edge.Count(OutputKind::kStopped) == 1; });
  EXPECT_EQ(edge.last, OutputKind::kStopped);
  edge.thread->Join();
  EXPECT_EQ(edge.thread->counters().acks, kMessages);
  RecordProperty("refused", static_cast<int>(refused));
}

// More packets than may wait on a connection, in one item: taken in by steps, each answered, nobody closed.
TEST(EngineThread, AnswersEveryPacketOfAnItemThatHoldsMoreThanAStepTakesIn) {
  Edge edge;
  edge.Enter(1, "alice");
  constexpr uint64_t kFrames = 40;
  constexpr uint64_t kPacketsEach = 500;
  Input input{.kind = InputKind::kFrames};
  for (uint64_t frame = 0; frame < kFrames; ++frame) {
    const size_t offset = input.bytes.size();
    for (uint64_t i = 1; i <= kPacketsEach; ++i) {
      input.bytes += (i == 1 ? "[" : ",") + Send(frame * kPacketsEach + i);
    }
    input.bytes += "]";
    input.frames.push_back({1, static_cast<uint32_t>(offset), static_cast<uint32_t>(input.bytes.size() - offset)});
  }
  ASSERT_TRUE(edge.thread->TryPushFrames(std::move(input)));
  edge.TakeUntil([&] { return edge.acks == kFrames * kPacketsEach || edge.Count(OutputKind::kClose) > 0; });
  EXPECT_EQ(edge.Count(OutputKind::kClose), 0u);
}

TEST(EngineThread, AGroupGathersWhileTheOneBeforeIsCommitted) {
  Edge edge;
  edge.Enter(1, "alice");
  for (uint64_t n = 1; n <= 500; ++n) ASSERT_TRUE(edge.Frame(1, Send(n)));
  edge.TakeUntil([&] { return edge.acks == 500; });
  edge.thread->PushControl({.kind = InputKind::kStop});
  edge.TakeUntil([&] { return edge.Count(OutputKind::kStopped) == 1; });
  edge.thread->Join();
  EXPECT_LE(edge.thread->counters().groups, 501u);
}

// A full outbox stops the engine from taking in; nothing is lost, and it goes on when the edge takes.
TEST(EngineThread, WaitsForAnEdgeThatDoesNotTake) {
  Edge edge;
  edge.Enter(1, "alice");
  uint64_t n = 0;
  while (edge.Frame(1, Send(n + 1))) ++n;  // until both queues are full
  EXPECT_GT(n, 1000u);
  edge.TakeUntil([&] { return edge.acks == n; });
  edge.TakeUntil([&] { return edge.Count(OutputKind::kDrain) >= 1; });
}

// Control items wait on the edge's side behind a full inbox; taking output passes them on, and the engine is told.
TEST(EngineThread, AnswersRequestsThatWaitedBehindAFullInbox) {
  Edge edge;
  std::promise<void> release;
  edge.thread->PushControl({.kind = InputKind::kTask, .id = 1, .task = [blocked = release.get_future().share()] {
                              blocked.wait();
                              return std::string(R"({"t":"ok"})");
                            }});
  constexpr uint32_t kRequests = 3000;  // the inbox holds 1024
  for (uint32_t id = 2; id <= kRequests; ++id) {
    edge.thread->PushControl({.kind = InputKind::kRequest, .id = id, .user = "alice", .bytes = R"({"t":"dance"})"});
  }
  release.set_value();
  edge.TakeUntil([&] { return edge.Count(OutputKind::kAnswer) == kRequests; });
}

TEST(EngineThread, OpensAndEndsManyTimesWithAndWithoutStop) {
  for (int i = 0; i < 1000; ++i) {
    Edge edge;
    edge.Enter(1, "alice");
    edge.Frame(1, Send(1));
    if (i % 2 == 0) continue;  // the destructor stops it
    edge.thread->PushControl({.kind = InputKind::kStop});
    edge.TakeUntil([&] { return edge.Count(OutputKind::kStopped) == 1; });
    edge.thread->Join();
  }
}

TEST(EngineThread, TasksRunOnItsThreadInOrderAndAreAnsweredBeforeItEnds) {
  Edge edge;
  std::vector<int> ran;
  std::thread::id where;
  for (int i = 0; i < 100; ++i) {
    edge.thread->PushControl({.kind = InputKind::kTask, .id = 9, .task = [&ran, &where, i] {
                                ran.push_back(i);
                                where = std::this_thread::get_id();
                                return std::string(R"({"t":"ok"})");
                              }});
  }
  edge.thread->PushControl({.kind = InputKind::kStop});
  edge.TakeUntil([&] { return edge.last == OutputKind::kStopped; });
  EXPECT_EQ(edge.Count(OutputKind::kAnswer), 100u);
  edge.thread->Join();
  ASSERT_EQ(ran.size(), 100u);
  EXPECT_TRUE(std::is_sorted(ran.begin(), ran.end()));
  EXPECT_NE(where, std::this_thread::get_id());
}

}  // namespace
}  // namespace everyonce
