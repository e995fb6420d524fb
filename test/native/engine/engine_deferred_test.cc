// The engine over a log that answers later: what it may not do is use what it had when it asked.

#include <gtest/gtest.h>

#include <algorithm>

#include "engine/engine_harness.h"

namespace everyonce {
namespace {

class DeferredEngine : public testing::Test {
 protected:
  static std::string Say(uint64_t n) { return EngineHarness::Send("dm:ann:bob", n, "m" + std::to_string(n)); }
  std::vector<std::string> TypesFor(uint32_t id) {
    std::vector<std::string> types;
    for (const EngineHarness::Received& packet : engine_.Take(id)) types.push_back(packet.t);
    return types;
  }
  EngineHarness engine_{{}, nullptr, true};
};

TEST_F(DeferredEngine, AConversationGainedWhileConnectedIsPushedFromItsFirstMessage) {
  engine_.Connect(1, "ann", "phone");
  engine_.Connect(2, "bob", "phone");
  engine_.Receive(1, Say(1));
  EXPECT_EQ(TypesFor(1), std::vector<std::string>{"ack"});
  const std::vector<EngineHarness::Received> packets = engine_.Take(2);
  ASSERT_EQ(packets.size(), 2u);
  EXPECT_EQ(packets[0].t, "head");
  EXPECT_EQ(packets[0].integer("head"), 1u);
  EXPECT_EQ(packets[0].integer("got"), 0u);
  EXPECT_EQ(packets[1].t, "msg");
  engine_.Receive(1, Say(2));
  EXPECT_EQ(TypesFor(2), std::vector<std::string>{"msg"});
}

TEST_F(DeferredEngine, WhatComesWhileAConversationIsLoadedIsToldInOrder) {
  engine_.Connect(1, "ann", "phone");
  engine_.Connect(2, "bob", "phone");
  engine_.Receive(1, "[" + Say(1) + "," + Say(2) + "," + Say(3) + "]");
  const std::vector<EngineHarness::Received> packets = engine_.Take(2);
  ASSERT_EQ(packets.size(), 4u);
  EXPECT_EQ(packets[0].t, "head");
  for (uint64_t seq = 1; seq <= 3; ++seq) EXPECT_EQ(packets[seq].integer("seq"), seq);
}

TEST_F(DeferredEngine, ASenderIsLiveInWhatItBegan) {
  engine_.Connect(1, "ann", "phone");
  engine_.Connect(2, "bob", "phone");
  engine_.Receive(1, Say(1));
  engine_.Take(1);
  engine_.Receive(2, Say(1));
  const std::vector<std::string> types = TypesFor(1);
  EXPECT_EQ(types.empty() ? "" : types.back(), "msg");
}

TEST_F(DeferredEngine, ReceiptsReachTheOthers) {
  engine_.Connect(1, "ann", "phone");
  engine_.Connect(2, "bob", "phone");
  engine_.Receive(1, Say(1));
  engine_.Receive(2, R"({"t":"read","conv":"dm:ann:bob","seq":1})");
  engine_.Take(1);
  engine_.Advance(2000);
  const std::vector<EngineHarness::Received> packets = engine_.Take(1);
  const auto receipt =
      std::find_if(packets.begin(), packets.end(), [](const auto& each) { return each.t == "receipt"; });
  ASSERT_NE(receipt, packets.end());
  EXPECT_EQ(receipt->integer("read"), 1u);
  EXPECT_EQ((*receipt)["user"], "\"bob\"");
}

// Whoever asked may be gone when the answer comes: in each state, and nobody is hurt.
TEST_F(DeferredEngine, AConnectionMayGoBeforeItsAnswers) {
  engine_.Connect(1, "ann", "phone");
  engine_.Connect(2, "bob", "phone");
  const char* const questions[] = {
      R"({"t":"pull","rid":1,"limit":10,"order":"oldest"})",
      R"({"t":"history","rid":1,"conv":"dm:ann:bob","limit":10})",
      R"({"t":"counts","rid":1})",
      R"({"t":"status","rid":1,"conv":"dm:ann:bob","ids":["m1-00000000"]})",
      R"({"t":"resume","rid":1,"at":{"dm:ann:bob":[1,1]}})",
      R"({"t":"signal","conv":"dm:ann:bob","body":1})",
      R"({"t":"read","conv":"dm:ann:bob","seq":1})",
      R"({"t":"got","conv":"dm:ann:bob","seq":1})",
      R"({"t":"create","rid":1,"conv":"g:new","members":["bob"]})",
  };
  uint32_t id = 10;
  for (const char* question : questions) {
    engine_.Connect(id, "ann", "device-" + std::to_string(id));
    engine_.Queue(id, question);
    engine_.StepWithoutAnswers();
    engine_.engine().Close(id);
    engine_.Step();
    EXPECT_TRUE(engine_.Take(id).empty()) << question;
    ++id;
  }
  // While it is entering, and while it is being delivered to.
  engine_.engine().Open(id);
  engine_.Queue(id, R"({"t":"hello","v":1,"device":"late","pe":1})");
  engine_.StepWithoutAnswers();
  engine_.engine().Accept(id, "ann");
  engine_.StepWithoutAnswers();
  engine_.engine().Close(id);
  engine_.Step();
  engine_.Take(1);  // the group that was made
  engine_.Queue(1, Say(1));
  engine_.StepWithoutAnswers();
  engine_.engine().Close(2);
  engine_.Step();
  EXPECT_EQ(TypesFor(1), std::vector<std::string>{"ack"});
}

}  // namespace
}  // namespace everyonce
