#include <gtest/gtest.h>

#include "engine/engine_harness.h"
#include "support/fault_kv.h"

namespace everyonce {
namespace {

constexpr const char* kConv = "dm:alice:bob";

TEST(EngineSend, AcksTheSenderAndDeliversToEveryOtherDeviceOfBoth) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  harness.Connect(2, "alice", "a2");
  harness.Connect(3, "bob", "b1");
  harness.Connect(4, "carol", "c1");
  harness.Receive(1, EngineHarness::Send(kConv, 1, "first"));
  const auto ack = harness.TakeOne(1);
  EXPECT_EQ(ack.t, "ack");
  EXPECT_EQ(ack.integer("seq"), 1u);
  EXPECT_EQ(ack["safe"], "\"memory\"");
  for (const uint32_t id : {2u, 3u}) {
    const auto packets = harness.Take(id);
    ASSERT_EQ(packets.size(), 2u);
    EXPECT_EQ(packets[0].t, "head");  // it was not told of this conversation before
    EXPECT_EQ(packets[1].t, "msg");
    EXPECT_EQ(packets[1]["mid"], ack["mid"]);
    EXPECT_EQ(packets[1]["epoch"], ack["epoch"]);
    EXPECT_EQ(packets[1]["from"], "\"alice\"");
    EXPECT_EQ(packets[1]["device"], "\"a1\"");
  }
  EXPECT_TRUE(harness.Take(4).empty());
}

TEST(EngineSend, AnswersADuplicateWithTheFirstAckAndDeliversNothingAgain) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  harness.Connect(2, "bob", "b1");
  harness.Receive(1, EngineHarness::Send(kConv, 1, "first"));
  const auto first = harness.TakeOne(1);
  EXPECT_EQ(harness.Take(2).size(), 2u);
  harness.Receive(1, EngineHarness::Send(kConv, 1, "first"));
  const auto again = harness.TakeOne(1);
  EXPECT_EQ(again["dup"], "true");
  for (const char* key : {"seq", "epoch", "mid", "at"}) EXPECT_EQ(again[key], first[key]) << key;
  EXPECT_TRUE(harness.Take(2).empty());
}

TEST(EngineSend, AnswersEachSendOfAFrameInOrder) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  harness.Receive(1, "[" + EngineHarness::Send(kConv, 1, "m1") + "," + EngineHarness::Send(kConv, 3, "m3") + "," +
                         EngineHarness::Send(kConv, 2, "m2") + "," + EngineHarness::Send(kConv, 2, "other") + "]");
  const auto packets = harness.Take(1);
  ASSERT_EQ(packets.size(), 4u);
  EXPECT_EQ(packets[0].t, "ack");
  EXPECT_EQ(packets[1]["code"], "\"gap\"");
  EXPECT_EQ(packets[1].integer("expected"), 2u);
  EXPECT_EQ(packets[2].integer("seq"), 2u);
  EXPECT_EQ(packets[3]["code"], "\"conflict\"");
}

TEST(EngineSend, HidesAConversationFromAStranger) {
  EngineHarness harness;
  harness.Connect(1, "mallory", "m1");
  harness.Receive(1, EngineHarness::Send(kConv, 1, "first"));
  EXPECT_EQ(harness.TakeOne(1)["code"], "\"unknown_conv\"");
  harness.Receive(1, EngineHarness::Send("g:none", 1, "first"));
  EXPECT_EQ(harness.TakeOne(1)["code"], "\"unknown_conv\"");
}

TEST(EngineSend, AFinalRefusalUsesItsNumberAndIsGivenAgain) {
  EngineOptions options;
  options.limits.body_bytes = 10;
  EngineHarness harness(options);
  harness.Connect(1, "alice", "a1");
  const std::string big = R"({"t":"send","conv":"dm:alice:bob","id":"toolarge1","n":1,"body":"01234567890123"})";
  harness.Receive(1, big);
  EXPECT_EQ(harness.TakeOne(1)["code"], "\"too_large\"");
  harness.Receive(1, EngineHarness::Send(kConv, 2, "next"));
  EXPECT_EQ(harness.TakeOne(1).t, "ack");  // what follows is not blocked
  harness.Receive(1, big);
  EXPECT_EQ(harness.TakeOne(1)["code"], "\"too_large\"");
}

