// What the application itself asks of the engine: as the system, as a user, as a user's device.
#include <gtest/gtest.h>

#include "engine/engine_harness.h"

namespace everyonce {
namespace {

// One request and its only answer.
std::string Ask(EngineHarness* harness, std::string_view user, std::string_view device, std::string_view packet) {
  harness->TakeOthers();
  harness->engine().Request(77, user, device, packet);
  harness->Step();
  std::string answer;
  for (const EngineHarness::Out& out : harness->TakeOthers()) {
    if (out.kind != OutputKind::kAnswer) continue;
    EXPECT_EQ(answer, "");
    answer = out.bytes;
  }
  return answer;
}

bool Has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

TEST(EngineApplication, MakesGroupsOfTheSystemsOwnInWhichNobodyElseIs) {
  EngineHarness harness;
  const char* create = R"({"t":"create","rid":1,"conv":"g:team","members":["alice","bob"]})";
  EXPECT_EQ(Ask(&harness, "", "", create), R"({"t":"ok","rid":1})");
  EXPECT_EQ(Ask(&harness, "", "", create), R"({"t":"ok","rid":1})");
  const std::string page = Ask(&harness, "", "", R"({"t":"history","rid":2,"limit":9,"conv":"g:team"})");
  EXPECT_TRUE(Has(page, R"("body":{"add":["alice","bob"],"by":"system"})")) << page;
  EXPECT_TRUE(Has(Ask(&harness, "", "", R"({"t":"create","rid":1,"conv":"g:team","members":["carl"]})"), "exists"));
  EXPECT_EQ(Ask(&harness, "", "", R"({"t":"remove","rid":3,"conv":"g:team","members":["bob"]})"),
            R"({"t":"ok","rid":3})");
}

TEST(EngineApplication, ActsForAUserWithThatUsersRights) {
  EngineHarness harness;
  EXPECT_TRUE(Has(Ask(&harness, "alice", "", R"({"t":"create","rid":1,"conv":"g:team","members":["bob"]})"), "ok"));
  EXPECT_TRUE(Has(Ask(&harness, "bob", "", R"({"t":"add","rid":1,"conv":"g:team","members":["carl"]})"), "forbidden"));
  EXPECT_TRUE(Has(Ask(&harness, "alice", "", R"({"t":"add","rid":1,"conv":"g:team","members":["carl"]})"), "ok"));
  EXPECT_TRUE(Has(Ask(&harness, "eve", "", R"({"t":"history","rid":1,"limit":9,"conv":"g:team"})"), "unknown_conv"));
}

TEST(EngineApplication, ReadsEverythingAsTheSystem) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  harness.Receive(1, EngineHarness::Send("dm:alice:bob", 1, "message-1"));
  EXPECT_TRUE(Has(Ask(&harness, "", "", R"({"t":"history","rid":1,"limit":9,"conv":"dm:alice:bob"})"), "message-1"));
  EXPECT_EQ(Ask(&harness, "", "", R"({"t":"history","rid":1,"limit":9,"conv":"dm:bob:carl"})"),
            R"({"t":"page","rid":1,"items":[],"more":false})");
  EXPECT_TRUE(Has(Ask(&harness, "", "", R"({"t":"history","rid":1,"limit":9,"conv":"g:none"})"), "unknown_conv"));
  EXPECT_TRUE(Has(Ask(&harness, "", "", R"({"t":"pull","rid":1,"limit":9,"conv":"dm:alice:bob"})"), "unknown_conv"));
}

TEST(EngineApplication, PullsAndAcksAsADeviceWhoseConnectionStays) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  harness.Connect(2, "bob", "b1");
  harness.Receive(1, EngineHarness::Send("dm:alice:bob", 1, "message-1"));
  harness.Take(2);
  const std::string page = Ask(&harness, "bob", "b1", R"({"t":"pull","rid":1,"limit":9,"conv":"dm:alice:bob"})");
  EXPECT_TRUE(Has(page, "message-1")) << page;
  const size_t at = page.find("\"next\":\"") + 8;
  const std::string next = page.substr(at, page.find('"', at) - at);
  const std::string pull = R"({"t":"pull","rid":2,"limit":9,"conv":"dm:alice:bob","next":")" + next + "\"}";
  EXPECT_TRUE(Has(Ask(&harness, "bob", "b1", pull), R"("items":[])"));
  EXPECT_TRUE(Has(Ask(&harness, "bob", "b1", R"({"t":"counts","rid":3})"), R"("got":1)"));
  EXPECT_TRUE(Has(Ask(&harness, "bob", "b2", R"({"t":"counts","rid":3})"), R"("got":0)"));
  EXPECT_FALSE(harness.closed(2));
  harness.Receive(1, EngineHarness::Send("dm:alice:bob", 2, "message-2"));
  EXPECT_EQ(harness.TakeOne(2).t, "msg");
}

TEST(EngineApplication, WhatItPullsForADeviceLeavesTheWindowOfItsConnection) {
  EngineOptions options;
  options.limits.window = 1;
  EngineHarness harness(options);
  harness.Connect(1, "alice", "a1");
  harness.Connect(2, "bob", "b1");
  harness.Receive(1, EngineHarness::Send("dm:alice:bob", 1, "message-1"));
  harness.Receive(1, EngineHarness::Send("dm:alice:bob", 2, "message-2"));
  for (const auto& packet : harness.Take(2)) EXPECT_FALSE(Has(packet.json, "message-2")) << "no room for it";
  const std::string page = Ask(&harness, "bob", "b1", R"({"t":"pull","rid":1,"limit":9,"conv":"dm:alice:bob"})");
  const size_t at = page.find("\"next\":\"") + 8;
  const std::string next = page.substr(at, page.find('"', at) - at);
  Ask(&harness, "bob", "b1", R"({"t":"pull","rid":2,"limit":9,"conv":"dm:alice:bob","next":")" + next + "\"}");
  harness.Take(2);
  harness.Receive(1, EngineHarness::Send("dm:alice:bob", 3, "message-3"));
  const auto told = harness.Take(2);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_TRUE(Has(told[0].json, "message-3")) << told[0].json;
}

}  // namespace
}  // namespace everyonce
