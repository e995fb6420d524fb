// Acks, read marks, counts and pages on the embedded log.

#include <algorithm>
#include <set>

#include "log/embedded_log_harness.h"
#include "support/counting_kv.h"
#include "support/seed.h"

namespace everyonce::test {
namespace {

std::vector<uint64_t> SeqsOf(const Page& page) {
  std::vector<uint64_t> seqs;
  for (const PageItem& item : page.items) seqs.push_back(item.message.seq);
  return seqs;
}

void SendAll(EmbeddedLogHarness* harness, const std::string& senders) {
  std::map<char, uint64_t> next;
  for (char sender : senders) {
    const Outcome outcome = harness->Commit(Send(kDirect, sender == 'a' ? "ann" : "bob", "phone", ++next[sender]));
    ASSERT_EQ(outcome.code, Code::kOk) << outcome.message;
  }
}

TEST(EmbeddedLogMarks, ANewDeviceStartsAtTheReadMarksOfThatMoment) {
  EmbeddedLogHarness harness;
  SendAll(&harness, "aaaaa");
  harness.Commit(Read(kDirect, "bob", "phone", 3));
  const Outcome first = harness.Commit(Hello("bob", "tablet", 1));
  EXPECT_TRUE(first.first);
  EXPECT_EQ(harness.View("bob", "tablet", kDirect).got, 3u);
  harness.Commit(Read(kDirect, "bob", "phone", 5));
  EXPECT_EQ(harness.View("bob", "tablet", kDirect).got, 3u) << "fixed then";
  harness.Crash();
  EXPECT_FALSE(harness.Commit(Hello("bob", "tablet", 2)).first);
  EXPECT_EQ(harness.View("bob", "tablet", kDirect).got, 3u);
}

TEST(EmbeddedLogMarks, ANewDeviceWithPositionsStartsThere) {
  EmbeddedLogHarness harness;
  SendAll(&harness, "aaaaa");
  const uint64_t epoch = harness.View("bob", "phone", kDirect).epoch;
  harness.Commit(Read(kDirect, "bob", "phone", 3));
  harness.Commit(Hello("bob", "tablet", 1, {{kDirect, epoch, 1}}));
  EXPECT_EQ(harness.View("bob", "tablet", kDirect).got, 1u);
  harness.Commit(Hello("bob", "laptop", 1, {{kDirect, epoch, 9}}));
  EXPECT_EQ(harness.View("bob", "laptop", kDirect).got, 5u) << "truncated: what survived of it";
  harness.Commit(Hello("bob", "watch", 1, {{kDirect, 77, 4}}));
  EXPECT_EQ(harness.View("bob", "watch", kDirect).got, 0u) << "reset";
  harness.Commit(Hello("bob", "tablet", 2, {{kDirect, epoch, 4}}));
  EXPECT_EQ(harness.View("bob", "tablet", kDirect).got, 4u) << "later ones ack";
  EXPECT_EQ(harness.Commit(Hello("bob", "tablet", 2, {{"dm:ann:cid", epoch, 4}})).code, Code::kOk);
}

TEST(EmbeddedLogMarks, OwnMessagesCountAsAckedAndSpendNoRange) {
  EmbeddedLogHarness harness;
  std::string senders;
  for (int i = 0; i < 200; ++i) senders += "ab";  // ann on odd seqs, bob on even ones
  SendAll(&harness, senders);
  EXPECT_EQ(harness.View("ann", "phone", kDirect).got, 1u);
  EXPECT_EQ(harness.View("bob", "phone", kDirect).got, 0u);
  // 200 acks of one message each, from the end: with a range for each of them they would not fit.
  for (uint64_t seq = 400; seq >= 4; seq -= 2) {
    harness.Commit(Got(kDirect, "ann", "phone", seq, seq));
    EXPECT_EQ(harness.View("ann", "phone", kDirect).got, 1u);
  }
  EXPECT_EQ(SeqsOf(harness.Pull({"ann", "phone", kDirect, "", 10})), std::vector<uint64_t>{2});
  harness.Open();
  EXPECT_EQ(harness.Commit(Got(kDirect, "ann", "phone", 2, 2)).got, 400u);
  EXPECT_EQ(harness.View("ann", "laptop", kDirect).got, 0u) << "another device of ann's needs them all";
}

TEST(EmbeddedLogMarks, AcksAreClippedAndRefusedWhenTheyDoNotFit) {
  EmbeddedLogHarness harness;
  SendAll(&harness, std::string(200, 'a'));
  EXPECT_EQ(harness.Commit(Got(kDirect, "bob", "phone", 0, 900)).got, 200u) << "above head is ignored";
  Command old = Got(kDirect, "bob", "tablet", 0, 5);
  old.epoch = 99;
  EXPECT_EQ(harness.Commit(old).got, 0u) << "an unknown history";
  for (uint64_t i = 0; i < 70; ++i) harness.Commit(Got(kDirect, "bob", "tablet", 2 * i + 2, 2 * i + 2));
  const Page page = harness.Pull({"bob", "tablet", kDirect, "", 200});
  EXPECT_EQ(page.items.size(), 200 - kMaxAckedRanges) << "the first 64 fit, the rest is not kept";
  EXPECT_EQ(harness.Commit(Got(kDirect, "bob", "tablet", 1, 1)).got, 2u);
}

TEST(EmbeddedLogMarks, ReadMarksOnlyRise) {
  EmbeddedLogHarness harness;
  SendAll(&harness, "aabab");
  Outcome outcome = harness.Commit(Read(kDirect, "bob", "phone", 2));
  EXPECT_TRUE(outcome.rose);
  EXPECT_EQ(outcome.read, 2u);
  outcome = harness.Commit(Read(kDirect, "bob", "phone", 1));
  EXPECT_FALSE(outcome.rose);
  EXPECT_EQ(outcome.read, 2u);
  EXPECT_EQ(harness.View("bob", "", kDirect).unread, 1u);
  EXPECT_EQ(harness.Commit(Read(kDirect, "bob", "phone", 99)).read, 5u) << "never above head";
  EXPECT_EQ(harness.View("bob", "", kDirect).unread, 0u);
}

TEST(EmbeddedLogMarks, MarksAloneWaitForNoDisk) {
  EmbeddedLogHarness harness;
  SendAll(&harness, "aaa");
  harness.Commit(Hello("bob", "phone", 1));
  const uint64_t syncs = harness.disk().syncs;
  harness.CommitAll({Got(kDirect, "bob", "phone", 0, 2), Read(kDirect, "bob", "phone", 2)});
  EXPECT_EQ(harness.disk().syncs, syncs);
}

// Unread against counting, with read marks anywhere, over blocks and snapshots, reopened now and then.
TEST(EmbeddedLogMarks, UnreadIsExact) {
  const uint64_t seed = FromEnvironment("EVERYONCE_SEED", 11);
  SCOPED_TRACE("EVERYONCE_SEED=" + std::to_string(seed));
  Random random(seed);
  EmbeddedLogHarness harness;
  std::vector<char> log;  // who sent seq i + 1
  std::map<char, uint64_t> next, read;
  for (int step = 0; step < 1200; ++step) {
    if (random.OneIn(3) && !log.empty()) {
      const char reader = random.OneIn(2) ? 'a' : 'b';
      const uint64_t to = random.Between(read[reader], log.size());
      harness.Commit(Read(kDirect, reader == 'a' ? "ann" : "bob", "phone", to));
      read[reader] = std::max(read[reader], to);
      if (random.OneIn(3)) harness.Open();
    } else {
      const char sender = random.OneIn(4) ? 'b' : 'a';
      harness.Commit(Send(kDirect, sender == 'a' ? "ann" : "bob", "phone", ++next[sender]));
      log.push_back(sender);
    }
    for (char reader : {'a', 'b'}) {
      const auto unread = std::count_if(log.begin() + static_cast<std::ptrdiff_t>(read[reader]), log.end(),
                                        [&](char sender) { return sender != reader; });
      ASSERT_EQ(harness.View(reader == 'a' ? "ann" : "bob", "", kDirect).unread, static_cast<uint64_t>(unread))
          << "step " << step;
    }
  }
}

TEST(EmbeddedLogPull, PagesRunWithoutAGapToTheHead) {
  EmbeddedLogHarness harness;
  SendAll(&harness, "aabbaabba");
  const uint64_t epoch = harness.View("bob", "phone", kDirect).epoch;
  PullQuery query{"bob", "phone", kDirect, "", 2};
  std::vector<std::vector<uint64_t>> pages;
  std::vector<std::pair<uint64_t, uint64_t>> covers;
  for (int i = 0; i < 4; ++i) {
    const Page page = harness.Pull(query);
    EXPECT_EQ(SeqsOf(page), SeqsOf(harness.Pull(query))) << "the same pull again is the same page";
    ASSERT_EQ(page.covers.size(), 1u);
    EXPECT_EQ(page.covers[0].epoch, epoch);
    pages.push_back(SeqsOf(page));
    covers.emplace_back(page.covers[0].from, page.covers[0].to);
    EXPECT_EQ(page.finished.size(), page.covers[0].to == 9 ? 1u : 0u);
    harness.Commit(Got(kDirect, "bob", "phone", page.covers[0].from, page.covers[0].to));
  }
  EXPECT_EQ(pages, (std::vector<std::vector<uint64_t>>{{1, 2}, {5, 6}, {9}, {}}));
  EXPECT_EQ(covers, (std::vector<std::pair<uint64_t, uint64_t>>{{1, 4}, {5, 8}, {9, 9}, {9, 9}}));
}

TEST(EmbeddedLogPull, ServesTheOldestHoleFirstAndStopsByBytes) {
  EmbeddedLogHarness harness;
  SendAll(&harness, std::string(10, 'a'));
  harness.Commit(Got(kDirect, "bob", "phone", 3, 4));
  harness.Commit(Got(kDirect, "bob", "phone", 7, 8));
  EXPECT_EQ(SeqsOf(harness.Pull({"bob", "phone", kDirect, "", 4})), (std::vector<uint64_t>{1, 2, 5, 6}));
  PullQuery query{"bob", "phone", kDirect, "", 4};
  query.max_bytes = 1;
  const Page page = harness.Pull(query);
  EXPECT_EQ(SeqsOf(page), std::vector<uint64_t>{1}) << "at least one item";
  EXPECT_EQ(page.covers[0].to, 1u);
}

TEST(EmbeddedLogPull, AllConversationsOneAfterTheOtherAndRoundOnce) {
  EmbeddedLogHarness harness;
  for (const char* conv : {"dm:ann:bob", "dm:ann:cid", "dm:ann:dee"}) {
    for (uint64_t n = 1; n <= 3; ++n) harness.Commit(Send(conv, std::string(conv + 7), "phone", n));
  }
  PullQuery query{"ann", "phone", "", "", 4};
  Page page = harness.Pull(query);
  EXPECT_EQ(SeqsOf(page), (std::vector<uint64_t>{1, 2, 3, 1}));
  ASSERT_EQ(page.covers.size(), 2u);
  EXPECT_EQ(page.covers[1].conv, "dm:ann:cid");
  EXPECT_EQ(page.covers[1].to, 1u);
  ASSERT_EQ(page.finished.size(), 1u);
  EXPECT_EQ(page.finished[0].conv, "dm:ann:bob");
  query.after_conv = "dm:ann:dee";
  EXPECT_EQ(harness.Pull(query).covers[0].conv, "dm:ann:bob") << "round once";
  query.after_conv = "dm:ann:cid";
  EXPECT_EQ(harness.Pull(query).covers[0].conv, "dm:ann:dee");
  query.max_spans = 1;
  query.after_conv = "";
  EXPECT_EQ(harness.Pull(query).covers.size(), 1u);
  for (const char* conv : {"dm:ann:bob", "dm:ann:cid", "dm:ann:dee"}) harness.Commit(Got(conv, "ann", "phone", 0, 9));
  page = harness.Pull(query);
  EXPECT_TRUE(page.items.empty());
  EXPECT_TRUE(page.covers.empty());
}

TEST(EmbeddedLogPull, ViewsListAUsersConversationsInOrder) {
  EmbeddedLogHarness harness;
  harness.cache_conversations = 2;
  harness.Open();
  for (const char* conv : {"dm:ann:dee", "dm:ann:bob", "dm:bob:cid", "dm:ann:cid"}) {
    harness.Commit(Send(conv, std::string(conv + 3, 3), "phone", 1));
  }
  std::vector<std::string> convs;
  harness.log().Views("ann", "phone", "dm:ann:bob", 1,
                      [&](Status status, std::vector<ConversationView> views, bool more) {
                        EXPECT_TRUE(status.ok());
                        EXPECT_TRUE(more);
                        for (const ConversationView& view : views) convs.push_back(view.conv);
                      });
  EXPECT_EQ(convs, std::vector<std::string>{"dm:ann:cid"});
  harness.log().Views("ann", "phone", "", 10, [&](Status, std::vector<ConversationView> views, bool more) {
    EXPECT_FALSE(more);
    EXPECT_EQ(views.size(), 3u);
  });
  EXPECT_LE(harness.log().counters().cached_conversations, 2u);
}

// A page, a view and an ack cost what they give, not what lies behind them.
TEST(EmbeddedLogPull, CostsThePageNotTheBacklog) {
  auto counting = std::make_unique<CountingKv>(std::make_unique<MemoryKv>());
  CountingKv* kv = counting.get();
  Status status;
  const std::unique_ptr<EmbeddedLog> log = OpenEmbeddedLog(std::move(counting), {}, &status);
  ASSERT_NE(log, nullptr);
  const auto commit = [&](const std::vector<Command>& group) {
    log->Commit(group, 1750000000000, [&](const std::vector<Outcome>& outcomes) {
      for (const Outcome& outcome : outcomes) ASSERT_EQ(outcome.code, Code::kOk) << outcome.message;
    });
  };
  // 20,000 of ann's own, then one of bob's: what stands between ann's phone and it is all her own.
  std::vector<Command> group;
  for (uint64_t n = 1; n <= 20000; ++n) group.push_back(Send(kDirect, "ann", "phone", n));
  group.push_back(Send(kDirect, "bob", "phone", 1));
  commit(group);

  const auto touched = [&] { return kv->counts().gets + kv->counts().visited; };
  kv->ResetCounts();
  log->Pull({"ann", "phone", kDirect, "", 10},
            [&](const Status&, const Page& page) { EXPECT_EQ(SeqsOf(page), std::vector<uint64_t>{20001}); });
  EXPECT_LT(touched(), 60u);
  kv->ResetCounts();
  log->Pull({"bob", "tablet", kDirect, "", 10},
            [&](const Status&, const Page& page) { EXPECT_EQ(page.items.size(), 10u); });
  EXPECT_LT(touched(), 20u);
  kv->ResetCounts();
  commit({Read(kDirect, "ann", "phone", 9000), Got(kDirect, "bob", "tablet", 5000, 6000),
          Got(kDirect, "ann", "phone", 0, 20001), Send(kDirect, "ann", "phone", 1)});
  log->View("ann", "phone", kDirect, [&](const Status&, const ConversationView& view) {
    EXPECT_EQ(view.unread, 1u);
    EXPECT_EQ(view.got, 20001u);
  });
  EXPECT_LT(touched(), 60u);
  EXPECT_LT(kv->counts().operations, 10u);
}

}  // namespace
}  // namespace everyonce::test
