// The walk over a store: all of it, in slices, the same however often, also where one conversation has more senders
// than are kept in memory.

#include "migrate/store_reader.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "log/embedded_log_harness.h"

namespace everyonce::test {
namespace {

constexpr int64_t kWindowMs = 3600000;

struct Walk {
  std::vector<TargetCall> calls;
  size_t slices = 0;
  Status status;
};

Walk WalkOver(StoreReader* reader, int64_t now_ms) {
  Walk walk;
  TargetCalls calls;
  walk.status = reader->Rewind(now_ms);
  for (bool done = false; walk.status.ok() && !done; ++walk.slices) {
    walk.status = reader->Slice(&calls, &done);
    while (!calls.empty()) walk.calls.push_back(calls.Take());
  }
  return walk;
}

bool Same(const Walk& one, const Walk& other) {
  if (one.calls.size() != other.calls.size()) return false;
  for (size_t i = 0; i < one.calls.size(); ++i) {
    const TargetCall& a = one.calls[i];
    const TargetCall& b = other.calls[i];
    if (a.kind != b.kind || a.key != b.key || a.items != b.items || a.expires_ms != b.expires_ms) return false;
  }
  return true;
}

// The fields of a hash, of all calls that write to it.
std::map<std::string, std::string> HashAt(const Walk& walk, const std::string& key) {
  std::map<std::string, std::string> fields;
  for (const TargetCall& call : walk.calls) {
    if (call.kind != TargetKind::kHash || call.key != key) continue;
    for (size_t i = 0; i < call.items.size(); i += 2) fields[call.items[i]] = call.items[i + 1];
  }
  return fields;
}

TEST(MigrateStoreReader, ManySendersInOneConversation) {
  EmbeddedLogHarness harness;
  const auto name = [](int i) { return "user-" + std::to_string(i); };
  constexpr int kUsers = 1015;
  Command create = Send(kGroup, name(0), "phone", 0);
  create.kind = CommandKind::kMembers;
  create.action = MembersAction::kCreate;
  for (int i = 1; i < kUsers; ++i) create.members.push_back(name(i));
  ASSERT_EQ(harness.Commit(create).code, Code::kOk);
  std::vector<Command> group;
  for (int i = 0; i < kUsers; ++i) group.push_back(Send(kGroup, name(i), "phone", 1));
  for (const Outcome& outcome : harness.CommitAll(group)) ASSERT_EQ(outcome.code, Code::kOk) << outcome.message;
  // In the log's tail only: neither their answers nor their counts have a snapshot.
  group.clear();
  for (int i = 0; i < 60; ++i) group.push_back(Send(kGroup, name(i), "laptop", 1));
  for (const Outcome& outcome : harness.CommitAll(group)) ASSERT_EQ(outcome.code, Code::kOk) << outcome.message;

  FaultKv kv(harness.shared_disk());
  StoreReader reader(&kv, kWindowMs, false);
  const Walk walk = WalkOver(&reader, harness.now_ms);
  ASSERT_TRUE(walk.status.ok()) << walk.status.message;
  EXPECT_GT(walk.slices, 2u);
  const MigrationCounts& counts = reader.counts();
  EXPECT_EQ(counts.conversations, 1u);
  EXPECT_EQ(counts.messages, uint64_t{kUsers} + 61);
  EXPECT_EQ(counts.members, uint64_t{kUsers});
  EXPECT_EQ(counts.senders, uint64_t{kUsers} + 60);

  const ConversationKeys keys(kGroup);
  const std::map<std::string, std::string> senders = HashAt(walk, keys.Senders());
  std::map<std::string, size_t> own_bytes;
  for (const TargetCall& call : walk.calls) {
    if (call.kind == TargetKind::kBytes) own_bytes[call.key] += call.items[1].size();
  }
  for (int i = 0; i < kUsers; ++i) {
    EXPECT_EQ(senders.at(name(i) + "/phone"), "1 1");
    EXPECT_EQ(senders.at(name(i) + "/phone#1"), "A " + std::to_string(i + 2) + " message-1");
    EXPECT_EQ(senders.count(name(i) + "/laptop"), i < 60 ? 1u : 0u);
    EXPECT_EQ(own_bytes[keys.Own(name(i))], i < 60 ? 16u : 8u) << i;
  }
  EXPECT_EQ(HashAt(walk, keys.Meta()).at("h"), std::to_string(kUsers + 61));
  EXPECT_TRUE(Same(walk, WalkOver(&reader, harness.now_ms)));
}

TEST(MigrateStoreReader, WhatRunsOutStaysBehind) {
  EmbeddedLogHarness harness;
  Command publish = Send(kDirect, "ann", "server", 0, "published-1");
  publish.pe = 0;
  ASSERT_EQ(harness.Commit(publish).code, Code::kOk);
  FaultKv kv(harness.shared_disk());
  StoreReader reader(&kv, kWindowMs, false);
  ASSERT_TRUE(WalkOver(&reader, harness.now_ms + kWindowMs - 1).status.ok());
  EXPECT_EQ(reader.counts().window, 1u);
  EXPECT_EQ(reader.counts().window_over, 0u);
  ASSERT_TRUE(WalkOver(&reader, harness.now_ms + kWindowMs).status.ok());
  EXPECT_EQ(reader.counts().window, 0u);
  EXPECT_EQ(reader.counts().window_over, 1u);
}

TEST(MigrateStoreReader, DamageIsToldWithItsPlace) {
  const std::vector<std::pair<Space, std::string>> places = {
      {Space::kConversations, key::Conversation(kDirect)},
      {Space::kLog, key::Log(kDirect, 2)},
      {Space::kProducers, key::Producer(kDirect, "ann", "phone")},
      {Space::kMarks, key::Got("bob", "phone", kDirect)},
      {Space::kMarks, key::Read("bob", kDirect)},
      {Space::kMarks, key::FeedLetter(1, 2)},
      {Space::kWindow, key::Window(kDirect, "ann", "some-message-id")},
      {Space::kTokens, "a token"},
      {Space::kMeta, key::FeedGroup("group")},
      {Space::kMeta, key::MidReservation(3)},
      {Space::kPrimitives, "q counter"},
      {Space::kPrimitives, "c claim"},
      {Space::kPrimitives, std::string("w\0\1", 3)},
      {Space::kPrimitives,
       "o"
       "\3ann"
       "m"},
      {Space::kPrimitives, "? what is this"},
  };
  for (const auto& [space, place] : places) {
    EmbeddedLogHarness harness;
    for (uint64_t n = 1; n <= 3; ++n) ASSERT_EQ(harness.Commit(Send(kDirect, "ann", "phone", n)).code, Code::kOk);
    FaultKv kv(harness.shared_disk());
    WriteBatch batch;
    batch.Put(space, place, "\x7f damaged");
    ASSERT_TRUE(kv.Write(batch, true).ok());
    StoreReader reader(&kv, kWindowMs, false);
    const Walk walk = WalkOver(&reader, harness.now_ms);
    EXPECT_EQ(walk.status.code, Code::kStoreCorrupt) << place;
    EXPECT_FALSE(walk.status.message.empty());
  }
}

}  // namespace
}  // namespace everyonce::test
