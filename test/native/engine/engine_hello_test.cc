#include <gtest/gtest.h>

#include "engine/engine_harness.h"

namespace everyonce {
namespace {

constexpr const char* kHello = R"({"t":"hello","v":1,"device":"a1","pe":1})";

uint32_t CloseCode(const EngineHarness& harness, uint32_t id) {
  uint32_t code = 0;
  harness.closed(id, &code);
  return code;
}

TEST(EngineHello, AsksWhoItIsAndWelcomes) {
  EngineHarness harness;
  harness.engine().Open(1);
  harness.Receive(1, R"({"t":"hello","v":1,"device":"a1","pe":1,"token":"se\"cret"})");
  const auto asked = harness.TakeOthers();
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].kind, OutputKind::kAuthenticate);
  EXPECT_EQ(asked[0].bytes, R"({"token":"se\"cret","device":"a1"})");
  harness.Receive(1, EngineHarness::Send("dm:alice:bob", 1, "early"));
  EXPECT_TRUE(harness.Take(1).empty());  // nothing before the answer
  harness.engine().Accept(1, "alice");
  harness.Step();
  const auto packets = harness.Take(1);
  ASSERT_EQ(packets.size(), 2u);
  EXPECT_EQ(packets[0].t, "welcome");
  EXPECT_EQ(packets[0]["user"], "\"alice\"");
  EXPECT_EQ(packets[0].integer("now"), 1'760'000'000'000u);
  EXPECT_EQ(packets[1].t, "ack");
}

TEST(EngineHello, EndsWithoutARightHello) {
  int id = 0;
  for (const char* frame :
       {"not json", "7", R"({"t":"ping"})", R"({"t":"hello","v":2,"device":"a1","pe":1})",
        R"({"t":"hello","v":1,"device":"a1"})", R"({"t":"hello","v":1,"device":"server","pe":1})",
        R"({"t":"hello","v":1,"device":"a1","pe":0})", R"({"t":"send","conv":"dm:a:b","id":"12345678","body":1})"}) {
    EngineHarness harness;
    harness.engine().Open(static_cast<uint32_t>(++id));
    harness.Receive(static_cast<uint32_t>(id), frame);
    EXPECT_EQ(harness.TakeOne(static_cast<uint32_t>(id)).t, "error") << frame;
    EXPECT_EQ(CloseCode(harness, static_cast<uint32_t>(id)), 4400u) << frame;
  }
}

TEST(EngineHello, ReplacesTheFirstConnectionOfTheSameDevice) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  harness.Connect(2, "alice", "a2");
  harness.Connect(3, "bob", "a1");
  harness.Connect(4, "alice", "a1");
  EXPECT_EQ(CloseCode(harness, 1), 4409u);
  EXPECT_FALSE(harness.closed(2));
  EXPECT_FALSE(harness.closed(3));
}

TEST(EngineHello, FencesAnOlderIncarnation) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1", 5);
  harness.engine().Close(1);
  harness.engine().Open(2);
  harness.Receive(2, R"({"t":"hello","v":1,"device":"a1","pe":4})");
  harness.engine().Accept(2, "alice");
  harness.Step();
  const auto error = harness.TakeOne(2);
  EXPECT_EQ(error["code"], "\"stale_device\"");
  EXPECT_EQ(error.integer("pe"), 5u);
  EXPECT_EQ(CloseCode(harness, 2), 4409u);
}

TEST(EngineHello, AnswersPositions) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  harness.Receive(1, EngineHarness::Send("dm:alice:bob", 1, "m1"));
  const std::string epoch = harness.TakeOne(1)["epoch"];
  harness.Receive(1, EngineHarness::Send("dm:alice:bob", 2, "m2"));
  harness.Take(1);
  auto welcome = harness.Connect(2, "bob", "b1", 1, R"(,"at":{"dm:alice:bob":[)" + epoch + R"(,1]})");
  EXPECT_NE(welcome["convs"].find("\"got\":1"), std::string::npos);
  EXPECT_NE(welcome["convs"].find("\"resume\":\"ok\""), std::string::npos);
  welcome = harness.Connect(3, "bob", "b1", 2, R"(,"at":{"dm:alice:bob":[)" + epoch + R"(,9]})");
  EXPECT_NE(welcome["convs"].find("\"resume\":\"truncated\",\"keep\":2"), std::string::npos) << welcome.json;
  welcome = harness.Connect(4, "bob", "b1", 3, R"(,"at":{"dm:alice:bob":[17,1],"g:none":[3,1]})");
  EXPECT_NE(welcome["convs"].find("\"resume\":\"reset\""), std::string::npos);
  EXPECT_NE(welcome["convs"].find("\"conv\":\"g:none\",\"epoch\":0,\"head\":0"), std::string::npos) << welcome.json;
  harness.Receive(4, R"({"t":"resume","rid":9,"at":{"dm:alice:bob":[)" + epoch + ",2]}}");
  const auto resumed = harness.TakeOne(4);
  EXPECT_EQ(resumed.t, "resume");
  EXPECT_EQ(resumed["rid"], "9");
  EXPECT_NE(resumed["convs"].find("\"got\":2"), std::string::npos) << resumed.json;
}

TEST(EngineHello, KeepsTheConnectionOverAnUnknownPacketAndEndsItAfterElevenBadOnes) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  harness.Receive(1, R"({"t":"dance","rid":"x"})");
  const auto unsupported = harness.TakeOne(1);
  EXPECT_EQ(unsupported["code"], "\"unsupported\"");
  EXPECT_EQ(unsupported["rid"], "\"x\"");
  for (int i = 0; i < 10; ++i) {
    harness.Receive(1, i % 2 == 0 ? "{" : R"({"t":"read","conv":"dm:alice:bob"})");
    EXPECT_EQ(harness.TakeOne(1)["code"], "\"bad_request\"");
  }
  EXPECT_FALSE(harness.closed(1));
  harness.Receive(1, R"({"t":"send","conv":"dm:alice:bob","id":"12345678","n":1,"body":1,"type":7})");
  EXPECT_EQ(CloseCode(harness, 1), 4400u);
}

TEST(EngineHello, SaysByeToEverybody) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  harness.engine().Drain(250);
  harness.Step();
  const auto bye = harness.TakeOne(1);
  EXPECT_EQ(bye.t, "bye");
  EXPECT_EQ(bye.integer("after"), 250u);
}

}  // namespace
}  // namespace everyonce