// Durable before visible: the ack and the deliveries of a group that could not be written are not given out.
TEST(EngineSend, GivesNothingOutForAGroupThatTheStoreRefused) {
  auto disk = std::make_shared<test::FaultKv::Disk>();
  EngineHarness harness({}, std::make_unique<test::FaultKv>(disk));
  harness.Connect(1, "alice", "a1");
  harness.Connect(2, "bob", "b1");
  disk->FailWrite(1, test::FaultKv::Fate::kLost);
  harness.Receive(1, EngineHarness::Send(kConv, 1, "first"));
  const auto nack = harness.TakeOne(1);
  EXPECT_EQ(nack["code"], "\"unavailable\"");
  EXPECT_GT(nack.integer("retry"), 0u);
  EXPECT_TRUE(harness.Take(2).empty());
  harness.Advance(2000);
  harness.Receive(1, EngineHarness::Send(kConv, 1, "first"));
  EXPECT_EQ(harness.TakeOne(1).integer("seq"), 1u);
}

// A write that failed may have arrived all the same: the same again tells, and is stored once.
TEST(EngineSend, AnUnknownWriteThatWasKeptIsADuplicateAfterwards) {
  auto disk = std::make_shared<test::FaultKv::Disk>();
  EngineHarness harness({}, std::make_unique<test::FaultKv>(disk));
  harness.Connect(1, "alice", "a1");
  disk->FailWrite(1, test::FaultKv::Fate::kKept);
  harness.Receive(1, EngineHarness::Send(kConv, 1, "first"));
  EXPECT_EQ(harness.TakeOne(1)["code"], "\"unavailable\"");
  harness.Advance(2000);
  harness.Receive(1, EngineHarness::Send(kConv, 1, "first"));
  const auto ack = harness.TakeOne(1);
  EXPECT_EQ(ack.integer("seq"), 1u);
  EXPECT_EQ(ack["dup"], "true");
}

// Every ack after a sync that covers it, counted and not timed: no output exists while the group's write has not
// returned, and each group with something new costs exactly one sync, however many messages are in it.
TEST(EngineSend, OneSyncCoversAWholeGroup) {
  auto disk = std::make_shared<test::FaultKv::Disk>();
  EngineHarness harness({}, std::make_unique<test::FaultKv>(disk));
  for (uint32_t i = 1; i <= 200; ++i) harness.Connect(i, "user" + std::to_string(100 + i), "d1");
  for (int round = 1; round <= 3; ++round) {
    const uint64_t before = disk->syncs;
    for (uint32_t i = 1; i <= 200; i += 2) {
      const std::string conv = "dm:user" + std::to_string(100 + i) + ":user" + std::to_string(101 + i);
      harness.Queue(i, EngineHarness::Send(conv, static_cast<uint64_t>(round), "m" + std::to_string(round)));
    }
    harness.Step();
    EXPECT_EQ(disk->syncs, before + 1);
    for (uint32_t i = 1; i <= 200; i += 2) EXPECT_EQ(harness.TakeOne(i)["safe"], "\"disk\"");
  }
}

TEST(EngineSend, PassesTheRateAndThenEndsTheConnection) {
  EngineOptions options;
  options.limits.rate = 2;
  EngineHarness harness(options);
  harness.Connect(1, "alice", "a1");
  for (uint64_t n = 1; n <= 19; ++n) harness.Receive(1, EngineHarness::Send(kConv, n, "m" + std::to_string(n)));
  for (const auto& packet : harness.Take(1)) EXPECT_EQ(packet.t, "ack");
  harness.Receive(1, EngineHarness::Send(kConv, 20, "m20"));
  const auto nack = harness.TakeOne(1);
  EXPECT_EQ(nack["code"], "\"rate_limited\"");
  harness.Receive(1, R"({"t":"got","conv":"dm:alice:bob","seq":0})");  // not counted
  EXPECT_TRUE(harness.Take(1).empty());
  harness.Advance(static_cast<int64_t>(nack.integer("retry")));
  harness.Receive(1, EngineHarness::Send(kConv, 20, "m20"));
  EXPECT_EQ(harness.TakeOne(1).t, "ack");
  for (int i = 0; i < 18; ++i) harness.Receive(1, EngineHarness::Send(kConv, 21, "m21"));
  EXPECT_FALSE(harness.closed(1));
  harness.Receive(1, EngineHarness::Send(kConv, 21, "m21"));
  uint32_t code = 0;
  EXPECT_TRUE(harness.closed(1, &code));
  EXPECT_EQ(code, 4429u);
}

