#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "engine/engine_harness.h"
#include "support/fault_kv.h"

namespace everyonce {
namespace {

constexpr const char* kConv = "dm:alice:bob";

std::string IdOf(uint32_t index) { return "package-part-" + std::to_string(index); }

std::string Part(uint64_t n, uint32_t index, uint32_t total, const std::string& body = "",
                 const std::string& package = "P", const std::string& id = "") {
  return R"({"t":"send","conv":")" + std::string(kConv) + R"(","n":)" + std::to_string(n) + R"(,"id":")" +
         (id.empty() ? IdOf(index) : id) + R"(","pkg":{"id":")" + package + R"(","i":)" + std::to_string(index) +
         R"(,"total":)" + std::to_string(total) + R"(},"body":)" + (body.empty() ? std::to_string(index) : body) + "}";
}

std::vector<std::string> CodesOf(const std::vector<EngineHarness::Received>& packets) {
  std::vector<std::string> codes;
  for (const auto& packet : packets) codes.push_back(packet.t == "nack" ? packet["code"] : packet.t);
  return codes;
}
using Codes = std::vector<std::string>;

TEST(EnginePackages, LandsTogetherInOrderOfIWhateverOrderThePartsComeIn) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  harness.Connect(2, "bob", "b1");
  harness.Receive(1, EngineHarness::Send(kConv, 1, "before-1"));
  harness.Take(1);
  harness.Take(2);
  harness.Receive(1, Part(2, 2, 3));
  harness.Receive(1, Part(2, 0, 3));
  EXPECT_TRUE(harness.Take(1).empty());
  EXPECT_TRUE(harness.Take(2).empty()) << "nothing is told of a part";
  harness.Receive(1, Part(2, 1, 3));
  const auto acks = harness.Take(1);
  ASSERT_EQ(acks.size(), 3u);
  const auto messages = harness.Take(2);
  ASSERT_EQ(messages.size(), 3u);
  for (uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(acks[i].t, "ack");
    EXPECT_EQ(acks[i]["id"], "\"" + IdOf(i) + "\"");
    EXPECT_EQ(acks[i].integer("n"), 2u);
    EXPECT_EQ(acks[i].integer("seq"), 2u + i);
    EXPECT_EQ(messages[i].integer("seq"), 2u + i);
    EXPECT_EQ(messages[i]["mid"], acks[i]["mid"]);
    EXPECT_EQ(messages[i]["body"], std::to_string(i));
  }
  EXPECT_NE(acks[0]["mid"], acks[1]["mid"]);
  harness.Receive(1, EngineHarness::Send(kConv, 3, "after-12"));
  EXPECT_EQ(harness.TakeOne(1).integer("seq"), 5u);
}

TEST(EnginePackages, PartsOutliveTheirConnection) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  harness.Receive(1, Part(1, 0, 2));
  harness.engine().Close(1);
  harness.Step();
  harness.Connect(2, "alice", "a1", 2);
  harness.Receive(2, Part(1, 1, 2));
  const auto acks = harness.Take(2);
  ASSERT_EQ(acks.size(), 2u) << "the part of the old connection is answered to the one that is there";
  EXPECT_EQ(acks[0].integer("seq"), 1u);
  EXPECT_EQ(acks[1].integer("seq"), 2u);
}

TEST(EnginePackages, EachReceiptOfAPartGetsAnAnswer) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  harness.Connect(2, "bob", "b1");
  harness.Receive(1, "[" + Part(1, 0, 2) + "," + Part(1, 0, 2) + "," + Part(1, 1, 2) + "," + Part(1, 0, 2) + "]");
  const auto acks = harness.Take(1);
  ASSERT_EQ(acks.size(), 4u);
  for (const auto& ack : acks) EXPECT_EQ(ack.t, "ack");
  EXPECT_EQ(std::count_if(acks.begin(), acks.end(), [](const auto& ack) { return ack["dup"] == "true"; }), 2);
  EXPECT_EQ(harness.Take(2).size(), 3u) << "head and two messages";
  harness.Receive(1, Part(1, 1, 2));
  const auto late = harness.TakeOne(1);
  EXPECT_EQ(late["dup"], "true");
  EXPECT_EQ(late.integer("seq"), 2u);
  harness.Receive(1, Part(1, 1, 2, "", "P", "not-one-of-them"));
  EXPECT_EQ(harness.TakeOne(1)["code"], "\"conflict\"");
}

TEST(EnginePackages, GivesUpFiveSecondsAfterTheFirstPartAndLetsItBeSentAgain) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  harness.Receive(1, Part(1, 0, 3));
  harness.Advance(4000);
  harness.Receive(1, Part(1, 2, 3));
  harness.Advance(999);
  EXPECT_TRUE(harness.Take(1).empty());
  EXPECT_EQ(harness.engine().NextDeadline(), harness.now.steady_ms + 1);
  harness.Advance(1);
  const auto nacks = harness.Take(1);
  ASSERT_EQ(CodesOf(nacks), (Codes{"\"package_incomplete\"", "\"package_incomplete\""}));
  EXPECT_EQ(nacks[0]["retry"], "0");
  EXPECT_EQ(nacks[0].integer("n"), 1u);
  harness.Receive(1, "[" + Part(1, 0, 3) + "," + Part(1, 1, 3) + "," + Part(1, 2, 3) + "]");
  EXPECT_EQ(CodesOf(harness.Take(1)), (Codes{"ack", "ack", "ack"}));
}

