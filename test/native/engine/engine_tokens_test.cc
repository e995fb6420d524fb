#include <gtest/gtest.h>

#include <set>

#include "engine/engine_harness.h"

namespace everyonce {
namespace {

constexpr const char* kConv = "dm:alice:bob";

EngineOptions With(TokenCheck tokens) {
  EngineOptions options;
  options.tokens = tokens;
  return options;
}

std::vector<std::string> Ask(EngineHarness* harness, uint32_t connection, int count) {
  harness->Receive(connection, R"({"t":"tokens","rid":1,"count":)" + std::to_string(count) + "}");
  const auto answer = harness->TakeOne(connection);
  EXPECT_EQ(answer.t, "tokens") << answer.json;
  std::vector<std::string> tokens;
  std::string list = answer["tokens"];
  for (size_t at = list.find('"'); at != std::string::npos; at = list.find('"', at)) {
    const size_t end = list.find('"', at + 1);
    tokens.push_back(list.substr(at + 1, end - at - 1));
    at = end + 1;
  }
  return tokens;
}

TEST(EngineTokens, AreToldOfInTheWelcomeAndNeededBySends) {
  EngineHarness harness(With(TokenCheck::kRequired));
  EXPECT_EQ(harness.Connect(1, "alice", "a1")["tokens"], "\"required\"");
  const auto tokens = Ask(&harness, 1, 1000);
  EXPECT_EQ(std::set<std::string>(tokens.begin(), tokens.end()).size(), 1000u);
  harness.Receive(1, EngineHarness::Send(kConv, 1, tokens[0]));
  EXPECT_EQ(harness.TakeOne(1).t, "ack");
  harness.Receive(1, EngineHarness::Send(kConv, 2, "my-own-id"));
  EXPECT_EQ(harness.TakeOne(1)["code"], "\"token_invalid\"");
  harness.Receive(1, EngineHarness::Send(kConv, 3, tokens[1]));
  EXPECT_EQ(harness.TakeOne(1).t, "ack");
  // The application needs none, unless it hands on what somebody else asked.
  const std::string send = R"({"t":"send","conv":"dm:alice:bob","id":"published-1","body":1})";
  harness.engine().Request(1, "alice", {}, send);
  harness.engine().Request(2, "alice", {}, R"({"t":"send","conv":"dm:alice:bob","id":"published-2","body":1})", true);
  harness.TakeOthers();
  harness.Step();
  const auto answers = harness.TakeOthers();
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_NE(answers[0].bytes.find("\"ack\""), std::string::npos) << answers[0].bytes;
  EXPECT_NE(answers[1].bytes.find("\"token_invalid\""), std::string::npos) << answers[1].bytes;
}

TEST(EngineTokens, OfPartsAreJudgedForThePackage) {
  EngineHarness harness(With(TokenCheck::kRequired));
  harness.Connect(1, "alice", "a1");
  const auto tokens = Ask(&harness, 1, 3);
  const auto part = [](uint64_t n, const std::string& id, int i) {
    return R"({"t":"send","conv":"dm:alice:bob","id":")" + id + R"(","n":)" + std::to_string(n) + R"(,"pkg":{"id":"P)" +
           std::to_string(n) + R"(","i":)" + std::to_string(i) + R"(,"total":2},"body":1})";
  };
  harness.Receive(1, "[" + part(1, tokens[0], 0) + "," + part(1, tokens[1], 1) + "]");
  for (const auto& answer : harness.Take(1)) EXPECT_EQ(answer.t, "ack") << answer.json;
  harness.Receive(1, "[" + part(2, tokens[2], 0) + "," + part(2, "not-a-token", 1) + "]");
  const auto answers = harness.Take(1);
  ASSERT_EQ(answers.size(), 2u);
  for (const auto& answer : answers) EXPECT_EQ(answer["code"], "\"token_invalid\"") << answer.json;
}

TEST(EngineTokens, CostAsMuchAsAPacketForEachHundred) {
  EngineOptions options = With(TokenCheck::kIfToken);
  options.limits.rate = 1;  // ten at once
  EngineHarness harness(options);
  EXPECT_EQ(harness.Connect(1, "alice", "a1")["tokens"], "\"accepted\"");
  EXPECT_EQ(Ask(&harness, 1, 900).size(), 900u);
  harness.Receive(1, R"({"t":"tokens","rid":1,"count":1})");
  EXPECT_EQ(harness.TakeOne(1)["code"], "\"rate_limited\"") << "the hello was one, too";
}

TEST(EngineTokens, AreUnsupportedWhereThereAreNone) {
  EngineHarness harness;
  EXPECT_EQ(harness.Connect(1, "alice", "a1")["tokens"], "");
  harness.Receive(1, R"({"t":"tokens","rid":"x","count":1})");
  const auto answer = harness.TakeOne(1);
  EXPECT_EQ(answer["code"], "\"unsupported\"");
  EXPECT_EQ(answer["rid"], "\"x\"");
}

}  // namespace
}  // namespace everyonce
