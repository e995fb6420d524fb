// Several engines on one log: what one process stores, the connections of the others hear.

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/engine_harness.h"
#include "engine/relayed_log.h"
#include "log/embedded_log.h"
#include "log/memory_kv.h"

namespace everyonce {
namespace {

constexpr const char* kConv = "dm:alice:bob";
constexpr const char* kTeam = "g:team";

std::unique_ptr<Log> OpenLog() {
  Status status;
  std::unique_ptr<Log> log = OpenEmbeddedLog(std::make_unique<MemoryKv>(), {}, &status);
  EXPECT_TRUE(status.ok()) << status.message;
  return log;
}

class EngineRelay : public ::testing::Test {
 protected:
  struct Process {
    explicit Process(RelayedStore* store) : Process(std::make_unique<RelayedLog>(store)) {}
    explicit Process(std::unique_ptr<RelayedLog> shared)
        : log(*shared), port(shared->port()), harness({}, std::move(shared)) {}
    RelayedLog& log;
    RelayedStore::Port& port;
    EngineHarness harness;
  };

  void Settle() {
    for (int i = 0; i < 4; ++i) {
      a.harness.Step();
      b.harness.Step();
    }
  }
  void Advance(int64_t milliseconds) {
    a.harness.Advance(milliseconds);
    b.harness.Advance(milliseconds);
    Settle();
  }
  void SendAt(Process* process, uint32_t connection, std::string_view conv, uint64_t n, const std::string& id) {
    process->harness.Receive(connection, EngineHarness::Send(conv, n, id));
    Settle();
  }
  // The messages among what a connection got, by seq, in order; `heads`: how many heads there were.
  std::vector<uint64_t> TakeSeqs(Process* process, uint32_t connection, int* heads = nullptr) {
    std::vector<uint64_t> seqs;
    for (const auto& packet : process->harness.Take(connection)) {
      if (packet.t == "msg") seqs.push_back(packet.integer("seq"));
      if (packet.t == "head" && heads != nullptr) ++*heads;
    }
    return seqs;
  }

