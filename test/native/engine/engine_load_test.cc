// Many members, slow readers, and what is dropped first: bounds and counts, no times.
#include <gtest/gtest.h>
#include <simdjson.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "engine/engine_harness.h"
#include "log/memory_kv.h"
#include "support/counting_kv.h"

namespace everyonce {
namespace {

constexpr uint32_t kMembersPerPacket = 200;

std::string UserOf(uint32_t member) { return "user" + std::to_string(member); }

// A group of user1 (who is connected as 1, and sends) to user`members`.
void MakeGroup(EngineHarness* harness, const std::string& conv, uint32_t members) {
  for (uint32_t first = 1; first <= members; first += kMembersPerPacket) {
    std::string names;
    for (uint32_t each = first; each < first + kMembersPerPacket && each <= members; ++each) {
      names.append(names.empty() ? "\"" : ",\"").append(UserOf(each)).append("\"");
    }
    std::string packet = first == 1 ? R"({"t":"create","rid":1,"conv":")" : R"({"t":"add","rid":1,"conv":")";
    packet.append(conv).append(R"(","members":[)").append(names).append("]}");
    harness->Receive(1, packet);
  }
  harness->Take(1);
}

size_t CountOf(const std::vector<EngineHarness::Received>& packets, std::string_view t) {
  return static_cast<size_t>(
      std::count_if(packets.begin(), packets.end(), [&](const auto& packet) { return packet.t == t; }));
}

std::string GotOf(const std::string& conv, uint64_t seq) {
  return R"({"t":"got","conv":")" + conv + R"(","seq":)" + std::to_string(seq) + "}";
}

TEST(EngineLoad, ASlowAndADeadReaderInAGroupOfAThousandCostAWindowAndDelayNobody) {
  constexpr uint32_t kMembers = 1000;
  constexpr uint32_t kSlow = 2;  // acks nothing
  constexpr uint32_t kDead = 3;  // does not even read its socket
  constexpr uint64_t kMessages = 40;
  EngineOptions options;
  options.limits.window = 8;
  options.limits.rate = 0;
  EngineHarness harness(options);
  for (uint32_t id = 1; id <= kMembers; ++id) harness.Connect(id, UserOf(id), "d");
  MakeGroup(&harness, "g:thousand", kMembers);
  uint64_t head = kMembers / kMembersPerPacket;
  for (uint32_t id = 2; id <= kMembers; ++id) {
    harness.Queue(id, GotOf("g:thousand", head));
  }
  harness.Step();
  for (uint32_t id = 1; id <= kMembers; ++id) harness.Take(id);
  harness.engine().SetLagging(kDead, true);

  size_t slow_pushes = 0;
  size_t slow_packets = 0;
  size_t dead_packets = 0;
  for (uint64_t n = 1; n <= kMessages; ++n) {
    harness.Receive(1, EngineHarness::Send("g:thousand", n, "message-" + std::to_string(n)));
    ++head;
    for (uint32_t id = 4; id <= kMembers; ++id) {
      // Everybody else has each message in the very step that stored it, and nothing but it.
      const std::vector<EngineHarness::Received> packets = harness.Take(id);
      ASSERT_EQ(packets.size(), 1u) << UserOf(id);
      ASSERT_EQ(packets[0].t, "msg");
      ASSERT_EQ(packets[0].integer("seq"), head);
      harness.Queue(id, GotOf("g:thousand", head));
    }
    harness.Step();
    const std::vector<EngineHarness::Received> slow = harness.Take(kSlow);
    slow_pushes += CountOf(slow, "msg");
    slow_packets += slow.size();
    dead_packets += harness.Take(kDead).size();
  }
  EXPECT_EQ(slow_pushes, 8u) << "a window, and no more";
  EXPECT_EQ(slow_packets, 9u) << "and one head that says that there is news";
  EXPECT_EQ(dead_packets, 1u) << "one head";
  // Both have all of it yet to come.
  harness.engine().SetLagging(kDead, false);
  for (const uint32_t id : {kSlow, kDead}) {
    harness.Receive(id, R"({"t":"pull","rid":1,"conv":"g:thousand","limit":200,"order":"oldest"})");
    std::vector<EngineHarness::Received> packets = harness.Take(id);
    ASSERT_EQ(packets.back().t, "page");
    simdjson::dom::parser parser;
    simdjson::dom::array items;
    ASSERT_EQ(parser.parse(packets.back().json)["items"].get(items), simdjson::SUCCESS);
    EXPECT_EQ(items.size(), kMessages);
  }
}

TEST(EngineLoad, AMessageToTenThousandMembersIsOneRecord) {
  auto operations_for = [](uint32_t members) {
    auto counting = std::make_unique<test::CountingKv>(std::make_unique<MemoryKv>());
    test::CountingKv* kv = counting.get();
    EngineOptions options;
    options.limits.rate = 0;
    EngineHarness harness(options, std::move(counting));
    harness.Connect(1, UserOf(1), "d");
    harness.Connect(2, UserOf(2), "d");
    MakeGroup(&harness, "g:large", members);
    harness.Receive(1, EngineHarness::Send("g:large", 1, "message-1"));
    harness.Take(2);
    kv->ResetCounts();
    harness.Receive(1, EngineHarness::Send("g:large", 2, "message-2"));
    EXPECT_EQ(CountOf(harness.Take(2), "msg"), 1u);
    EXPECT_EQ(kv->counts().writes, 1u);
    EXPECT_EQ(kv->counts().gets + kv->counts().scans, 0u) << "nothing is read to send it";
    return kv->counts().operations;
  };
  const uint64_t small = operations_for(3);
  EXPECT_EQ(operations_for(10'000), small);
  EXPECT_LE(small, 2u);
}

TEST(EngineLoad, SignalsAreDroppedFirst) {
  constexpr uint32_t kMembers = 40;
  EngineOptions options;
  options.output_bytes = 1000;
  options.limits.rate = 0;
  EngineHarness harness(options);
  for (uint32_t id = 1; id <= kMembers; ++id) harness.Connect(id, UserOf(id), "d");
  MakeGroup(&harness, "g:busy", kMembers);
  for (uint32_t id = 1; id <= kMembers; ++id) {
    harness.Receive(id, R"({"t":"pull","rid":1,"conv":"g:busy","limit":9,"order":"oldest"})");
    harness.Receive(id, GotOf("g:busy", 1));
    harness.Take(id);
  }
  // 200 bytes each: a step has room for some of the signals, and drops the rest; nobody is told of that.
  const std::string body = "\"" + std::string(140, 's') + "\"";
  harness.Receive(1, R"({"t":"signal","conv":"g:busy","body":)" + body + "}");
  size_t signals = 0;
  for (uint32_t id = 2; id <= kMembers; ++id) {
    const std::vector<EngineHarness::Received> packets = harness.Take(id);
    EXPECT_EQ(CountOf(packets, "signal"), packets.size());
    signals += packets.size();
  }
  EXPECT_GT(signals, 0u);
  EXPECT_LE(signals, 8u);
  // A message under the same load is not dropped: who has no room is told of it by a head.
  harness.Receive(1, R"({"t":"send","conv":"g:busy","id":"message-1","n":1,"body":)" + body + "}");
  for (uint32_t id = 2; id <= kMembers; ++id) {
    const std::vector<EngineHarness::Received> packets = harness.Take(id);
    EXPECT_EQ(CountOf(packets, "msg") + CountOf(packets, "head"), 1u) << UserOf(id);
  }
}

TEST(EngineLoad, ALaggingConnectionGetsNoSignalAndNoReceipt) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  harness.Connect(2, "bob", "b1");
  harness.Receive(1, EngineHarness::Send("dm:alice:bob", 1, "message-1"));
  harness.Take(1);
  harness.engine().SetLagging(1, true);
  harness.Receive(2, R"({"t":"signal","conv":"dm:alice:bob","body":1})");
  harness.Receive(2, GotOf("dm:alice:bob", 1));
  harness.Advance(1000);
  EXPECT_TRUE(harness.Take(1).empty());
}

TEST(EngineLoad, AThousandAcksBecomeOneReceipt) {
  constexpr uint64_t kMessages = 1000;
  EngineOptions options;
  options.limits.rate = 0;
  options.limits.window = kMessages + 1;
  EngineHarness harness(options);
  harness.Connect(1, "alice", "a1");
  harness.Connect(2, "bob", "b1");
  harness.Advance(1000);
  for (uint64_t n = 1; n <= kMessages; ++n) {
    harness.Receive(1, EngineHarness::Send("dm:alice:bob", n, "message-" + std::to_string(n)));
  }
  harness.Advance(1000);
  harness.Take(1);
  harness.Take(2);
  for (uint64_t seq = 1; seq <= kMessages; ++seq) {
    harness.Receive(2, GotOf("dm:alice:bob", seq));
    harness.Receive(2, R"({"t":"read","conv":"dm:alice:bob","seq":)" + std::to_string(seq) + "}");
  }
  EXPECT_TRUE(harness.Take(1).empty()) << "not at once";
  harness.Advance(1000);
  const EngineHarness::Received receipt = harness.TakeOne(1);
  EXPECT_EQ(receipt.t, "receipt");
  EXPECT_EQ(receipt.integer("got"), kMessages);
  EXPECT_EQ(receipt.integer("read"), kMessages);
}

TEST(EngineLoad, ReceiptsEndAtFiftyMembers) {
  for (const uint32_t members : {50u, 51u}) {
    EngineOptions options;
    options.limits.rate = 0;
    EngineHarness harness(options);
    harness.Connect(1, UserOf(1), "d");
    harness.Connect(2, UserOf(2), "d");
    MakeGroup(&harness, "g:some", members);
    harness.Advance(1000);
    harness.Take(1);
    harness.Receive(2, GotOf("g:some", 1));
    harness.Advance(1000);
    EXPECT_EQ(CountOf(harness.Take(1), "receipt"), members == 50 ? 1u : 0u) << members;
  }
}

}  // namespace
}  // namespace everyonce
