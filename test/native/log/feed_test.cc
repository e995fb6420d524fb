// Consumer groups on the embedded log: what is taken, leased, passed, parked and held.

#include <algorithm>
#include <map>
#include <set>

#include "log/embedded_log_harness.h"
#include "log/feed_calls.h"
#include "support/seed.h"

namespace everyonce::test {
namespace {

constexpr int64_t kLeaseMs = 30000;

class EmbeddedFeed : public EmbeddedLogHarness {
 public:
  static constexpr int64_t kFeedLeaseMs = kLeaseMs;
  // Everything is answered at once.
  template <typename Done>
  void Until(const Done& done) {
    EXPECT_TRUE(done());
  }
};
using FeedHarness = FeedCalls<EmbeddedFeed>;

TEST(Feed, AGroupReadsEverythingFromTheStartInOrderAndGoesOnWhereItWas) {
  FeedHarness harness;
  harness.SendSome(kDirect, 1, 5);
  EXPECT_TRUE(harness.OpenGroup().first);
  EXPECT_FALSE(harness.OpenGroup().first) << "calling again finds it";
  FeedPage page = harness.Take(10, 3);
  ASSERT_EQ(page.slices.size(), 1u);
  EXPECT_EQ(page.slices[0].conv, kDirect);
  EXPECT_EQ(SeqsOf(page.slices[0]), (Seqs{1, 2, 3}));
  EXPECT_EQ(page.slices[0].messages[1].body, "\"message-2\"");
  EXPECT_TRUE(harness.Take().slices.empty()) << "leased";
  EXPECT_EQ(harness.AckAll(page.slices[0]).got, 3u);
  page = harness.Take();
  ASSERT_EQ(page.slices.size(), 1u);
  EXPECT_EQ(SeqsOf(page.slices[0]), (Seqs{4, 5}));
  harness.AckAll(page.slices[0]);
  EXPECT_TRUE(harness.Take().slices.empty());
  harness.SendSome(kDirect, 6, 6);  // its sync brings the marks along
  harness.Crash();
  page = harness.Take();
  ASSERT_EQ(page.slices.size(), 1u);
  EXPECT_EQ(SeqsOf(page.slices[0]), (Seqs{6})) << "the position is stored";
}

TEST(Feed, APositionThatWasNotSyncedRepeatsAndLosesNothing) {
  FeedHarness harness;
  harness.OpenGroup();
  harness.SendSome(kDirect, 1, 3);
  const uint64_t syncs = harness.disk().syncs;
  harness.AckAll(harness.Take().slices.at(0));
  EXPECT_EQ(harness.disk().syncs, syncs) << "a mark waits for no disk";
  harness.Crash();
  EXPECT_EQ(SeqsOf(harness.Take().slices.at(0)), (Seqs{1, 2, 3}));
}

TEST(Feed, FromNowMeansWhatIsAcceptedAfterwards) {
  FeedHarness harness;
  harness.SendSome(kDirect, 1, 300);
  harness.SendSome("dm:ann:cid", 1, 2);
  harness.OpenGroup("work", true);
  EXPECT_EQ(harness.Lag().messages, 0u);
  EXPECT_TRUE(harness.Take().slices.empty());
  EXPECT_EQ(harness.Lowest(kDirect), 300u);
  harness.SendSome(kDirect, 301, 302);
  EXPECT_EQ(harness.Lag().messages, 2u);
  harness.Crash();
  EXPECT_EQ(harness.Lag().messages, 2u) << "counted anew";
  const FeedPage page = harness.Take();
  ASSERT_EQ(page.slices.size(), 1u);
  EXPECT_EQ(SeqsOf(page.slices[0]), (Seqs{301, 302}));
}

TEST(Feed, LeasesRunOutAreRenewedAndFenceTheirFormerHolder) {
  FeedHarness harness;
  harness.OpenGroup();
  harness.SendSome(kDirect, 1, 2);
  const FeedSlice first = harness.Take().slices.at(0);
  harness.now_ms += kLeaseMs - 1;
  EXPECT_TRUE(harness.Renew({first.lease}).empty());
  harness.now_ms += kLeaseMs - 1;
  EXPECT_TRUE(harness.Take().slices.empty()) << "renewed";
  harness.now_ms += 1;
  const FeedSlice second = harness.Take().slices.at(0);
  EXPECT_EQ(SeqsOf(second), (Seqs{1, 2}));
  EXPECT_EQ(harness.Renew({first.lease, second.lease}), (Seqs{first.lease}));
  EXPECT_EQ(harness.AckAll(first).code, Code::kConflict);
  EXPECT_EQ(harness.Lag().messages, 2u) << "and moved nothing";
  EXPECT_EQ(harness.AckAll(second).code, Code::kOk);
  EXPECT_EQ(harness.Lag().messages, 0u);
}

TEST(Feed, TheBellRingsOnceForAGroupThatWaits) {
  FeedHarness harness;
  std::vector<std::string> rung;
  harness.log().feed()->OnNews([&](std::string_view group) { rung.emplace_back(group); });
  harness.OpenGroup();
  harness.OpenGroup("other");
  harness.SendSome(kDirect, 1, 1);
  EXPECT_TRUE(rung.empty()) << "nobody waits";
  FeedPage page = harness.Take();
  EXPECT_FALSE(page.more);
  harness.SendSome(kDirect, 2, 2);
  EXPECT_TRUE(rung.empty()) << "what is news is held by who reads it";
  harness.AckAll(page.slices.at(0));
  EXPECT_EQ(rung, std::vector<std::string>{"work"}) << "released, with news";
  harness.AckAll(harness.Take().slices.at(0));
  harness.SendSome("dm:ann:cid", 1, 2);
  EXPECT_EQ(rung.size(), 2u) << "once, until it is taken again";
}

TEST(Feed, AParkedMessageIsKeptAndTheConversationGoesOn) {
  FeedHarness harness;
  harness.OpenGroup();
  harness.SendSome(kDirect, 1, 3);
  FeedSlice slice = harness.Take().slices.at(0);
  EXPECT_EQ(harness
                .Change({.action = FeedAction::kPark,
                         .lease = slice.lease,
                         .seq = 1,
                         .attempts = 8,
                         .error = std::string(kMaxFeedErrorBytes - 1, 'x') + "\xc3\xa9"})
                .code,
            Code::kOk);
  harness.Crash();
  EXPECT_EQ(SeqsOf(harness.Take().slices.at(0)), (Seqs{2, 3})) << "durable with its letter";
  EXPECT_EQ(harness.Lag().dead_letters, 1u);
  const std::vector<DeadLetter> letters = harness.Letters();
  ASSERT_EQ(letters.size(), 1u);
  EXPECT_EQ(letters[0].message.mid, slice.messages[0].mid);
  EXPECT_EQ(letters[0].message.body, "\"message-1\"");
  EXPECT_EQ(letters[0].message.epoch, slice.messages[0].epoch);
  EXPECT_EQ(letters[0].attempts, 8u);
  EXPECT_EQ(letters[0].error, std::string(kMaxFeedErrorBytes - 1, 'x')) << "cut between characters";
  const uint64_t mid = letters[0].message.mid;
  harness.Change({.action = FeedAction::kMark, .mid = mid, .attempts = 9, .error = "again"});
  EXPECT_EQ(harness.Letters().at(0).attempts, 9u);
  EXPECT_EQ(harness.Change({.action = FeedAction::kForget, .mid = mid}).code, Code::kOk);
  EXPECT_EQ(harness.Change({.action = FeedAction::kForget, .mid = mid}).code, Code::kBadRequest);
  EXPECT_EQ(harness.Lag().dead_letters, 0u);
}

TEST(Feed, DeadLettersComeInPages) {
  FeedHarness harness;
  harness.OpenGroup();
  harness.SendSome(kDirect, 1, 5);
  const FeedSlice slice = harness.Take().slices.at(0);
  for (uint64_t seq = 1; seq <= 5; ++seq) {
    harness.Change({.action = FeedAction::kPark, .lease = slice.lease, .seq = seq, .attempts = 1});
  }
  Seqs seen;
  uint64_t after = 0;
  for (bool more = true; more;) {
    for (const DeadLetter& letter : harness.Letters(after, 2, &more)) {
      seen.push_back(letter.message.seq);
      after = letter.message.mid;
    }
  }
  EXPECT_EQ(seen, (Seqs{1, 2, 3, 4, 5}));
}

TEST(Feed, WhatAGroupHasNotPassedIsHeldUntilTheGroupIsDropped) {
  FeedHarness harness;
  harness.SendSome(kDirect, 1, 4);
  EXPECT_EQ(harness.Lowest(kDirect), kMaxInteger) << "no group";
  harness.OpenGroup();
  harness.OpenGroup("other");
  EXPECT_EQ(harness.Lowest(kDirect), 0u);
  const FeedSlice slice = harness.Take().slices.at(0);
  harness.Ack(slice, 2, false);
  EXPECT_EQ(harness.Lowest(kDirect), 0u) << "the other has passed nothing";
  harness.Change({.action = FeedAction::kDrop, .group = "other"});
  EXPECT_EQ(harness.Lowest(kDirect), 2u);
  harness.Change({.action = FeedAction::kPark, .lease = slice.lease, .seq = 3, .attempts = 1});
  EXPECT_EQ(harness.Lowest(kDirect), 3u);
  harness.Change({.action = FeedAction::kDrop});
  EXPECT_EQ(harness.Change({.action = FeedAction::kDrop}).code, Code::kBadRequest);
  EXPECT_EQ(harness.Lowest(kDirect), kMaxInteger);
  harness.OpenGroup();
  EXPECT_EQ(SeqsOf(harness.Take().slices.at(0)), (Seqs{1, 2, 3, 4})) << "made again, it begins anew";
  EXPECT_TRUE(harness.Letters().empty());
  while (harness.log().Tend(harness.now_ms)) {
  }
  EXPECT_EQ(harness.Lag().messages, 4u) << "sweeping what the old one left touches no other";
}

TEST(Feed, RetentionRemovesNothingThatAGroupHasNotPassed) {
  FeedHarness harness;
  harness.retention.messages = 2;
  harness.Open();
  harness.OpenGroup();
  harness.OpenGroup("late", true);
  harness.SendSome(kDirect, 1, 10);
  const auto retain = [&] {
    for (int64_t again_ms = 0; again_ms >= 0 && again_ms < harness.retention.every_ms;) {
      again_ms = harness.log().Retain(harness.now_ms);
    }
  };
  retain();
  EXPECT_EQ(harness.log().counters().removed_messages, 0u);
  FeedSlice slice = harness.Take(1, 4).slices.at(0);
  harness.AckAll(slice);
  retain();
  EXPECT_EQ(harness.log().counters().removed_messages, 0u) << "the other group has passed nothing";
  harness.Change({.action = FeedAction::kAck,
                  .group = "late",
                  .lease = harness.Take(1, 6, "late").slices.at(0).lease,
                  .seq = 6,
                  .release = true});
  retain();
  EXPECT_EQ(harness.log().counters().removed_messages, 4u) << "up to the lower of the two";
  EXPECT_EQ(SeqsOf(harness.Take(1, 4).slices.at(0)), (Seqs{5, 6, 7, 8}));
  harness.Change({.action = FeedAction::kDrop});
  harness.Change({.action = FeedAction::kDrop, .group = "late"});
  retain();
  EXPECT_EQ(harness.log().counters().removed_messages, 8u) << "nobody holds it";
  harness.OpenGroup("new");
  EXPECT_EQ(harness.Lag("new").messages, 2u);
  EXPECT_EQ(SeqsOf(harness.Take(1, 9, "new").slices.at(0)), (Seqs{9, 10})) << "begins at what there is";
}

TEST(Feed, ANewEpochCutsThePositionAndEachMessageKeepsTheEpochItWasNumberedIn) {
  FeedHarness harness;
  harness.OpenGroup();
  harness.SendSome(kDirect, 1, 2);
  const FeedSlice before = harness.Take().slices.at(0);
  harness.AckAll(before);
  harness.SendSome(kDirect, 3, 3);
  harness.new_epochs = true;
  harness.Crash();
  harness.new_epochs = false;
  harness.SendSome(kDirect, 4, 4);
  const FeedSlice slice = harness.Take().slices.at(0);
  ASSERT_EQ(SeqsOf(slice), (Seqs{3, 4}));
  EXPECT_EQ(slice.messages[0].epoch, before.messages[0].epoch) << "or its repeat would look like another message";
  EXPECT_GT(slice.messages[1].epoch, slice.messages[0].epoch);
}

TEST(Feed, AFailedWriteTakesNothingForHandled) {
  FeedHarness harness;
  harness.OpenGroup();
  harness.SendSome(kDirect, 1, 3);
  const FeedSlice slice = harness.Take().slices.at(0);
  harness.disk().FailWrite(1, FaultKv::Fate::kLost);
  EXPECT_EQ(harness.Ack(slice, 2, false).code, Code::kUnavailable);
  EXPECT_EQ(harness.Lag().messages, 3u);
  EXPECT_TRUE(harness.Take().slices.empty()) << "the lease stands";
  EXPECT_EQ(harness.Ack(slice, 2).code, Code::kOk);
  EXPECT_EQ(harness.Lag().messages, 1u);
  EXPECT_EQ(SeqsOf(harness.Take().slices.at(0)), (Seqs{3}));
}

TEST(Feed, RefusesWhatItCanNotDo) {
  FeedHarness harness;
  EXPECT_EQ(harness.OpenGroup("a b").code, Code::kBadRequest);
  EXPECT_EQ(harness.OpenGroup(std::string(kMaxFeedNameBytes + 1, 'a')).code, Code::kBadRequest);
  EXPECT_EQ(harness.Change({.action = FeedAction::kAck, .lease = 1}).code, Code::kBadRequest) << "no group";
  for (size_t i = 0; i < kMaxFeedGroups; ++i) EXPECT_EQ(harness.OpenGroup("g" + std::to_string(i)).code, Code::kOk);
  EXPECT_EQ(harness.OpenGroup("one-more").code, Code::kTooLarge);
  harness.log().feed()->Lag("none", [](const Status& status, FeedLag) { EXPECT_EQ(status.code, Code::kBadRequest); });
}

TEST(Feed, ABoundedScanFindsEveryConversationAndPagesAreFair) {
  FeedHarness harness;
  for (int i = 0; i < 600; ++i) harness.SendSome("dm:ann:u" + std::to_string(i), 1, 2);
  harness.OpenGroup();
  EXPECT_EQ(harness.Lag().messages, 1200u);
  std::map<std::string, uint64_t> seen;
  for (bool more = true; more;) {
    const FeedPage page = harness.Take(64, 1);
    more = page.more;
    for (const FeedSlice& slice : page.slices) {
      EXPECT_EQ(slice.messages.at(0).seq, ++seen[slice.conv]);
      harness.AckAll(slice);
      more = true;
    }
  }
  EXPECT_EQ(seen.size(), 600u);
  for (const auto& [conv, count] : seen) EXPECT_EQ(count, 2u) << conv;
  EXPECT_EQ(harness.Lag().messages, 0u);
}

// Random members, crashes and failures: each message is handled, in order of its conversation except for repeats, and
// the lag is what a naive count says.
TEST(Feed, RandomRunsHandleEverything) {
  for (uint64_t round = 0; round < 20; ++round) {
    const uint64_t seed = FromEnvironment("EVERYONCE_SEED", 6100 + round);
    SCOPED_TRACE("EVERYONCE_SEED=" + std::to_string(seed));
    Random random(seed);
    FeedHarness harness;
    harness.OpenGroup();
    std::map<std::string, uint64_t> sent;
    std::map<std::string, uint64_t> handled;
    std::vector<FeedSlice> held;
    const auto handle = [&](const FeedSlice& slice) {
      for (const Message& message : slice.messages) {
        ASSERT_LE(message.seq, handled[slice.conv] + 1) << slice.conv << ": skipped";
        handled[slice.conv] = std::max(handled[slice.conv], message.seq);
      }
    };
    for (int step = 0; step < 300; ++step) {
      switch (random.Below(7)) {
        case 0:
        case 1: {
          const std::string conv = "dm:ann:u" + std::to_string(random.Below(8));
          harness.SendSome(conv, sent[conv] + 1, sent[conv] + 1);
          ++sent[conv];
          break;
        }
        case 2:
        case 3:
          for (FeedSlice& slice : harness.Take(1 + random.Below(3), 1 + random.Below(4)).slices) {
            for (const FeedSlice& other : held) ASSERT_NE(other.conv, slice.conv) << "held by two";
            held.push_back(std::move(slice));
          }
          break;
        case 4:
        case 5:
          if (!held.empty()) {
            handle(held.back());
            EXPECT_EQ(harness.AckAll(held.back()).code, Code::kOk);
            held.pop_back();
          }
          break;
        default:
          if (random.OneIn(4)) {
            harness.Crash();
            held.clear();
          } else if (random.OneIn(4)) {
            harness.now_ms += kLeaseMs;
            held.clear();
          }
      }
    }
    harness.now_ms += kLeaseMs;
    for (bool more = true; more;) {
      const FeedPage page = harness.Take(64, 3);
      more = page.more || !page.slices.empty();
      for (const FeedSlice& slice : page.slices) {
        handle(slice);
        harness.AckAll(slice);
      }
    }
    for (const auto& [conv, count] : sent) EXPECT_EQ(handled[conv], count) << conv;
    EXPECT_EQ(harness.Lag().messages, 0u);
  }
}

}  // namespace
}  // namespace everyonce::test
