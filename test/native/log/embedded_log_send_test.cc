// Sends, skips and status on the embedded log: what is told once is told for ever.

#include "log/embedded_log_harness.h"

namespace everyonce::test {
namespace {

TEST(EmbeddedLogSend, NumbersAndAnswersDuplicatesAlike) {
  EmbeddedLogHarness harness;
  const Outcome first = harness.Commit(Send(kDirect, "ann", "phone", 1));
  ASSERT_EQ(first.code, Code::kOk) << first.message;
  EXPECT_EQ(first.seq, 1u);
  EXPECT_FALSE(first.duplicate);
  EXPECT_EQ(first.at_ms, harness.now_ms);
  EXPECT_GE(first.epoch, static_cast<uint64_t>(harness.now_ms) * 1024);
  ASSERT_NE(first.audience, nullptr);
  EXPECT_EQ(*first.audience, (MemberList{"ann", "bob"}));

  harness.now_ms += 50;
  for (int i = 0; i < 2; ++i) {
    const Outcome again = harness.Commit(Send(kDirect, "ann", "phone", 1));
    EXPECT_EQ(again.code, Code::kOk);
    EXPECT_TRUE(again.duplicate);
    EXPECT_EQ(again.seq, first.seq);
    EXPECT_EQ(again.epoch, first.epoch);
    EXPECT_EQ(again.mid, first.mid);
    EXPECT_EQ(again.at_ms, first.at_ms);
    EXPECT_EQ(again.audience, nullptr) << "nothing is delivered again";
    harness.Crash();
  }
  EXPECT_EQ(harness.Commit(Send(kDirect, "ann", "laptop", 1)).seq, 2u) << "another device, another producer";
  EXPECT_EQ(harness.Commit(Send(kDirect, "bob", "phone", 1)).seq, 3u);
}

TEST(EmbeddedLogSend, DecidesAGroupInOrderAndSyncsOnce) {
  EmbeddedLogHarness harness;
  const std::vector<Outcome> seen = harness.CommitAll({
      Send(kDirect, "ann", "phone", 1),
      Send(kDirect, "ann", "phone", 1),
      Send(kDirect, "ann", "phone", 3),
      Send(kDirect, "ann", "phone", 2),
      Send(kDirect, "ann", "phone", 3),
      Send(kDirect, "bob", "phone", 1),
  });
  EXPECT_EQ(seen[0].seq, 1u);
  EXPECT_TRUE(seen[1].duplicate);
  EXPECT_EQ(seen[1].mid, seen[0].mid);
  EXPECT_EQ(seen[2].code, Code::kGap);
  EXPECT_EQ(seen[2].expected, 2u);
  EXPECT_EQ(seen[2].retry_ms, 0);
  EXPECT_EQ(seen[3].seq, 2u);
  EXPECT_EQ(seen[4].seq, 3u);
  EXPECT_EQ(seen[5].seq, 4u);
  EXPECT_EQ(harness.disk().syncs, 1u);
  EXPECT_EQ(harness.log().counters().messages, 4u);
  EXPECT_EQ(harness.log().counters().duplicates, 1u);
}

TEST(EmbeddedLogSend, StrangersAreToldNothingAndLeaveNothing) {
  EmbeddedLogHarness harness;
  harness.Commit(Send(kDirect, "ann", "phone", 1));
  const uint64_t writes = harness.disk().writes;
  EXPECT_EQ(harness.Commit(Send(kDirect, "eve", "phone", 1)).code, Code::kUnknownConv);
  EXPECT_EQ(harness.Commit(Send("g:nothing", "eve", "phone", 1)).code, Code::kUnknownConv);
  EXPECT_EQ(harness.Commit(Send(kDirect, "eve", "phone", 0)).code, Code::kUnknownConv);
  EXPECT_EQ(harness.Commit(Skip(kDirect, "eve", "phone", 1, 5)).code, Code::kUnknownConv);
  EXPECT_EQ(harness.Commit(Read(kDirect, "eve", "phone", 1)).code, Code::kUnknownConv);
  EXPECT_EQ(harness.StatusOf(kDirect, "eve", "phone", {IdOf(1)}).code, Code::kUnknownConv);
  EXPECT_EQ(harness.disk().writes, writes);
}

TEST(EmbeddedLogSend, RefusesConflictsWithoutChange) {
  EmbeddedLogHarness harness;
  harness.CommitAll({Send(kDirect, "ann", "phone", 1), Send(kDirect, "ann", "phone", 2)});
  EXPECT_EQ(harness.Commit(Send(kDirect, "ann", "phone", 1, "another-id")).code, Code::kConflict);
  EXPECT_EQ(harness.Commit(Send(kDirect, "ann", "phone", 3, IdOf(1))).code, Code::kConflict) << "id of the last 64";
  EXPECT_EQ(harness.Commit(Send(kDirect, "ann", "phone", 9, IdOf(2))).code, Code::kConflict);
  EXPECT_EQ(harness.Commit(Send(kDirect, "ann", "phone", 3)).seq, 3u);
}

TEST(EmbeddedLogSend, FinalNacksUseTheirNumberForEver) {
  EmbeddedLogHarness harness;
  Command refused = Send(kDirect, "ann", "phone", 1);
  refused.refused = Code::kForbidden;
  refused.refused_message = "not today";
  const Outcome first = harness.Commit(refused);
  EXPECT_EQ(first.code, Code::kForbidden);
  EXPECT_EQ(first.retry_ms, -1);
  EXPECT_EQ(harness.disk().syncs, 1u) << "durable before it is told";
  harness.Crash();
  refused.refused = Code::kOk;  // allowed by now: the answer stays
  const Outcome again = harness.Commit(refused);
  EXPECT_EQ(again.code, Code::kForbidden);
  EXPECT_EQ(again.message, "not today");
  EXPECT_EQ(harness.Commit(Send(kDirect, "ann", "phone", 1, "another-id")).code, Code::kConflict);
  EXPECT_EQ(harness.Commit(Send(kDirect, "ann", "phone", 2, IdOf(1))).code, Code::kConflict);
  EXPECT_EQ(harness.View("ann", "phone", kDirect).head, 0u);
  EXPECT_EQ(harness.Commit(Send(kDirect, "ann", "phone", 2)).seq, 1u);
  // The order of decisions: a duplicate and a gap come before the verdict.
  Command later = Send(kDirect, "ann", "phone", 2);
  later.refused = Code::kForbidden;
  EXPECT_TRUE(harness.Commit(later).duplicate);
  later = Send(kDirect, "ann", "phone", 4);
  later.refused = Code::kForbidden;
  EXPECT_EQ(harness.Commit(later).code, Code::kGap);
}

TEST(EmbeddedLogSend, AnswersOldNumbersForEver) {
  EmbeddedLogHarness harness;
  std::vector<Outcome> first;
  for (uint64_t n = 1; n <= 300; ++n) {
    Command command = Send(kDirect, "ann", "phone", n);
    if (n == 10) command.refused = Code::kTooLarge;
    first.push_back(harness.Commit(command));
  }
  for (int round = 0; round < 2; ++round) {
    for (uint64_t n : {1u, 9u, 64u, 65u, 128u, 236u, 237u, 300u}) {
      const Outcome again = harness.Commit(Send(kDirect, "ann", "phone", n));
      EXPECT_EQ(again.code, Code::kOk) << n << again.message;
      EXPECT_TRUE(again.duplicate) << n;
      EXPECT_EQ(again.seq, first[n - 1].seq) << n;
      EXPECT_EQ(again.mid, first[n - 1].mid) << n;
      EXPECT_EQ(harness.Commit(Send(kDirect, "ann", "phone", n, "another-id")).code, Code::kConflict) << n;
    }
    EXPECT_EQ(harness.Commit(Send(kDirect, "ann", "phone", 10)).code, Code::kTooLarge);
    harness.Crash();
  }
}

TEST(EmbeddedLogSend, AnUnknownProducerAsksThenSkips) {
  EmbeddedLogHarness harness;
  EXPECT_EQ(harness.Commit(Send(kDirect, "ann", "phone", 7)).code, Code::kUnknownProducer);
  EXPECT_EQ(harness.Commit(Skip(kDirect, "ann", "phone", 5, 6)).code, Code::kOk);
  harness.Crash();
  EXPECT_EQ(harness.Commit(Skip(kDirect, "ann", "phone", 5, 6)).code, Code::kOk) << "the same call again";
  EXPECT_EQ(harness.Commit(Send(kDirect, "ann", "phone", 6)).code, Code::kConflict);
  EXPECT_EQ(harness.Commit(Send(kDirect, "ann", "phone", 4)).code, Code::kTooOld);
  EXPECT_EQ(harness.Commit(Send(kDirect, "ann", "phone", 7)).seq, 1u);
  EXPECT_EQ(harness.Commit(Skip(kDirect, "ann", "phone", 7, 7)).code, Code::kConflict);
  EXPECT_EQ(harness.Commit(Skip(kDirect, "ann", "phone", 7, 9)).code, Code::kConflict);
  EXPECT_EQ(harness.Commit(Skip(kDirect, "ann", "phone", 6, 6)).code, Code::kOk);
  EXPECT_EQ(harness.Commit(Skip(kDirect, "ann", "phone", 9, 9)).code, Code::kBadRequest);
  EXPECT_EQ(harness.Commit(Skip(kDirect, "ann", "phone", 8, 200)).code, Code::kOk);
  EXPECT_EQ(harness.Commit(Skip(kDirect, "ann", "phone", 150, 201)).code, Code::kBadRequest);
  EXPECT_EQ(harness.Commit(Skip(kDirect, "ann", "phone", 1, 200)).code, Code::kConflict) << "7 was accepted";
  EXPECT_EQ(harness.Commit(Send(kDirect, "ann", "phone", 100)).code, Code::kConflict) << "a skipped one of long ago";
  EXPECT_TRUE(harness.Commit(Send(kDirect, "ann", "phone", 7)).duplicate);
  EXPECT_EQ(harness.Commit(Send(kDirect, "ann", "phone", 201)).seq, 2u);
  harness.Crash();
  EXPECT_TRUE(harness.Commit(Send(kDirect, "ann", "phone", 7)).duplicate);
  EXPECT_EQ(harness.Commit(Send(kDirect, "ann", "phone", 202)).seq, 3u);
}

TEST(EmbeddedLogSend, OldRunsOfADeviceAreFenced) {
  EmbeddedLogHarness harness;
  harness.Commit(Hello("ann", "phone", 4));
  const Outcome stale = harness.Commit(Send(kDirect, "ann", "phone", 1));
  EXPECT_EQ(stale.code, Code::kStaleDevice);
  EXPECT_EQ(stale.pe, 4u);
  EXPECT_EQ(harness.Commit(Hello("ann", "phone", 3)).code, Code::kStaleDevice);
  EXPECT_EQ(harness.Commit(Read(kDirect, "ann", "phone", 1)).code, Code::kStaleDevice);
  Command command = Send(kDirect, "ann", "phone", 1);
  command.pe = 9;
  EXPECT_EQ(harness.Commit(command).seq, 1u);
  harness.Crash();
  const Outcome hello = harness.Commit(Hello("ann", "phone", 8));
  EXPECT_EQ(hello.code, Code::kStaleDevice) << "a higher one was seen in a commit";
  EXPECT_EQ(hello.pe, 9u);
  EXPECT_FALSE(harness.Commit(Hello("ann", "phone", 9)).first);
}

TEST(EmbeddedLogSend, WithoutNumberTheWindowDecides) {
  EmbeddedLogHarness harness;
  const Command publish = Send(kDirect, "ann", "server", 0, "publish-1");
  const Outcome first = harness.Commit(publish);
  EXPECT_EQ(first.seq, 1u);
  const std::vector<Outcome> group = harness.CommitAll(
      {Send(kDirect, "ann", "server", 0, "publish-2"), Send(kDirect, "ann", "server", 0, "publish-2")});
  EXPECT_EQ(group[0].seq, 2u);
  EXPECT_TRUE(group[1].duplicate) << "also within the group";
  EXPECT_EQ(group[1].mid, group[0].mid);
  harness.now_ms += 999;
  harness.Crash();
  EXPECT_TRUE(harness.Commit(publish).duplicate);
  Command other = publish;
  other.body = "\"other\"";
  EXPECT_EQ(harness.Commit(other).code, Code::kConflict);
  EXPECT_EQ(harness.Commit(Send(kDirect, "bob", "server", 0, "publish-1")).seq, 3u) << "ids are each user's own";
  harness.now_ms += 1;
  EXPECT_EQ(harness.Commit(other).seq, 4u) << "the window is over";
}

TEST(EmbeddedLogSend, SweepsOnlyWhatHasExpired) {
  EmbeddedLogHarness harness;
  for (int i = 0; i < 10; ++i) harness.Commit(Send(kDirect, "ann", "server", 0, "publish-" + std::to_string(i)));
  harness.now_ms += 500;
  harness.Commit(Send(kDirect, "ann", "server", 0, "publish-late"));
  EXPECT_EQ(harness.log().SweepWindow(harness.now_ms, 100), 0u);
  harness.now_ms += 500;
  size_t removed = 0;
  for (int i = 0; i < 4; ++i) removed += harness.log().SweepWindow(harness.now_ms, 3);
  EXPECT_EQ(removed, 10u);
  EXPECT_TRUE(harness.Commit(Send(kDirect, "ann", "server", 0, "publish-late")).duplicate);
}

TEST(EmbeddedLogSend, StatusFindsWhatWasAcceptedHoweverLongAgo) {
  EmbeddedLogHarness harness;
  std::vector<Outcome> first;
  for (uint64_t n = 1; n <= 200; ++n) {
    Command command = Send(kDirect, "ann", "phone", n);
    if (n == 20) command.refused = Code::kForbidden;
    first.push_back(harness.Commit(command));
  }
  const Outcome published = harness.Commit(Send(kDirect, "ann", "phone", 0, "no-number-1"));
  for (int round = 0; round < 2; ++round) {
    const StatusAnswer answer = harness.StatusOf(
        kDirect, "ann", "phone", {IdOf(3), IdOf(20), IdOf(100), IdOf(200), "never-sent", "no-number-1"});
    EXPECT_EQ(answer.code, Code::kOk);
    EXPECT_TRUE(answer.unknown.empty());
    ASSERT_EQ(answer.found.size(), 4u);
    for (const StatusFound& found : answer.found) {
      if (found.n == 0) {
        EXPECT_EQ(found.id, "no-number-1");
        EXPECT_EQ(found.mid, published.mid);
        continue;
      }
      EXPECT_EQ(found.id, IdOf(found.n));
      EXPECT_EQ(found.seq, first[found.n - 1].seq);
      EXPECT_EQ(found.mid, first[found.n - 1].mid);
      EXPECT_EQ(found.epoch, first[found.n - 1].epoch);
      EXPECT_EQ(found.at_ms, first[found.n - 1].at_ms);
    }
    harness.Crash();
  }
  EXPECT_TRUE(harness.StatusOf(kDirect, "ann", "laptop", {IdOf(3)}).found.empty()) << "another device's";
  EXPECT_TRUE(harness.StatusOf(kDirect, "bob", "phone", {IdOf(3)}).found.empty());
}

TEST(EmbeddedLogSend, TimeAndMessageIdsNeverGoBack) {
  EmbeddedLogHarness harness;
  Outcome last = harness.Commit(Send(kDirect, "ann", "phone", 1));
  for (uint64_t n = 2; n <= 20; ++n) {
    harness.now_ms -= 700;
    if (n % 3 == 0) harness.Crash();
    const Outcome next = harness.Commit(Send(kDirect, "ann", "phone", n));
    EXPECT_GT(next.mid, last.mid) << n;
    EXPECT_GE(next.at_ms, last.at_ms) << n;
    last = next;
  }
}

}  // namespace
}  // namespace everyonce::test