  RelayedStore store{OpenLog()};
  Process a{&store};
  Process b{&store};
};

using Seqs = std::vector<uint64_t>;

TEST_F(EngineRelay, TellsTheOther) {
  a.harness.Connect(1, "alice", "alice-1");
  b.harness.Connect(1, "bob", "bob-1");
  for (uint64_t n = 1; n <= 3; ++n) {
    SendAt(&a, 1, kConv, n, "a" + std::to_string(n));
    SendAt(&b, 1, kConv, n, "b" + std::to_string(n));
  }
  int heads = 0;
  EXPECT_EQ(TakeSeqs(&b, 1, &heads), (Seqs{1, 3, 5}));
  EXPECT_EQ(heads, 1);  // it was not told of the conversation before
  EXPECT_EQ(TakeSeqs(&a, 1, &heads), (Seqs{2, 4, 6}));
}

TEST_F(EngineRelay, WaitsForWhatComesBefore) {
  a.harness.Connect(1, "alice", "alice-1");
  b.harness.Connect(1, "bob", "bob-1");
  b.harness.Connect(2, "bob", "bob-2");
  SendAt(&a, 1, kConv, 1, "a1");
  TakeSeqs(&b, 2);
  store.held = true;
  SendAt(&a, 1, kConv, 2, "a2");
  SendAt(&b, 1, kConv, 1, "b1");
  int heads = 0;
  EXPECT_EQ(TakeSeqs(&b, 2, &heads), Seqs{});  // 3 is here, 2 is on its way
  store.Release();
  Settle();
  EXPECT_EQ(TakeSeqs(&b, 2, &heads), (Seqs{2, 3}));
  EXPECT_EQ(TakeSeqs(&b, 1, &heads), (Seqs{1, 2}));  // 3 is its own: it has the ack
  EXPECT_EQ(heads, 1);                               // of the conversation's beginning
  EXPECT_EQ(b.harness.engine().relaying_counters().gaps, 0u);
}

TEST_F(EngineRelay, DoesNotWaitLong) {
  a.harness.Connect(1, "alice", "alice-1");
  b.harness.Connect(1, "bob", "bob-1");
  b.harness.Connect(2, "bob", "bob-2");
  SendAt(&a, 1, kConv, 1, "a1");
  TakeSeqs(&b, 2);
  store.dropped = true;
  SendAt(&a, 1, kConv, 2, "a2");
  SendAt(&b, 1, kConv, 1, "b1");
  EXPECT_EQ(TakeSeqs(&b, 2), Seqs{});
  Advance(100);
  // A head says that something is missing; the client pulls it.
  int heads = 0;
  EXPECT_EQ(TakeSeqs(&b, 2, &heads), Seqs{3});
  EXPECT_EQ(heads, 1);
  EXPECT_EQ(b.harness.engine().relaying_counters().gaps, 1u);
}

TEST_F(EngineRelay, FindsWhatNoBellToldOf) {
  a.harness.Connect(1, "alice", "alice-1");
  b.harness.Connect(1, "bob", "bob-1");
  SendAt(&a, 1, kConv, 1, "a1");
  b.harness.Receive(1, R"({"t":"got","conv":"dm:alice:bob","seq":1})");
  b.harness.Take(1);
  store.dropped = true;
  SendAt(&a, 1, kConv, 2, "a2");
  EXPECT_EQ(b.harness.Take(1).size(), 0u);
  for (int i = 0; i < 17; ++i) Advance(1000);
  const auto packets = b.harness.Take(1);
  ASSERT_EQ(packets.size(), 1u);
  EXPECT_EQ(packets[0].t, "head");
  EXPECT_EQ(packets[0].integer("head"), 2u);
  EXPECT_EQ(b.harness.engine().relaying_counters().catch_ups, 1u);
  // Nobody else is bothered, and nothing is compared to no end.
  for (int i = 0; i < 40; ++i) Advance(1000);
  EXPECT_EQ(b.harness.Take(1).size(), 0u);
  EXPECT_EQ(a.harness.engine().relaying_counters().catch_ups, 0u);
}

TEST_F(EngineRelay, FindsAConversationThatNoBellToldOf) {
  a.harness.Connect(1, "alice", "alice-1");
  b.harness.Connect(1, "bob", "bob-1");
  store.dropped = true;
  SendAt(&a, 1, kConv, 1, "a1");
  for (int i = 0; i < 17; ++i) Advance(1000);
  EXPECT_EQ(b.harness.TakeOne(1).t, "head");
}

// A list that names more is no news yet: the bell of the first message has its time to come.
TEST_F(EngineRelay, PushesTheFirstMessageThoughTheListWasReadBeforeItsBell) {
  a.harness.Connect(1, "alice", "alice-1");
  b.harness.Connect(1, "bob", "bob-1");
  b.harness.Take(1);
  store.held = true;
  SendAt(&a, 1, kConv, 1, "a1");
  b.port.MakeUnsure("bob");
  Settle();
  EXPECT_EQ(TakeSeqs(&b, 1), Seqs{});
  store.held = false;
  store.Release();
  Settle();
  EXPECT_EQ(TakeSeqs(&b, 1), Seqs{1});
  Advance(1000);
  EXPECT_EQ(b.harness.Take(1).size(), 0u);
  EXPECT_EQ(b.harness.engine().relaying_counters().catch_ups, 0u);
}

TEST_F(EngineRelay, ComparesAgainWhenTheStoreWasAway) {
  a.harness.Connect(1, "alice", "alice-1");
  b.harness.Connect(1, "bob", "bob-1");
  SendAt(&a, 1, kConv, 1, "a1");
  b.harness.Receive(1, R"({"t":"got","conv":"dm:alice:bob","seq":1})");
  b.harness.Take(1);
  store.dropped = true;
  store.down = true;
  SendAt(&a, 1, kConv, 2, "a2");
  for (int i = 0; i < 17; ++i) Advance(1000);
  EXPECT_EQ(b.harness.Take(1).size(), 0u);
  store.down = false;
  Advance(1000);
  Advance(250);
  EXPECT_EQ(b.harness.TakeOne(1).t, "head");
}

TEST_F(EngineRelay, OneConnectionPerDevice) {
  a.harness.Connect(1, "alice", "alice-1");
  a.harness.Connect(2, "alice", "alice-2");
  Settle();
  b.harness.Connect(1, "alice", "alice-1");
  Settle();
  uint32_t code = 0;
  ASSERT_TRUE(a.harness.closed(1, &code));
  EXPECT_EQ(code, 4409u);
  EXPECT_FALSE(a.harness.closed(2));
  EXPECT_FALSE(b.harness.closed(1));
}

TEST_F(EngineRelay, TheLaterOfTwoHellosStays) {
  a.harness.Connect(2, "alice", "alice-2");
  b.harness.Connect(3, "alice", "alice-3");
  store.held = true;
  a.harness.Connect(1, "alice", "alice-1");
  b.harness.Connect(1, "alice", "alice-1");
  ASSERT_EQ(store.waiting.size(), 2u);
  store.Release();  // both bells cross
  Settle();
  EXPECT_TRUE(a.harness.closed(1));
  EXPECT_FALSE(b.harness.closed(1));
}

TEST_F(EngineRelay, AConnectionIsReplacedThoughTheBellWasLost) {
  a.harness.Connect(1, "alice", "alice-1");
  store.dropped = true;
  b.harness.Connect(1, "alice", "alice-1");
  Settle();
  EXPECT_FALSE(a.harness.closed(1));
  for (int i = 0; i < 17; ++i) Advance(1000);
  uint32_t code = 0;
  ASSERT_TRUE(a.harness.closed(1, &code));
  EXPECT_EQ(code, 4409u);
  EXPECT_FALSE(b.harness.closed(1));
}

TEST_F(EngineRelay, AGroupMadeElsewhereStartsLive) {
  a.harness.Connect(1, "alice", "alice-1");
  b.harness.Connect(1, "bob", "bob-1");
  b.harness.Connect(2, "carol", "carol-1");
  a.harness.Receive(1, R"({"t":"create","rid":1,"conv":"g:team","members":["bob"]})");
  Settle();
  int heads = 0;
  EXPECT_EQ(TakeSeqs(&b, 1, &heads), Seqs{1});
  SendAt(&a, 1, kTeam, 1, "t1");
  SendAt(&b, 1, kTeam, 1, "t2");
  SendAt(&a, 1, kTeam, 2, "t3");
  EXPECT_EQ(TakeSeqs(&b, 1, &heads), (Seqs{2, 4}));
  EXPECT_EQ(heads, 1);
  EXPECT_EQ(b.harness.Take(2).size(), 0u);  // no member hears nothing
  // One who is removed sees the message that does it, and nothing behind it.
  b.harness.Take(1);
  a.harness.Receive(1, R"({"t":"remove","rid":2,"conv":"g:team","members":["bob"]})");
  Settle();
  SendAt(&a, 1, kTeam, 3, "t4");
  EXPECT_EQ(TakeSeqs(&b, 1, &heads), Seqs{5});
}

TEST_F(EngineRelay, OneWhoIsLetInAgainIsToldThoughTheBellWasLost) {
  a.harness.Connect(1, "alice", "alice-1");
  a.harness.Receive(1, R"({"t":"create","rid":1,"conv":"g:team","members":["bob"]})");
  a.harness.Receive(1, R"({"t":"remove","rid":2,"conv":"g:team","members":["bob"]})");
  Settle();
  // He has all that he may see when he comes.
  b.harness.Connect(1, "bob", "bob-1");
  b.harness.Receive(1, R"({"t":"got","conv":"g:team","seq":2})");
  Settle();
  b.harness.Connect(2, "bob", "bob-1");
  b.harness.Take(2);
  store.dropped = true;
  a.harness.Receive(1, R"({"t":"add","rid":3,"conv":"g:team","members":["bob"]})");
  Settle();
  for (int i = 0; i < 17; ++i) Advance(1000);
  int heads = 0;
  TakeSeqs(&b, 2, &heads);
  EXPECT_EQ(heads, 1);
}

TEST_F(EngineRelay, ReceiptsAndSignalsCross) {
  a.harness.Connect(1, "alice", "alice-1");
  b.harness.Connect(1, "bob", "bob-1");
  b.harness.Connect(2, "carol", "carol-1");
  SendAt(&a, 1, kConv, 1, "a1");
  b.harness.Receive(1, R"({"t":"got","conv":"dm:alice:bob","seq":1})");
  b.harness.Receive(1, R"({"t":"read","conv":"dm:alice:bob","seq":1})");
  Advance(100);
  std::vector<EngineHarness::Received> receipts;
  for (auto& packet : a.harness.Take(1)) {
    if (packet.t == "receipt") receipts.push_back(packet);
  }
  ASSERT_EQ(receipts.size(), 1u);
  EXPECT_EQ(receipts[0]["user"], "\"bob\"");
  EXPECT_EQ(receipts[0].integer("got"), 1u);
  EXPECT_EQ(receipts[0].integer("read"), 1u);
  b.harness.Take(1);
  a.harness.Receive(1, R"({"t":"signal","conv":"dm:alice:bob","body":"typing"})");
  Settle();
  EXPECT_EQ(b.harness.TakeOne(1).t, "signal");
  EXPECT_EQ(b.harness.Take(2).size(), 0u);
}

TEST_F(EngineRelay, HearsWhatComesWhileItEnters) {
  a.harness.Connect(1, "alice", "alice-1");
  SendAt(&a, 1, kConv, 1, "a1");
  b.log.views_held = true;
  b.harness.engine().Open(1);
  b.harness.Receive(1, R"({"t":"hello","v":1,"device":"bob-1","pe":1})");
  b.harness.engine().Accept(1, "bob");
  b.harness.Step();
  // Its views are read, and not answered yet: one conversation gets another message, one begins.
  SendAt(&a, 1, kConv, 2, "a2");
  a.harness.Receive(1, R"({"t":"create","rid":1,"conv":"g:team","members":["bob"]})");
  Settle();
  b.log.ReleaseViews();
  Settle();
  const auto packets = b.harness.Take(1);
  ASSERT_FALSE(packets.empty());
  EXPECT_EQ(packets[0].t, "welcome");
  EXPECT_EQ(packets[0].json.find(R"("head":2)"), std::string::npos);
  std::map<std::string, uint64_t> heads;
  for (const auto& packet : packets) {
    if (packet.t == "head") heads[packet["conv"]] = packet.integer("head");
  }
  EXPECT_EQ(heads["\"dm:alice:bob\""], 2u);
  EXPECT_EQ(heads["\"g:team\""], 1u);
}

TEST_F(EngineRelay, WatchesWhatItsConnectionsNeed) {
  EXPECT_EQ(b.port.watched(), 0);
  b.harness.Connect(1, "bob", "bob-1");
  EXPECT_TRUE(b.port.watches("bob"));
  a.harness.Connect(1, "alice", "alice-1");
  SendAt(&a, 1, kConv, 1, "a1");
  EXPECT_TRUE(b.port.watches(kConv));
  b.harness.engine().Close(1);
  b.harness.Step();
  EXPECT_EQ(b.port.watched(), 0);
}

TEST_F(EngineRelay, AnotherHistoryIsTold) {
  a.harness.Connect(1, "alice", "alice-1");
  b.harness.Connect(1, "bob", "bob-1");
  for (uint64_t n = 1; n <= 5; ++n) SendAt(&a, 1, kConv, n, "a" + std::to_string(n));
  const auto packets = b.harness.Take(1);
  ASSERT_FALSE(packets.empty());
  const uint64_t epoch = packets.back().integer("epoch");
  // A failover loses 4 and 5, and somebody else writes 4.
  ResumeView found;
  found.view = {.conv = kConv, .epoch = epoch + 1000, .head = 4, .got = 3};
  found.resume = Resume::kTruncated;
  found.keep = 3;
  store.histories[kConv] = found;
  for (int i = 0; i < 17; ++i) Advance(1000);
  std::vector<EngineHarness::Received> told;
  for (auto& packet : b.harness.Take(1)) {
    if (packet.t == "epoch" || packet.t == "head") told.push_back(packet);
  }
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[0].t, "epoch");
  EXPECT_EQ(told[0].integer("epoch"), epoch + 1000);
  EXPECT_EQ(told[0].integer("keep"), 3u);
  EXPECT_EQ(told[1].integer("head"), 4u);
}

TEST_F(EngineRelay, ALostTailIsToldBeforeAnythingFollows) {
  a.harness.Connect(1, "alice", "alice-1");
  b.harness.Connect(1, "bob", "bob-1");
  for (uint64_t n = 1; n <= 5; ++n) SendAt(&a, 1, kConv, n, "a" + std::to_string(n));
  const auto packets = b.harness.Take(1);
  ASSERT_FALSE(packets.empty());
  const uint64_t epoch = packets.back().integer("epoch");
  ResumeView found;
  found.view = {.conv = kConv, .epoch = epoch, .head = 3, .got = 3};
  found.resume = Resume::kTruncated;
  found.keep = 3;
  store.histories[kConv] = found;
  for (int i = 0; i < 17; ++i) Advance(1000);
  std::vector<EngineHarness::Received> told;
  for (auto& packet : b.harness.Take(1)) {
    if (packet.t != "msg") told.push_back(packet);  // what survived is redelivered
  }
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].t, "epoch");
  EXPECT_EQ(told[0].integer("epoch"), epoch);
  EXPECT_EQ(told[0].integer("keep"), 3u);
  // A store that was wiped: everybody comes again.
  store.histories[kConv] = {};
  for (int i = 0; i < 17; ++i) Advance(1000);
  uint32_t code = 0;
  ASSERT_TRUE(b.harness.closed(1, &code));
  EXPECT_EQ(code, 1012u);
}

