#include <gtest/gtest.h>

#include "engine/engine_harness.h"

namespace everyonce {
namespace {

constexpr const char* kConv = "dm:alice:bob";

EngineOptions Asking() {
  EngineOptions options;
  options.authorize = true;
  options.limits.rate = 0;
  return options;
}

struct Question {
  uint32_t id = 0;
  std::string json;
};

std::vector<Question> TakeQuestions(EngineHarness* harness) {
  std::vector<Question> questions;
  for (const EngineHarness::Out& out : harness->TakeOthers()) {
    if (out.kind == OutputKind::kAuthorize) questions.push_back({out.id, out.bytes});
  }
  return questions;
}

void Answer(EngineHarness* harness, const Question& question, bool allowed) {
  harness->engine().Authorized(question.id, allowed);
  harness->Step();
}

std::vector<std::string> Summary(const std::vector<EngineHarness::Received>& packets) {
  std::vector<std::string> all;
  for (const auto& packet : packets) {
    if (packet.t == "receipt") continue;
    all.push_back(packet.t + " " + packet["id"] + packet["code"] + packet["rid"]);
  }
  return all;
}

using Texts = std::vector<std::string>;

TEST(EngineAuthorize, NothingIsAskedWithoutTheOption) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  harness.Receive(1, EngineHarness::Send(kConv, 1, "message-1"));
  EXPECT_EQ(harness.TakeOne(1).t, "ack");
  EXPECT_TRUE(TakeQuestions(&harness).empty());
}

TEST(EngineAuthorize, ARefusedSendUsesItsNAndADuplicateIsStillOne) {
  EngineHarness harness(Asking());
  harness.Connect(1, "alice", "a1");
  TakeQuestions(&harness);
  auto send = [&](uint64_t n, const char* id, bool allowed) {
    harness.Receive(1, EngineHarness::Send(kConv, n, id));
    const auto questions = TakeQuestions(&harness);
    EXPECT_EQ(questions.size(), 1u);
    EXPECT_EQ(questions[0].json, R"({"action":"send","user":"alice","conv":"dm:alice:bob"})");
    EXPECT_TRUE(harness.Take(1).empty());
    Answer(&harness, questions[0], allowed);
    return harness.TakeOne(1);
  };
  EXPECT_EQ(send(1, "message-1", true).t, "ack");
  const auto duplicate = send(1, "message-1", false);
  EXPECT_EQ(duplicate["dup"], "true");
  EXPECT_EQ(send(3, "message-3", false)["code"], "\"gap\"");
  const auto refused = send(2, "message-2", false);
  EXPECT_EQ(refused["code"], "\"forbidden\"");
  EXPECT_EQ(refused["retry"], "");
  EXPECT_EQ(send(2, "message-2", true)["code"], "\"forbidden\"");  // the same for ever
  EXPECT_EQ(send(3, "message-3", true).t, "ack");
}

TEST(EngineAuthorize, WhatFollowsInTheConversationWaitsAndOthersDoNot) {
  EngineHarness harness(Asking());
  harness.Connect(1, "alice", "a1");
  TakeQuestions(&harness);
  harness.Receive(1, EngineHarness::Send(kConv, 1, "message-1"));
  harness.Receive(1, EngineHarness::Send(kConv, 2, "message-2"));
  harness.Receive(1, R"({"t":"send","conv":"dm:alice:bob","id":"message-3","n":3,"body":1,"type":"NO"})");
  harness.Receive(1, R"({"t":"skip","rid":7,"conv":"dm:alice:bob","from":4,"to":4})");
  harness.Receive(1, EngineHarness::Send("dm:alice:carl", 1, "to-carl-1"));
  harness.Receive(1, R"({"t":"ping"})");
  const auto questions = TakeQuestions(&harness);
  ASSERT_EQ(questions.size(), 3u);
  EXPECT_EQ(Summary(harness.Take(1)), (Texts{"pong "}));
  Answer(&harness, questions[2], true);
  EXPECT_EQ(Summary(harness.Take(1)), (Texts{"ack \"to-carl-1\""}));
  Answer(&harness, questions[1], true);
  EXPECT_TRUE(harness.Take(1).empty());
  Answer(&harness, questions[0], true);
  EXPECT_EQ(Summary(harness.Take(1)),
            (Texts{"ack \"message-1\"", "ack \"message-2\"", "nack \"message-3\"\"bad_request\"", "ok 7"}));
}

TEST(EngineAuthorize, TooMuchThatWaitsIsToBeSentAgainLater) {
  EngineHarness harness(Asking());
  harness.Connect(1, "alice", "a1");
  for (uint64_t n = 1; n <= 513; ++n) {
    harness.Receive(1, EngineHarness::Send(kConv, n, "message-" + std::to_string(n)));
  }
  const auto nack = harness.TakeOne(1);
  EXPECT_EQ(nack["id"], "\"message-513\"");
  EXPECT_EQ(nack["code"], "\"rate_limited\"");
  EXPECT_EQ(nack.integer("retry"), 1000u);
  for (const Question& question : TakeQuestions(&harness)) harness.engine().Authorized(question.id, true);
  harness.Step();
  EXPECT_EQ(harness.Take(1).size(), 512u);
}

TEST(EngineAuthorize, ARefusedReadIsForbiddenToMembersAndUnknownToStrangers) {
  EngineHarness harness(Asking());
  harness.Connect(1, "alice", "a1");
  TakeQuestions(&harness);
  struct Read {
    const char* packet;
    const char* question;
    const char* code;
  };
  for (const Read& read :
       {Read{R"({"t":"pull","rid":1,"conv":"dm:alice:bob","limit":3,"order":"oldest"})", "\"dm:alice:bob\"",
             "\"forbidden\""},
        Read{R"({"t":"history","rid":1,"conv":"dm:alice:bob","limit":3})", "\"dm:alice:bob\"", "\"forbidden\""},
        Read{R"({"t":"counts","rid":1})", "null", "\"forbidden\""},
        Read{R"({"t":"pull","rid":1,"limit":3,"order":"newest"})", "null", "\"forbidden\""},
        Read{R"({"t":"history","rid":1,"conv":"g:none","limit":3})", "\"g:none\"", "\"unknown_conv\""}}) {
    for (const bool allowed : {false, true}) {
      harness.Receive(1, read.packet);
      const auto questions = TakeQuestions(&harness);
      ASSERT_EQ(questions.size(), 1u) << read.packet;
      EXPECT_EQ(questions[0].json, std::string(R"({"action":"read","user":"alice","conv":)") + read.question + "}");
      Answer(&harness, questions[0], allowed);
      const auto answer = harness.TakeOne(1);
      EXPECT_EQ(answer["rid"], "1");
      const bool refused = !allowed || std::string(read.code) == "\"unknown_conv\"";
      EXPECT_EQ(answer["code"], refused ? read.code : "") << answer.json;
    }
  }
}

TEST(EngineAuthorize, DecidesWhoMayChangeWhoIsInAConversation) {
  EngineHarness harness(Asking());
  harness.Connect(1, "alice", "a1");
  harness.Connect(2, "bob", "b1");
  TakeQuestions(&harness);
  harness.Receive(1, R"({"t":"create","rid":1,"conv":"g:team","members":["bob"]})");
  harness.Receive(1, EngineHarness::Send("g:team", 1, "message-1"));  // behind what makes its conversation
  auto questions = TakeQuestions(&harness);
  ASSERT_EQ(questions.size(), 2u);
  EXPECT_EQ(questions[0].json, R"({"action":"create","user":"alice","conv":"g:team","members":["bob"]})");
  Answer(&harness, questions[1], true);
  Answer(&harness, questions[0], true);
  const auto created = Summary(harness.Take(1));
  EXPECT_NE(std::find(created.begin(), created.end(), "ack \"message-1\""), created.end());
  harness.Take(2);
  // Not the creator, and allowed by the hook; the creator, and not.
  harness.Receive(2, R"({"t":"add","rid":2,"conv":"g:team","members":["carl"]})");
  questions = TakeQuestions(&harness);
  ASSERT_EQ(questions.size(), 1u);
  Answer(&harness, questions[0], true);
  EXPECT_NE(harness.Take(2).front().t, "error");
  harness.Receive(1, R"({"t":"remove","rid":3,"conv":"g:team","members":["carl"]})");
  questions = TakeQuestions(&harness);
  harness.Take(1);
  Answer(&harness, questions.at(0), false);
  EXPECT_EQ(harness.TakeOne(1)["code"], "\"forbidden\"");
}

TEST(EngineAuthorize, TheApplicationPublishesForAUserByLeaveAndReadsWithout) {
  EngineHarness harness(Asking());
  harness.engine().Request(7, "alice", "", R"({"t":"send","conv":"dm:alice:bob","id":"publish-1","body":1})");
  harness.Step();
  auto questions = TakeQuestions(&harness);
  ASSERT_EQ(questions.size(), 1u);
  EXPECT_EQ(questions[0].json, R"({"action":"publish","user":"alice","conv":"dm:alice:bob"})");
  harness.engine().Authorized(questions[0].id, false);
  harness.Step();
  auto others = harness.TakeOthers();
  ASSERT_EQ(others.size(), 1u);
  EXPECT_EQ(others[0].id, 7u);
  EXPECT_NE(others[0].bytes.find("forbidden"), std::string::npos);
  harness.engine().Request(8, "alice", "a1", R"({"t":"counts","rid":1})");
  harness.Step();
  others = harness.TakeOthers();
  ASSERT_EQ(others.size(), 1u);
  EXPECT_EQ(others[0].kind, OutputKind::kAnswer);
}

TEST(EngineAuthorize, AnAnswerForWhoIsGoneIsNobodys) {
  EngineHarness harness(Asking());
  harness.Connect(1, "alice", "a1");
  TakeQuestions(&harness);
  harness.Receive(1, EngineHarness::Send(kConv, 1, "message-1"));
  const auto questions = TakeQuestions(&harness);
  harness.engine().Close(1);
  harness.Step();
  Answer(&harness, questions.at(0), true);
  harness.engine().Authorized(4711, true);
  harness.Connect(1, "alice", "a1", 2);
  harness.Receive(1, R"({"t":"history","rid":1,"conv":"dm:alice:bob","limit":3})");
  Answer(&harness, TakeQuestions(&harness).back(), true);
  EXPECT_EQ(harness.TakeOne(1)["items"], "[]");
}

}  // namespace
}  // namespace everyonce
