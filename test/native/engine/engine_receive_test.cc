#include <gtest/gtest.h>

#include "engine/engine_harness.h"

namespace everyonce {
namespace {

constexpr const char* kConv = "dm:alice:bob";

std::string Got(uint64_t seq) { return R"({"t":"got","conv":"dm:alice:bob","seq":)" + std::to_string(seq) + "}"; }

void SendMany(EngineHarness* harness, uint32_t id, uint64_t from, uint64_t to) {
  for (uint64_t n = from; n <= to; ++n) {
    harness->Receive(id, EngineHarness::Send(kConv, n, "message-" + std::to_string(n)));
  }
  harness->Take(id);
}

// What waits to be looked at is bounded; what does not fit is said, to be sent again, and nothing else is touched.
TEST(EngineReceive, WhatWaitsIsBoundedAndTheRestIsToBeSentAgain) {
  EngineOptions options;
  options.limits.rate = 20;
  EngineHarness harness(options);
  harness.Connect(1, "alice", "a1");
  auto queue = [&](int pings) {
    std::string frame = "[";
    for (int i = 0; i < pings; ++i) frame += i == 0 ? R"({"t":"ping"})" : R"(,{"t":"ping"})";
    harness.Queue(1, frame + "]");
  };
  for (int i = 0; i < 3; ++i) queue(4000);  // one frame reaches over the bound of 8192
  queue(10);
  harness.Queue(1, EngineHarness::Send(kConv, 1, "message-1"));
  harness.Step();
  const auto answers = harness.Take(1);
  ASSERT_EQ(answers.size(), 12'011u);
  for (size_t i = 0; i < 11; ++i) {
    EXPECT_EQ(answers[i].t, i == 10 ? "nack" : "error");
    EXPECT_EQ(answers[i]["code"], "\"rate_limited\"");
    EXPECT_EQ(answers[i].integer("retry"), 1000u);
  }
  EXPECT_EQ(answers[11].t, "pong");
  harness.Receive(1, EngineHarness::Send(kConv, 1, "message-1"));
  EXPECT_EQ(harness.TakeOne(1).t, "ack");
  // Who goes on all the same is closed, as with any other rate: 10 × rate refusals within a minute.
  for (int i = 0; i < 3; ++i) queue(4000);
  queue(200);
  uint32_t code = 0;
  harness.Step();
  EXPECT_TRUE(harness.closed(1, &code));
  EXPECT_EQ(code, 4429u);
}

TEST(EngineReceive, IsBehindAfterComingBackAndLiveOnceThePageBroughtTheNewest) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  harness.Connect(2, "bob", "b1");
  harness.engine().Close(2);
  SendMany(&harness, 1, 1, 5);
  const auto welcome = harness.Connect(2, "bob", "b1", 2);
  EXPECT_NE(welcome["convs"].find("\"head\":5,\"got\":0"), std::string::npos);
  SendMany(&harness, 1, 6, 6);
  EXPECT_EQ(harness.TakeOne(2).t, "head");
  harness.Receive(2, R"({"t":"pull","rid":1,"conv":"dm:alice:bob","limit":4,"order":"oldest"})");
  const auto first = harness.TakeOne(2);
  EXPECT_NE(first["items"].find("\"seq\":4"), std::string::npos);
  EXPECT_EQ(first["items"].find("\"seq\":5"), std::string::npos);
  SendMany(&harness, 1, 7, 7);  // still behind: not pushed, and the last head is younger than a second
  EXPECT_TRUE(harness.Take(2).empty());
  harness.Receive(
      2, R"({"t":"pull","rid":2,"conv":"dm:alice:bob","limit":4,"order":"oldest","next":)" + first["next"] + "}");
  const auto second = harness.TakeOne(2);
  EXPECT_NE(second["items"].find("\"seq\":7"), std::string::npos);
  SendMany(&harness, 1, 8, 8);
  const auto live = harness.TakeOne(2);
  EXPECT_EQ(live.t, "msg");
  EXPECT_EQ(live.integer("seq"), 8u);
  harness.Receive(
      2, R"({"t":"pull","rid":3,"conv":"dm:alice:bob","limit":4,"order":"oldest","next":)" + second["next"] + "}");
  const auto third = harness.TakeOne(2);  // the second page is acked, the eighth message is not
  EXPECT_NE(third["items"].find("\"seq\":8"), std::string::npos);
  EXPECT_EQ(third["items"].find("\"seq\":7"), std::string::npos);
}

TEST(EngineReceive, PullsEverythingInPagesAndOneMoreRequest) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  SendMany(&harness, 1, 1, 10);
  harness.Receive(1, EngineHarness::Send("dm:alice:carl", 1, "to-carl-1"));
  harness.Connect(2, "bob", "b1");
  std::string next;
  int items = 0;
  int pages = 0;
  for (;;) {
    harness.Receive(2, R"({"t":"pull","rid":1,"limit":3,"order":"oldest")" +
                           (next.empty() ? std::string() : ",\"next\":" + next) + "}");
    const auto page = harness.TakeOne(2);
    ++pages;
    const std::string text = page["items"];
    for (size_t at = text.find("\"t\":\"msg\""); at != std::string::npos; at = text.find("\"t\":\"msg\"", at + 1))
      ++items;
    next = page["next"];
    if (next.empty()) {
      EXPECT_EQ(text, "[]");
      break;
    }
  }
  EXPECT_EQ(items, 10);
  EXPECT_EQ(pages, 5);  // four pages cost five requests
}

TEST(EngineReceive, RefusesANextThatIsNotOfThisPull) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  for (const char* next : {"\"garbage\"", "\"\"", "\"AQAAAAAA\""}) {
    harness.Receive(1, std::string(R"({"t":"pull","rid":1,"limit":3,"order":"oldest","next":)") + next + "}");
    EXPECT_EQ(harness.TakeOne(1)["code"], "\"bad_request\"") << next;
  }
}