// Named by a slower clock than that of the history that was lost: clients take the higher epoch for the later.
TEST_F(EngineRelay, AHistoryWithALowerEpochIsToldByComingAgain) {
  a.harness.Connect(1, "alice", "alice-1");
  b.harness.Connect(1, "bob", "bob-1");
  b.harness.Connect(2, "bob", "bob-2");
  uint64_t epoch = 0;
  for (uint64_t n = 1; n <= 5; ++n) SendAt(&a, 1, kConv, n, "a" + std::to_string(n));
  for (const auto& packet : b.harness.Take(1)) {
    if (packet.t == "msg") epoch = packet.integer("epoch");
  }
  ResumeView found;
  found.view = {.conv = kConv, .epoch = epoch - 1, .head = 4, .got = 3};
  found.resume = Resume::kTruncated;
  found.keep = 3;
  store.histories[kConv] = found;
  // Who comes after the failover knows nothing else, and stays.
  b.harness.Connect(3, "bob", "bob-3");
  for (int i = 0; i < 17; ++i) Advance(1000);
  for (const uint32_t connection : {1u, 2u}) {
    uint32_t code = 0;
    ASSERT_TRUE(b.harness.closed(connection, &code));
    EXPECT_EQ(code, 1012u);
  }
  EXPECT_FALSE(b.harness.closed(3, nullptr));
  // What is added to that history comes at once.
  b.harness.Take(3);
  b.port.Hear({.kind = Bell::Kind::kMessage,
               .conv = kConv,
               .epoch = epoch - 1,
               .seq = 5,
               .user = "alice",
               .device = "alice-1",
               .packet = R"({"t":"msg","seq":5})"});
  Settle();
  int heads = 0;
  const Seqs seqs = TakeSeqs(&b, 3, &heads);
  EXPECT_EQ(seqs.size() + static_cast<size_t>(heads), 1u);
}

