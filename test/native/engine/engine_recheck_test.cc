#include <gtest/gtest.h>

#include <memory>

#include "engine/engine_harness.h"
#include "support/fault_kv.h"

namespace everyonce {
namespace {

using test::FaultKv;
constexpr const char* kConv = "dm:alice:bob";

// A commit that failed is unknown: what it held may be in the log, and whoever is online must learn of it.
class EngineRecheck : public ::testing::Test {
 protected:
  EngineRecheck() : disk(std::make_shared<FaultKv::Disk>()), harness(Unlimited(), std::make_unique<FaultKv>(disk)) {
    harness.Connect(1, "alice", "a1");
    harness.Connect(2, "bob", "b1");
    harness.Receive(1, EngineHarness::Send(kConv, 1, "message-1"));
    EXPECT_EQ(harness.TakeOne(1).t, "ack");
    EXPECT_EQ(Kinds(2), "head msg ");
    harness.Receive(2, R"({"t":"got","conv":"dm:alice:bob","seq":1})");
    harness.Advance(200);
    harness.Take(1);
    harness.Take(2);
  }

  static EngineOptions Unlimited() {
    EngineOptions options;
    options.limits.rate = 0;
    return options;
  }

  std::string Kinds(uint32_t id) {
    std::string kinds;
    for (const auto& packet : harness.Take(id)) {
      if (packet.t != "receipt") kinds += packet.t + " ";
    }
    return kinds;
  }

  std::shared_ptr<FaultKv::Disk> disk;
  EngineHarness harness;
};

TEST_F(EngineRecheck, ReceiversLearnOfWhatAFailedCommitHasStored) {
  disk->FailWrite(1, FaultKv::Fate::kKept);
  harness.Receive(1, EngineHarness::Send(kConv, 2, "message-2"));
  EXPECT_EQ(harness.TakeOne(1)["code"], "\"unavailable\"");
  harness.Advance(1);
  const auto head = harness.TakeOne(2);
  EXPECT_EQ(head.t, "head");
  EXPECT_EQ(head.integer("head"), 2u);
  EXPECT_EQ(head.integer("got"), 1u);
  harness.Receive(2, R"({"t":"pull","rid":1,"conv":"dm:alice:bob","limit":5,"order":"oldest"})");
  EXPECT_NE(harness.TakeOne(2)["items"].find("message-2"), std::string::npos);
  // Its sender gets the answer of the first, and what follows is live again.
  harness.Receive(1, EngineHarness::Send(kConv, 2, "message-2"));
  EXPECT_EQ(harness.TakeOne(1)["dup"], "true");
  harness.Receive(1, EngineHarness::Send(kConv, 3, "message-3"));
  EXPECT_EQ(Kinds(2), "msg ");
}

TEST_F(EngineRecheck, NobodyIsToldOfWhatWasLost) {
  disk->FailWrite(1, FaultKv::Fate::kLost);
  harness.Receive(1, EngineHarness::Send(kConv, 2, "message-2"));
  EXPECT_EQ(harness.TakeOne(1)["code"], "\"unavailable\"");
  harness.Advance(5000);
  EXPECT_EQ(Kinds(2), "");
  harness.Receive(1, EngineHarness::Send(kConv, 2, "message-2"));
  EXPECT_EQ(Kinds(2), "msg ");
}

TEST_F(EngineRecheck, TheStoreIsOpenedAgainThoughNobodySends) {
  disk->FailWrite(1, FaultKv::Fate::kKept);
  disk->failing_recovers = 2;
  harness.Receive(1, EngineHarness::Send(kConv, 2, "message-2"));
  EXPECT_EQ(harness.TakeOne(1)["code"], "\"unavailable\"");
  for (int i = 0; i < 10; ++i) harness.Advance(500);
  EXPECT_EQ(disk->failing_recovers, 0u);
  EXPECT_EQ(Kinds(2), "head ");
}

// What is refused because the store is away was never written: it is no reason to look, and closes nobody.
TEST_F(EngineRecheck, WhatIsSentWhileTheStoreIsAwayIsNotLookedUp) {
  disk->FailWrite(1, FaultKv::Fate::kLost);
  disk->failing_recovers = 1000;
  for (int i = 0; i < 10'100; ++i) {
    harness.Receive(1, EngineHarness::Send("dm:alice:stranger" + std::to_string(i), 1, "message-1"));
  }
  EXPECT_EQ(harness.Take(1).size(), 10'100u);
  EXPECT_FALSE(harness.closed(1));
  EXPECT_FALSE(harness.closed(2));
}

TEST_F(EngineRecheck, WhoCameAndWhoWentByAFailedCommitLearnOfIt) {
  harness.Connect(3, "carol", "c1");
  harness.Receive(1, R"({"t":"create","rid":1,"conv":"g:all","members":["bob"]})");
  harness.Take(1);
  harness.Receive(2, R"({"t":"got","conv":"g:all","seq":1})");
  harness.Advance(200);
  harness.Take(2);
  disk->FailWrite(1, FaultKv::Fate::kKept);
  harness.Receive(1, R"({"t":"remove","rid":2,"conv":"g:all","members":["bob"]})");
  harness.Advance(1);
  EXPECT_EQ(Kinds(2), "head ");
  disk->FailWrite(1, FaultKv::Fate::kKept);
  harness.Receive(1, R"({"t":"add","rid":3,"conv":"g:all","members":["carol"]})");
  for (int i = 0; i < 4; ++i) harness.Advance(500);  // it is tried again a second after the last time
  const auto packets = harness.Take(3);
  ASSERT_EQ(packets.size(), 1u);
  EXPECT_EQ(packets[0].t, "head");
  EXPECT_EQ(packets[0].integer("head"), 3u);
}

}  // namespace
}  // namespace everyonce