TEST(EngineReceive, StopsPushingAtTheWindowAndGoesOnWhenAcked) {
  EngineOptions options;
  options.limits.window = 3;
  EngineHarness harness(options);
  harness.Connect(1, "alice", "a1");
  harness.Connect(2, "bob", "b1");
  harness.Advance(100);  // what rose while they were away is told once after a welcome
  SendMany(&harness, 1, 1, 5);
  auto packets = harness.Take(2);
  ASSERT_EQ(packets.size(), 5u);  // head, three messages, head
  EXPECT_EQ(packets[3].integer("seq"), 3u);
  EXPECT_EQ(packets[4].t, "head");
  EXPECT_EQ(packets[4].integer("head"), 4u);
  harness.Advance(1000);
  EXPECT_EQ(harness.TakeOne(2).integer("head"), 5u);
  harness.Receive(2, Got(3));
  SendMany(&harness, 1, 6, 6);  // behind until it has what is before
  harness.Advance(1000);
  EXPECT_EQ(harness.TakeOne(2).t, "head");
  harness.Receive(2, Got(6));
  SendMany(&harness, 1, 7, 7);
  EXPECT_EQ(harness.TakeOne(2).integer("seq"), 7u);
}

TEST(EngineReceive, ALaggingSocketIsABehindOne) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  harness.Connect(2, "bob", "b1");
  SendMany(&harness, 1, 1, 1);
  harness.Take(2);
  harness.engine().SetLagging(2, true);
  SendMany(&harness, 1, 2, 2);
  EXPECT_EQ(harness.TakeOne(2).t, "head");
  harness.engine().SetLagging(2, false);
  harness.Receive(2, R"({"t":"pull","rid":1,"conv":"dm:alice:bob","limit":9,"order":"oldest"})");
  harness.Take(2);
  SendMany(&harness, 1, 3, 3);
  EXPECT_EQ(harness.TakeOne(2).t, "msg");
}

