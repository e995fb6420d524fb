// Windows, redelivery and the size of a step.
#include <gtest/gtest.h>

#include <algorithm>

#include "engine/engine_harness.h"

namespace everyonce {
namespace {

int Pushed(const std::vector<EngineHarness::Received>& packets) {
  return static_cast<int>(
      std::count_if(packets.begin(), packets.end(), [](const auto& packet) { return packet.t == "msg"; }));
}

std::string SendOf(uint64_t n, size_t body_bytes) {
  return R"({"t":"send","conv":"dm:alice:bob","id":"message-)" + std::to_string(n) + R"(","n":)" + std::to_string(n) +
         R"(,"body":")" + std::string(body_bytes, 'x') + "\"}";
}

void SendMany(EngineHarness* harness, uint64_t from, uint64_t to, size_t body_bytes) {
  for (uint64_t n = from; n <= to; ++n) harness->Receive(1, SendOf(n, body_bytes));
  harness->Take(1);
}

TEST(EngineWindow, RoomMadeByOneConversationMakesAnotherLive) {
  EngineOptions options;
  options.limits.window = 4;
  EngineHarness harness(options);
  harness.Connect(1, "alice", "a1");
  harness.Connect(2, "bob", "b1");
  harness.Connect(3, "carl", "c1");
  SendMany(&harness, 1, 4, 1);
  harness.Receive(3, EngineHarness::Send("dm:bob:carl", 1, "from-carl-1"));
  harness.Receive(2, R"({"t":"pull","rid":1,"conv":"dm:bob:carl","limit":9,"order":"oldest"})");
  harness.Receive(2, R"({"t":"got","conv":"dm:bob:carl","seq":1})");
  harness.Receive(2, R"({"t":"got","conv":"dm:alice:bob","seq":4})");
  harness.Take(2);
  harness.Receive(3, EngineHarness::Send("dm:bob:carl", 2, "from-carl-2"));
  EXPECT_EQ(Pushed(harness.Take(2)), 1);
}

TEST(EngineWindow, ASocketThatDrainedMakesWhatIsAckedLive) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  harness.Connect(2, "bob", "b1");
  SendMany(&harness, 1, 1, 1);
  harness.engine().SetLagging(2, true);
  SendMany(&harness, 2, 2, 1);
  harness.Receive(2, R"({"t":"got","conv":"dm:alice:bob","seq":2})");
  harness.engine().SetLagging(2, false);
  harness.Take(2);
  SendMany(&harness, 3, 3, 1);
  EXPECT_EQ(Pushed(harness.Take(2)), 1);
}

TEST(EngineWindow, AnAckOfAnUnknownEpochMakesNoRoom) {
  EngineOptions options;
  options.limits.window = 4;
  EngineHarness harness(options);
  harness.Connect(1, "alice", "a1");
  harness.Connect(2, "bob", "b1");
  SendMany(&harness, 1, 4, 1);
  EXPECT_EQ(Pushed(harness.Take(2)), 4);
  harness.Receive(2, R"({"t":"got","conv":"dm:alice:bob","epoch":1,"from":1,"to":1000})");
  SendMany(&harness, 5, 8, 1);
  EXPECT_EQ(Pushed(harness.Take(2)), 0);
  harness.Advance(10'000);
  EXPECT_EQ(Pushed(harness.Take(2)), 4);  // nothing was acked, so all come again
}

TEST(EngineWindow, RepeatsMoreThanAPageOfUnackedMessages) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  harness.Connect(2, "bob", "b1");
  SendMany(&harness, 1, 100, 16'000);
  EXPECT_EQ(Pushed(harness.Take(2)), 100);
  for (int repeat = 0; repeat < 3; ++repeat) {
    harness.Advance(10'000);
    EXPECT_EQ(Pushed(harness.Take(2)), 100);
  }
}

TEST(EngineWindow, AStepGivesOutABoundedAmountHoweverMuchIsAskedFor) {
  EngineOptions options;
  options.output_bytes = 4u << 20;
  EngineHarness harness(options);
  harness.Connect(1, "alice", "a1");
  SendMany(&harness, 1, 66, 16'000);
  harness.Connect(2, "bob", "b1");
  constexpr const char* kPull = R"({"t":"pull","rid":1,"conv":"dm:alice:bob","limit":200,"order":"oldest"})";
  std::string frame = "[";
  for (int i = 0; i < 30; ++i) frame += std::string(i > 0 ? "," : "") + kPull;
  harness.Queue(2, frame + "]");
  harness.engine().Step(harness.now);
  EXPECT_LE(harness.engine().TakeOutput().bytes.size(), options.output_bytes + kMaxPageBytes + 4096);
  EXPECT_TRUE(harness.engine().HasWork());
  harness.Step();
  EXPECT_GE(harness.Take(2).size(), 20u);  // the rest, in steps of their own
}

TEST(EngineWindow, ANackNamesAMessageOrThereIsNone) {
  EngineOptions options;
  options.limits.rate = 1;
  EngineHarness harness(options);
  harness.Connect(1, "alice", "a1");
  for (int i = 0; i < 9; ++i) harness.Receive(1, R"({"t":"status","rid":1,"conv":"dm:alice:bob","ids":[]})");
  harness.Take(1);
  harness.Receive(1, R"([{"t":"ping"},{"t":"send","conv":"dm:alice:bob","id":"x","n":1,"body":1},)"
                     R"({"t":"send","conv":"dm:alice:bob","id":"x","n":1,"body":1}])");
  const auto packets = harness.Take(1);
  ASSERT_EQ(packets.size(), 3u);
  EXPECT_EQ(packets.back().t, "error");
  EXPECT_EQ(packets.back()["code"], "\"rate_limited\"");
}

}  // namespace
}  // namespace everyonce