TEST(EngineSend, TheApplicationPublishesUnderAUsersNameOnce) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  const std::string packet = R"({"t":"send","conv":"dm:alice:bob","id":"webhook-1","body":{"x":1}})";
  harness.engine().Request(7, "bob", "", packet);
  harness.engine().Request(8, "bob", "", packet);
  harness.Step();
  std::vector<EngineHarness::Out> answers;
  for (auto& out : harness.TakeOthers()) {
    if (out.kind == OutputKind::kAnswer) answers.push_back(out);
  }
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_EQ(answers[0].id, 7u);
  EXPECT_EQ(answers[0].bytes.find("\"dup\""), std::string::npos);
  EXPECT_NE(answers[1].bytes.find("\"dup\":true"), std::string::npos);
  const auto packets = harness.Take(1);
  ASSERT_EQ(packets.size(), 2u);
  EXPECT_EQ(packets[1]["device"], "\"server\"");
}

TEST(EngineSend, AnsweredInOrderWithWhatWasAskedAfterIt) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  harness.Receive(1, "[" + EngineHarness::Send(kConv, 1, "status-me") +
                         R"(,{"t":"status","rid":1,"conv":"dm:alice:bob","ids":["status-me","never-sent"]}])");
  const auto packets = harness.Take(1);
  ASSERT_EQ(packets.size(), 2u);
  EXPECT_EQ(packets[1].t, "status");
  EXPECT_NE(packets[1]["found"].find("\"seq\":1"), std::string::npos);
  EXPECT_EQ(packets[1]["unknown"], "[]");
}

// What was sent before the socket went is decided; only the answer is lost.
TEST(EngineSend, StoresWhatCameBeforeTheClose) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  harness.Connect(2, "bob", "b1");
  harness.Queue(1, EngineHarness::Send(kConv, 1, "last-words"));
  harness.engine().Close(1);
  harness.Step();
  EXPECT_TRUE(harness.Take(1).empty());
  EXPECT_EQ(harness.Take(2).back()["id"], "\"last-words\"");
}

TEST(OutputBatch, MergesWritesOfAConnectionAndKeepsItsCloseBehindThem) {
  std::vector<OutputBatch> batches(3);
  batches[0].AddBytes(OutputKind::kWrite, 1, "a");
  batches[0].AddBytes(OutputKind::kWrite, 2, "b");
  batches[1].AddBytes(OutputKind::kAnswer, 1, "answer");
  batches[1].AddBytes(OutputKind::kWrite, 1, "c");
  batches[2].AddBytes(OutputKind::kWrite, 1, "d");
  batches[2].Add(OutputKind::kClose, 1, 4409);
  batches[2].Add(OutputKind::kStopped, 0);
  const OutputBatch merged = MergeBatches(std::move(batches));
  std::string text;
  for (size_t i = 0; i < merged.index.size(); i += 4) {
    const bool close = static_cast<OutputKind>(merged.index[i]) == OutputKind::kClose;
    text +=
        std::to_string(merged.index[i]) + ":" + std::to_string(merged.index[i + 1]) + ":" +
        (close ? std::to_string(merged.index[i + 2]) : merged.bytes.substr(merged.index[i + 2], merged.index[i + 3])) +
        " ";
  }
  EXPECT_EQ(text, "0:1:acd 0:2:b 3:1:answer 1:1:4409 6:0: ");
}

}  // namespace
}  // namespace everyonce