TEST(EngineReceive, PushesAgainWhatIsUnackedAndGivesASilentConnectionUp) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  harness.Connect(2, "bob", "b1");
  harness.Advance(100);  // what rose while they were away is told once after a welcome
  SendMany(&harness, 1, 1, 1);
  harness.Take(2);
  for (int i = 0; i < 3; ++i) {
    harness.Advance(10'000);
    const auto again = harness.TakeOne(2);
    EXPECT_EQ(again.t, "msg");
    EXPECT_EQ(again.integer("seq"), 1u);
  }
  harness.Advance(10'000);
  uint32_t code = 0;
  EXPECT_TRUE(harness.closed(2, &code));
  EXPECT_EQ(code, 4410u);
  EXPECT_FALSE(harness.closed(1));
}

TEST(EngineReceive, AReaderThatShowsLifeGoesBehindInstead) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  harness.Connect(2, "bob", "b1");
  SendMany(&harness, 1, 1, 2);
  harness.Take(2);
  for (int i = 0; i < 4; ++i) {
    harness.Advance(5'000);
    harness.Receive(2, Got(0));  // a handler that takes long repeats its last ack
    harness.Advance(5'000);
  }
  EXPECT_FALSE(harness.closed(2));
  const auto packets = harness.Take(2);
  ASSERT_FALSE(packets.empty());
  EXPECT_EQ(packets.back().t, "head");
}

TEST(EngineReceive, TheSendersOwnMessageCountsAsAckedByItsDevice) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  SendMany(&harness, 1, 1, 3);
  harness.engine().Close(1);
  const auto welcome = harness.Connect(1, "alice", "a1", 2);
  EXPECT_NE(welcome["convs"].find("\"head\":3,\"got\":3"), std::string::npos);
  EXPECT_NE(welcome["convs"].find("\"unread\":0"), std::string::npos);
}

TEST(EngineReceive, TellsTheOthersThatMarksRose) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  harness.Connect(2, "bob", "b1");
  harness.Advance(100);  // what rose while they were away is told once after a welcome
  SendMany(&harness, 1, 1, 3);
  harness.Take(2);
  harness.Receive(2, Got(1));
  harness.Receive(2, Got(3));
  harness.Receive(2, R"({"t":"read","conv":"dm:alice:bob","seq":2})");
  harness.Advance(100);
  const auto receipt = harness.TakeOne(1);  // three changes, one receipt
  EXPECT_EQ(receipt.t, "receipt");
  EXPECT_EQ(receipt["user"], "\"bob\"");
  EXPECT_EQ(receipt.integer("got"), 3u);
  EXPECT_EQ(receipt.integer("read"), 2u);
  EXPECT_TRUE(harness.Take(2).empty());
}

TEST(EngineReceive, TellsADeviceThatComesBackWhatWasReadMeanwhile) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  harness.Connect(2, "bob", "b1");
  SendMany(&harness, 1, 1, 3);
  harness.engine().Close(1);
  harness.Receive(2, Got(3));
  harness.Receive(2, R"({"t":"read","conv":"dm:alice:bob","seq":2})");
  harness.Advance(1000);
  harness.Connect(1, "alice", "a1", 2);
  harness.Advance(100);
  const auto receipt = harness.TakeOne(1);
  EXPECT_EQ(receipt["user"], "\"bob\"");
  EXPECT_EQ(receipt.integer("got"), 3u);
  EXPECT_EQ(receipt.integer("read"), 2u);
}

TEST(EngineReceive, PassesSignalsToMembersOnlineAndToNobodyElse) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  harness.Connect(2, "bob", "b1");
  harness.Connect(3, "carl", "c1");
  harness.Receive(1, R"({"t":"signal","conv":"dm:alice:bob","body":{"typing":true}})");
  EXPECT_EQ(harness.TakeOne(2)["body"], R"({"typing":true})");
  EXPECT_TRUE(harness.Take(1).empty());
  EXPECT_TRUE(harness.Take(3).empty());
  harness.Receive(3, R"({"t":"signal","conv":"dm:alice:bob","body":1})");
  EXPECT_EQ(harness.TakeOne(3)["code"], "\"unknown_conv\"");
}

TEST(EngineReceive, AGroupBeginsLiveForWhoIsHere) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  harness.Connect(2, "bob", "b1");
  harness.Receive(1, R"({"t":"create","rid":"r","conv":"g:team","members":["bob"]})");
  auto packets = harness.Take(1);
  ASSERT_EQ(packets.size(), 3u);  // ok, head, the system message
  EXPECT_EQ(packets[0].t, "ok");
  packets = harness.Take(2);
  ASSERT_EQ(packets.size(), 2u);
  EXPECT_EQ(packets[1]["type"], "\"system.members\"");
  harness.Receive(2, R"({"t":"send","conv":"g:team","id":"hello-team","n":1,"body":"hi"})");
  EXPECT_EQ(harness.Take(2).front().integer("seq"), 2u);
  EXPECT_EQ(harness.TakeOne(1).integer("seq"), 2u);
}

}  // namespace
}  // namespace everyonce