TEST(EnginePackages, AContradictionIsFinalForAllAndUsesItsN) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  harness.Receive(1, "[" + Part(1, 0, 3) + "," + Part(1, 1, 3) + "," + Part(1, 0, 3, "\"other\"") + "]");
  EXPECT_EQ(CodesOf(harness.Take(1)), (Codes{"\"bad_request\"", "\"bad_request\"", "\"bad_request\""}));
  harness.Receive(1, Part(1, 2, 3));
  const auto late = harness.TakeOne(1);
  EXPECT_EQ(late["code"], "\"bad_request\"") << "a part that comes later, too";
  EXPECT_EQ(late["retry"], "");
  harness.Receive(1, EngineHarness::Send(kConv, 2, "after-12"));
  EXPECT_EQ(harness.TakeOne(1).integer("seq"), 1u);
}

TEST(EnginePackages, ARefusedPartRefusesThePackageAlsoThatInTheSameFrame) {
  EngineOptions options;
  options.limits.body_bytes = 10;
  EngineHarness harness(options);
  harness.Connect(1, "alice", "a1");
  const std::string large = "\"" + std::string(20, 'x') + "\"";
  harness.Receive(1, "[" + Part(1, 0, 3) + "," + Part(1, 1, 3, large) + "," + Part(1, 2, 3) + "]");
  EXPECT_EQ(CodesOf(harness.Take(1)), (Codes{"\"too_large\"", "\"too_large\"", "\"too_large\""}));
  harness.Advance(60'000);
  EXPECT_TRUE(harness.Take(1).empty()) << "nothing is held any more";
  harness.Receive(1, EngineHarness::Send(kConv, 2, "after-12"));
  EXPECT_EQ(harness.TakeOne(1).integer("seq"), 1u);
}

TEST(EnginePackages, APlainSendOrAnotherPackageAtItsNIsAConflict) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  harness.Receive(1, EngineHarness::Send(kConv, 1, "before-1"));
  harness.Take(1);
  harness.Receive(1, Part(2, 0, 2));
  harness.Receive(1, EngineHarness::Send(kConv, 2, "a-plain-send"));
  EXPECT_EQ(harness.TakeOne(1)["code"], "\"conflict\"");
  harness.Receive(1, Part(2, 1, 2, "", "Q"));
  EXPECT_EQ(harness.TakeOne(1)["code"], "\"conflict\"");
  harness.Receive(1, EngineHarness::Send(kConv, 3, "a-later-send"));
  EXPECT_EQ(harness.TakeOne(1)["code"], "\"gap\"");
  harness.Receive(1, Part(2, 1, 2));
  EXPECT_EQ(CodesOf(harness.Take(1)), (Codes{"ack", "ack"}));
}

TEST(EnginePackages, PartsAreDecidedInTheirTurnLikeSends) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  harness.Connect(2, "eve", "e1");
  harness.Receive(2, Part(1, 0, 1));
  EXPECT_EQ(harness.TakeOne(2)["code"], "\"unknown_conv\"");
  harness.Receive(1, Part(2, 0, 2));
  EXPECT_EQ(harness.TakeOne(1)["code"], "\"unknown_producer\"");
  harness.Receive(1, "[" + EngineHarness::Send(kConv, 1, "before-1") + "," + Part(2, 0, 2) + "," + Part(2, 1, 2) + "," +
                         R"({"t":"status","rid":1,"conv":"dm:alice:bob","ids":["package-part-1"]}])");
  const auto answers = harness.Take(1);
  ASSERT_EQ(CodesOf(answers), (Codes{"ack", "ack", "ack", "status"}));
  EXPECT_NE(answers[3]["found"].find(R"("seq":3)"), std::string::npos) << "a status behind it knows of it";
}

TEST(EnginePackages, WhatDoesNotFitIsRefusedAndTakesNobodyElses) {
  EngineOptions options;
  options.package_limits.user_parts = 3;
  options.package_limits.server_parts = 4;
  EngineHarness harness(options);
  harness.Connect(1, "alice", "a1");
  harness.Connect(2, "bob", "b1");
  harness.Receive(1, Part(1, 0, 5));
  harness.Receive(2, Part(1, 0, 2));
  harness.Receive(1, Part(1, 1, 5));
  harness.Receive(1, Part(1, 2, 5));
  EXPECT_TRUE(harness.Take(1).empty());
  harness.Receive(1, Part(1, 3, 5));
  const auto nacks = harness.Take(1);
  ASSERT_EQ(CodesOf(nacks), Codes(4, "\"package_incomplete\""));
  EXPECT_EQ(nacks[0]["retry"], "1000");
  harness.Receive(2, Part(1, 1, 2));
  EXPECT_EQ(CodesOf(harness.Take(2)), (Codes{"ack", "ack"})) << "the other's package stays";
}

TEST(EnginePackages, AStoreThatFailsLeavesNothingHalf) {
  auto disk = std::make_shared<test::FaultKv::Disk>();
  EngineHarness harness({}, std::make_unique<test::FaultKv>(disk));
  harness.Connect(1, "alice", "a1");
  harness.Connect(2, "bob", "b1");
  harness.Receive(1, Part(1, 0, 2));
  disk->FailWrite(1, test::FaultKv::Fate::kLost);
  harness.Receive(1, Part(1, 1, 2));
  EXPECT_EQ(CodesOf(harness.Take(1)), (Codes{"\"unavailable\"", "\"unavailable\""}));
  EXPECT_TRUE(harness.Take(2).empty());
  harness.Advance(2000);
  harness.Receive(1, "[" + Part(1, 0, 2) + "," + Part(1, 1, 2) + "]");
  const auto acks = harness.Take(1);
  ASSERT_EQ(CodesOf(acks), (Codes{"ack", "ack"}));
  EXPECT_EQ(acks[1].integer("seq"), 2u);
}

}  // namespace
}  // namespace everyonce