// An answer that was read before a later history was told is no reason to close anybody.
TEST_F(EngineRelay, AnOlderViewIsNoLowerEpoch) {
  a.harness.Connect(1, "alice", "alice-1");
  b.harness.Connect(1, "bob", "bob-1");
  for (uint64_t n = 1; n <= 2; ++n) SendAt(&a, 1, kConv, n, "a" + std::to_string(n));
  ConversationView now;
  store.log->View("bob", "bob-1", kConv, [&](const Status&, const ConversationView& view) { now = view; });
  ResumeView older;
  older.view = now;
  older.view.epoch = now.epoch - 1;
  store.histories[kConv] = older;
  store.older = true;
  b.port.MakeUnsure(kConv);
  Settle();
  Advance(300);
  EXPECT_EQ(b.harness.engine().relaying_counters().catch_ups, 1u) << "it was looked at";
  uint32_t code = 0;
  EXPECT_FALSE(b.harness.closed(1, &code));
}

TEST_F(EngineRelay, AHeadThatIsOwedWaitsForTheLookAtTheHistory) {
  a.harness.Connect(1, "alice", "alice-1");
  b.harness.Connect(1, "bob", "bob-1");
  SendAt(&a, 1, kConv, 1, "a1");
  b.harness.engine().SetLagging(1, true);
  SendAt(&a, 1, kConv, 2, "a2");
  int heads = 0;
  TakeSeqs(&b, 1, &heads);
  SendAt(&a, 1, kConv, 3, "a3");  // told by a head that is due in a second
  // A position that was read before the last message: the history is looked at, which takes its time.
  ResumeView older;
  older.view.conv = kConv;
  older.view.head = 2;
  store.log->View("bob", "bob-1", kConv,
                  [&](const Status&, const ConversationView& view) { older.view.epoch = view.epoch; });
  store.histories[kConv] = older;
  b.port.MakeUnsure(kConv);
  Settle();
  store.histories.clear();
  b.log.resumes_held = true;
  Advance(300);
  Advance(1000);
  heads = 0;
  TakeSeqs(&b, 1, &heads);
  EXPECT_EQ(heads, 0);
  b.log.ReleaseResumes();
  Settle();
  Advance(1000);
  heads = 0;
  TakeSeqs(&b, 1, &heads);
  EXPECT_EQ(heads, 1);
}

TEST_F(EngineRelay, ARepeatIsTheReasonToLook) {
  a.harness.Connect(1, "alice", "alice-1");
  b.harness.Connect(1, "bob", "bob-1");
  SendAt(&a, 1, kConv, 1, "a1");
  TakeSeqs(&b, 1);
  // The process dies behind the commit, before it rings; the client goes on over there.
  store.dropped = true;
  SendAt(&a, 1, kConv, 2, "a2");
  store.dropped = false;
  b.harness.Connect(2, "alice", "alice-1");
  Settle();
  SendAt(&b, 2, kConv, 2, "a2");
  Advance(1);
  Advance(250);
  int heads = 0;
  EXPECT_EQ(TakeSeqs(&b, 1, &heads), Seqs{});
  EXPECT_EQ(heads, 1);
}

}  // namespace
}  // namespace everyonce
