// Retention: what goes, what is told of it, and what must outlive it.

#include <numeric>

#include "log/embedded_log_harness.h"

namespace everyonce::test {
namespace {

constexpr int64_t kDayMs = 24 * 3600 * 1000;

class LogRetention : public testing::Test {
 protected:
  void Keep(const RetentionOptions& retention) {
    harness_.retention = retention;
    harness_.Open();
  }
  // A whole round.
  void Round() {
    const uint64_t before = harness_.log().counters().retention_runs;
    for (int slices = 0; harness_.log().counters().retention_runs == before; ++slices) {
      ASSERT_LT(slices, 10000) << "a round that never ends";
      ASSERT_GE(harness_.log().Retain(harness_.now_ms), 0);
    }
  }
  void SendAll(uint64_t first, uint64_t last, const std::string& user = "ann", const std::string& device = "phone") {
    for (uint64_t n = first; n <= last; ++n) {
      ASSERT_EQ(harness_.Commit(Send(kDirect, user, device, n, user + IdOf(n))).code, Code::kOk);
    }
  }
  Page PullAll(const std::string& user, const std::string& device, bool newest_first = false) {
    PullQuery query;
    query.user = user;
    query.device = device;
    query.conv = kDirect;
    query.limit = 200;
    query.newest_first = newest_first;
    return harness_.Pull(query);
  }
  HistoryPage History(const HistoryQuery& query) {
    HistoryPage seen;
    harness_.log().History(query, [&](Status status, HistoryPage page) {
      EXPECT_TRUE(status.ok()) << status.message;
      seen = std::move(page);
    });
    return seen;
  }
  static void ExpectExpired(const PageItem& item, uint64_t from, uint64_t to) {
    ASSERT_TRUE(item.is_hole());
    EXPECT_EQ(item.hole.reason, "expired");
    EXPECT_EQ(item.hole.span.from, from);
    EXPECT_EQ(item.hole.span.to, to);
  }

  EmbeddedLogHarness harness_;
};

TEST_F(LogRetention, WithoutARuleNothingIsEverRemoved) {
  SendAll(1, 3);
  harness_.now_ms += 1000 * kDayMs;
  EXPECT_EQ(harness_.log().Retain(harness_.now_ms), -1);
  EXPECT_EQ(PullAll("bob", "phone").items.size(), 3u);
}

TEST_F(LogRetention, DaysRemovesWhatIsOlder) {
  Keep({.max_age_ms = kDayMs});
  SendAll(1, 5);
  harness_.now_ms += kDayMs;
  SendAll(6, 7);
  Round();
  EXPECT_EQ(PullAll("bob", "phone").items.size(), 7u) << "a day old is not older than a day";
  harness_.now_ms += 1;
  Round();
  const Page page = PullAll("bob", "phone");
  ASSERT_EQ(page.items.size(), 3u);
  ExpectExpired(page.items[0], 1, 5);
  EXPECT_EQ(page.items[1].message.seq, 6u);
  ASSERT_EQ(page.covers.size(), 1u);
  EXPECT_EQ(page.covers[0].from, 1u);
  EXPECT_EQ(page.covers[0].to, 7u);
  EXPECT_EQ(harness_.log().counters().removed_messages, 5u);
  EXPECT_EQ(harness_.log().counters().retention_at_ms, harness_.now_ms);
}

TEST_F(LogRetention, MessagesKeepsTheNewestOfEachConversation) {
  Keep({.messages = 3});
  SendAll(1, 10);
  for (uint64_t n = 1; n <= 2; ++n) harness_.Commit(Send("dm:ann:cid", "ann", "phone", n));
  Round();
  const Page page = PullAll("bob", "phone");
  ASSERT_EQ(page.items.size(), 4u);
  ExpectExpired(page.items[0], 1, 7);
  EXPECT_EQ(page.items[1].message.seq, 8u);
  EXPECT_EQ(harness_.View("cid", "phone", "dm:ann:cid").unread, 2u);
  harness_.Crash();  // what was not synced comes back whole, or is gone whole
  Round();
  ExpectExpired(PullAll("bob", "phone").items[0], 1, 7);
  EXPECT_EQ(harness_.Commit(Send(kDirect, "ann", "phone", 11)).seq, 11u) << "numbers go on";
}

TEST_F(LogRetention, TheWholeLogMayGoAndNumbersGoOn) {
  Keep({.max_age_ms = 1000});
  SendAll(1, 150);
  harness_.now_ms += 2000;
  Round();
  EXPECT_EQ(harness_.View("bob", "phone", kDirect).head, 150u);
  ExpectExpired(PullAll("bob", "phone").items.at(0), 1, 150);
  EXPECT_EQ(harness_.Commit(Send(kDirect, "bob", "phone", 1)).seq, 151u);
  harness_.Crash();
  EXPECT_EQ(harness_.View("bob", "phone", kDirect).head, 151u);
  EXPECT_EQ(harness_.Commit(Send(kDirect, "ann", "phone", 151)).seq, 152u);
}

TEST_F(LogRetention, UntilAckedWaitsForEveryDeviceAndForEveryMember) {
  Keep({.until_acked = true});
  harness_.CommitAll({Hello("ann", "phone", 1), Hello("bob", "phone", 1), Hello("bob", "laptop", 1)});
  SendAll(1, 4);
  harness_.Commit(Got(kDirect, "bob", "phone", 0, 4));
  Round();
  EXPECT_EQ(harness_.log().counters().removed_messages, 0u) << "the laptop has not acked";
  harness_.Commit(Got(kDirect, "bob", "laptop", 0, 3));
  Round();
  EXPECT_EQ(harness_.log().counters().removed_messages, 3u);
  EXPECT_EQ(harness_.View("ann", "phone", kDirect).got, 4u) << "its own, though they are gone";
  ExpectExpired(History({.user = "bob", .conv = kDirect, .limit = 10}).items.at(0), 1, 3);
}

TEST_F(LogRetention, UntilAckedForgetsADeviceThatWasNotSeenForAMonth) {
  Keep({.until_acked = true});
  harness_.CommitAll({Hello("ann", "phone", 1), Hello("bob", "phone", 1), Hello("bob", "laptop", 1)});
  SendAll(1, 2);
  harness_.Commit(Got(kDirect, "bob", "phone", 0, 2));
  harness_.now_ms += 31 * kDayMs;
  Round();
  EXPECT_EQ(harness_.log().counters().removed_messages, 0u) << "nobody has a device that was seen";
  harness_.Commit(Hello("ann", "phone", 1));
  harness_.Commit(Read(kDirect, "bob", "phone", 1));  // seen without a hello: it was connected all the time
  Round();
  EXPECT_EQ(harness_.log().counters().removed_messages, 2u);
  // The laptop comes back: it is told what is gone, and acks over it.
  harness_.Commit(Hello("bob", "laptop", 2));
  ExpectExpired(PullAll("bob", "laptop").items.at(0), 1, 2);
  Command over = Got(kDirect, "bob", "laptop", 0, 2);
  over.pe = 2;
  EXPECT_EQ(harness_.Commit(over).got, 2u);
  EXPECT_TRUE(PullAll("bob", "laptop").items.empty());
}

TEST_F(LogRetention, UntilAckedKeepsForAMemberWhoNeverConnectedButOnlyWhatHeMaySee) {
  Keep({.until_acked = true});
  for (const char* user : {"ann", "bob"}) harness_.Commit(Hello(user, "phone", 1));
  harness_.Commit(Members(MembersAction::kCreate, "ann", {"bob"}));
  harness_.Commit(Send(kGroup, "ann", "phone", 1));
  harness_.Commit(Members(MembersAction::kAdd, "ann", {"cid"}));
  harness_.Commit(Send(kGroup, "ann", "phone", 2));
  for (const char* user : {"ann", "bob"}) harness_.Commit(Got(kGroup, user, "phone", 0, 4));
  Round();
  EXPECT_EQ(harness_.log().counters().removed_messages, 2u);
  harness_.Commit(Members(MembersAction::kRemove, "ann", {"cid"}));
  for (const char* user : {"ann", "bob"}) harness_.Commit(Got(kGroup, user, "phone", 0, 5));
  Round();
  EXPECT_EQ(harness_.log().counters().removed_messages, 5u) << "who has left holds nothing without a device";
}

TEST_F(LogRetention, UntilAckedAsksALargeGroupInSlices) {
  RetentionOptions retention{.until_acked = true};
  retention.slice_work = 100;
  Keep(retention);
  std::vector<std::string> members(200);
  for (size_t i = 0; i < members.size(); ++i) members[i] = "user" + std::to_string(i);
  harness_.Commit(Hello("ann", "phone", 1));
  for (const std::string& user : members) harness_.Commit(Hello(user, "phone", 1));
  harness_.Commit(Members(MembersAction::kCreate, "ann", members));
  harness_.Commit(Send(kGroup, "ann", "phone", 1));
  for (const std::string& user : members) harness_.Commit(Got(kGroup, user, "phone", 0, 2));
  harness_.Commit(Got(kGroup, "ann", "phone", 0, 1));
  EXPECT_EQ(harness_.log().Retain(harness_.now_ms), retention.slice_every_ms);
  EXPECT_EQ(harness_.log().counters().removed_messages, 0u) << "one slice does not ask them all";
  // Somebody joins who may see it all the same: everybody is asked again.
  Round();
  EXPECT_EQ(harness_.log().counters().removed_messages, 2u);
}

TEST_F(LogRetention, ALateJoinerWhoMaySeeAllIsAskedToo) {
  RetentionOptions retention{.until_acked = true};
  retention.slice_work = 10;  // a look, and one member
  Keep(retention);
  for (const char* user : {"ann", "bob", "cid"}) harness_.Commit(Hello(user, "phone", 1));
  harness_.Commit(Members(MembersAction::kCreate, "ann", {"bob"}, true));
  harness_.Commit(Send(kGroup, "ann", "phone", 1));
  for (const char* user : {"ann", "bob"}) harness_.Commit(Got(kGroup, user, "phone", 0, 2));
  (void)harness_.log().Retain(harness_.now_ms);
  harness_.Commit(Members(MembersAction::kAdd, "ann", {"cid"}));
  Round();
  EXPECT_EQ(harness_.log().counters().removed_messages, 0u) << "cid sees from 1, and has acked nothing";
}

TEST_F(LogRetention, DuplicatesOfTheLast64AreToldTheFirstAnswerForEver) {
  Keep({.max_age_ms = 1000});
  std::vector<Outcome> first(1);
  for (uint64_t n = 1; n <= 100; ++n) {
    Command command = Send(kDirect, "ann", "phone", n);
    if (n == 90) command.refused = Code::kForbidden;
    if (n == 90) command.refused_message = "not this";
    first.push_back(harness_.Commit(command));
    ++harness_.now_ms;
  }
  harness_.now_ms += 2000;
  Round();
  EXPECT_EQ(harness_.log().counters().removed_messages, 99u);
  for (int round = 0; round < 2; ++round) {
    for (uint64_t n = 37; n <= 100; ++n) {
      const Outcome again = harness_.Commit(Send(kDirect, "ann", "phone", n));
      EXPECT_EQ(again.code, first[n].code) << n;
      EXPECT_EQ(again.duplicate, n != 90) << n;
      EXPECT_EQ(again.seq, first[n].seq) << n;
      EXPECT_EQ(again.epoch, first[n].epoch) << n;
      EXPECT_EQ(again.mid, first[n].mid) << n;
      EXPECT_EQ(again.at_ms, first[n].at_ms) << n;
      EXPECT_EQ(again.message, first[n].message) << n;
      EXPECT_EQ(harness_.Commit(Send(kDirect, "ann", "phone", n, "another-id")).code, Code::kConflict) << n;
    }
    EXPECT_EQ(harness_.Commit(Send(kDirect, "ann", "phone", 36)).code, Code::kTooOld);
    EXPECT_EQ(harness_.Commit(Send(kDirect, "ann", "phone", 1)).code, Code::kTooOld);
    EXPECT_EQ(harness_.Commit(Send(kDirect, "ann", "phone", 101, IdOf(70))).code, Code::kConflict)
        << "an id of the last 64 under a new n";
    const StatusAnswer status = harness_.StatusOf(kDirect, "ann", "phone", {IdOf(99), IdOf(20), "never-sent"});
    ASSERT_EQ(status.found.size(), 1u);
    EXPECT_EQ(status.found[0].seq, first[99].seq);
    EXPECT_EQ(status.found[0].mid, first[99].mid);
    EXPECT_EQ(status.unknown, std::vector<std::string>{IdOf(20)}) << "and what was never sent is not accepted";
    harness_.Commit(
        Send("dm:ann:zoe", "ann", "phone", static_cast<uint64_t>(round) + 1));  // synced: all is on the disk
    harness_.Crash();
  }
}

TEST_F(LogRetention, KeptAnswersGoWhenTheyAreNoLongerOfTheLast64) {
  Keep({.max_age_ms = 1000});
  const auto kept = [&] {
    size_t count = 0;
    const auto kv = std::make_unique<FaultKv>(harness_.shared_disk());
    (void)kv->Scan(Space::kProducers, "s", "t", false, [&](std::string_view, std::string_view) {
      ++count;
      return true;
    });
    return count;
  };
  for (uint64_t first = 1; first <= 1000; first += 100) {
    SendAll(first, first + 99);
    harness_.now_ms += 2000;
    Round();
    EXPECT_LE(kept(), 2 * kProducerWindow);
  }
  Round();
  EXPECT_GE(kept(), kProducerWindow);
}

TEST_F(LogRetention, APackageIsToldAsOne) {
  Keep({.max_age_ms = 1000});
  Command package = Send(kDirect, "ann", "phone", 1);
  package.package_id = "package-1";
  for (const char* id : {"part-number-0", "part-number-1", "part-number-2"}) {
    package.parts.push_back({id, "text", "1"});
  }
  const Outcome first = harness_.Commit(package);
  ASSERT_EQ(first.code, Code::kOk);
  SendAll(2, 64);
  harness_.now_ms += 2000;
  Round();
  const Outcome again = harness_.Commit(package);
  EXPECT_TRUE(again.duplicate);
  EXPECT_EQ(again.seq, first.seq);
  EXPECT_EQ(again.mids, first.mids);
  EXPECT_EQ(harness_.StatusOf(kDirect, "ann", "phone", {"part-number-1", "part-number-2"}).found.size(), 2u);
  SendAll(65, 65);
  EXPECT_EQ(harness_.Commit(package).code, Code::kOk) << "what is left of it may be told for longer";
  harness_.now_ms += 2000;
  Round();
  EXPECT_EQ(harness_.Commit(package).code, Code::kTooOld);
  EXPECT_EQ(harness_.StatusOf(kDirect, "ann", "phone", {"part-number-1"}).unknown.size(), 1u);
}

TEST_F(LogRetention, SendsWithoutNAreToldApartUntilTheirWindowIsOver) {
  Keep({.max_age_ms = 100});  // the window is a second
  Command once = Send(kDirect, "ann", "server", 0, "from-a-webhook");
  once.pe = 0;
  const Outcome first = harness_.Commit(once);
  harness_.now_ms += 500;
  Round();
  EXPECT_EQ(harness_.log().counters().removed_messages, 1u);
  Outcome again = harness_.Commit(once);
  EXPECT_TRUE(again.duplicate);
  EXPECT_EQ(again.seq, first.seq);
  EXPECT_EQ(again.mid, first.mid);
  EXPECT_EQ(again.at_ms, first.at_ms);
  EXPECT_EQ(harness_.StatusOf(kDirect, "ann", "server", {once.id}).found.size(), 1u);
  Command other = once;
  other.body = "2";
  EXPECT_EQ(harness_.Commit(other).code, Code::kConflict);
  harness_.now_ms += 500;
  again = harness_.Commit(once);
  EXPECT_FALSE(again.duplicate);
  EXPECT_EQ(again.seq, 2u);
}

TEST_F(LogRetention, UnreadCountsOnlyWhatIsThere) {
  Keep({.messages = 4});
  harness_.Commit(Members(MembersAction::kCreate, "ann", {"bob"}));                    // 1, system
  for (uint64_t n = 1; n <= 3; ++n) harness_.Commit(Send(kGroup, "ann", "phone", n));  // 2 3 4
  harness_.Commit(Send(kGroup, "bob", "phone", 1));                                    // 5
  harness_.Commit(Members(MembersAction::kAdd, "ann", {"cid"}));                       // 6, system
  harness_.Commit(Send(kGroup, "ann", "phone", 4));                                    // 7
  harness_.Commit(Send(kGroup, "bob", "phone", 2));                                    // 8
  EXPECT_EQ(harness_.View("bob", "phone", kGroup).unread, 4u);
  Round();  // 5 6 7 8 are left
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(harness_.View("bob", "phone", kGroup).unread, 1u);
    EXPECT_EQ(harness_.View("ann", "phone", kGroup).unread, 2u);
    EXPECT_EQ(harness_.View("cid", "phone", kGroup).unread, 2u);
    harness_.Commit(Send("dm:ann:zoe", "ann", "phone", static_cast<uint64_t>(round) + 1));
    harness_.Crash();
  }
  harness_.Commit(Read(kGroup, "ann", "phone", 3));  // what is gone
  EXPECT_EQ(harness_.View("ann", "phone", kGroup).unread, 2u);
  harness_.Commit(Read(kGroup, "ann", "phone", 5));
  EXPECT_EQ(harness_.View("ann", "phone", kGroup).unread, 1u);
}

TEST_F(LogRetention, HolesAreOneRangeInEveryKindOfReading) {
  Keep({.messages = 10});
  harness_.Commit(Hello("bob", "phone", 1));
  SendAll(1, 20);
  harness_.Commit(Got(kDirect, "bob", "phone", 4, 5));
  SendAll(21, 30);
  const uint64_t epoch = harness_.View("bob", "phone", kDirect).epoch;
  Round();
  const Page oldest = PullAll("bob", "phone");
  ASSERT_EQ(oldest.items.size(), 11u);
  ExpectExpired(oldest.items.front(), 1, 20);
  const Page newest = PullAll("bob", "phone", true);
  ASSERT_EQ(newest.items.size(), 11u);
  EXPECT_EQ(newest.items.front().message.seq, 30u);
  ExpectExpired(newest.items.back(), 1, 20);
  HistoryPage history = History({.user = "bob", .conv = kDirect, .after = 2, .limit = 2});
  ASSERT_EQ(history.items.size(), 2u);
  ExpectExpired(history.items[0], 3, 20);
  EXPECT_EQ(history.items[1].message.seq, 21u);
  EXPECT_TRUE(history.more);
  history = History({.user = "bob", .conv = kDirect, .before = 22, .limit = 5});
  ASSERT_EQ(history.items.size(), 2u);
  ExpectExpired(history.items[0], 1, 20);
  EXPECT_FALSE(history.more);
  history = History({.user = "", .conv = kDirect, .before = 9, .limit = 5});
  ExpectExpired(history.items.at(0), 1, 8);
  EXPECT_EQ(harness_.ResumeAt("bob", "phone", {kDirect, epoch, 3}).resume, Resume::kOk) << "below what is left";
  EXPECT_EQ(harness_.Commit(Got(kDirect, "bob", "phone", 0, 20)).got, 20u);
  EXPECT_EQ(PullAll("bob", "phone").items.size(), 10u);
}

TEST_F(LogRetention, AFailedOrTornRemovalChangesNothing) {
  for (const FaultKv::Fate fate : {FaultKv::Fate::kLost, FaultKv::Fate::kKept}) {
    harness_ = EmbeddedLogHarness();
    Keep({.messages = 2});
    SendAll(1, 6);
    harness_.disk().FailWrite(1, fate);
    const int64_t retry_ms = harness_.log().Retain(harness_.now_ms);
    EXPECT_EQ(retry_ms, 1000);
    harness_.now_ms += retry_ms;
    EXPECT_EQ(harness_.Commit(Send(kDirect, "ann", "phone", 7)).seq, 7u) << "recovered by the next commit";
    const Page page = PullAll("bob", "phone");
    if (fate == FaultKv::Fate::kLost) {
      EXPECT_EQ(page.items.size(), 7u);
    } else {
      ExpectExpired(page.items.at(0), 1, 4);
      EXPECT_EQ(page.items.size(), 4u);
    }
    Round();
    ExpectExpired(PullAll("bob", "phone").items.at(0), 1, 5);
  }
}

TEST_F(LogRetention, APowerCutBetweenTwoSlicesLeavesWholeSlices) {
  for (size_t survive = 0; survive <= 4; ++survive) {
    harness_ = EmbeddedLogHarness();
    RetentionOptions retention{.messages = 10};
    retention.slice_work = 200;
    Keep(retention);
    SendAll(1, 1000);
    const uint64_t epoch = harness_.View("bob", "phone", kDirect).epoch;
    harness_.disk().Crash(harness_.disk().unsynced.size());
    for (int slices = 0; slices < 4; ++slices) (void)harness_.log().Retain(harness_.now_ms);
    const uint64_t removed = harness_.log().counters().removed_messages;
    EXPECT_GT(removed, 0u);
    EXPECT_LT(removed, 990u) << "one slice is not all";
    harness_.disk().Crash(survive);
    harness_.Open();
    const Page page = PullAll("bob", "phone");
    uint64_t next = 1;
    if (page.items.at(0).is_hole()) {
      EXPECT_EQ(page.items[0].hole.span.from, 1u);
      next = page.items[0].hole.span.to + 1;
    }
    EXPECT_LE(next, removed + 1);
    for (size_t i = page.items[0].is_hole() ? 1 : 0; i < page.items.size(); ++i) {
      EXPECT_EQ(page.items[i].message.seq, next++);
    }
    EXPECT_EQ(harness_.View("bob", "phone", kDirect).epoch, epoch);
    EXPECT_EQ(harness_.Commit(Send(kDirect, "ann", "phone", 1001)).seq, 1001u);
    Round();
    ExpectExpired(PullAll("bob", "phone").items.at(0), 1, 991);
  }
}

TEST_F(LogRetention, NoSliceTakesMoreThanItsWork) {
  RetentionOptions retention{.messages = 1};
  retention.slice_work = 200;
  Keep(retention);
  for (int conv = 0; conv < 200; ++conv) {
    harness_.Commit(Send("dm:ann:user" + std::to_string(conv), "ann", "phone", 1));
  }
  SendAll(1, 500);
  const uint64_t cached = harness_.log().counters().cached_conversations;
  uint64_t removed = 0;
  int slices = 0;
  while (harness_.log().counters().retention_runs == 0) {
    (void)harness_.log().Retain(harness_.now_ms);
    const uint64_t now = harness_.log().counters().removed_messages;
    EXPECT_LE(now - removed, 200u);
    removed = now;
    ++slices;
  }
  EXPECT_EQ(removed, 499u);
  EXPECT_GE(slices, 200 * 8 / 200);
  EXPECT_LE(harness_.log().counters().cached_conversations, cached) << "a round does not fill the cache";
}

TEST_F(LogRetention, AnEpochThatBeginsLaterKeepsTheFloor) {
  Keep({.messages = 5});
  SendAll(1, 20);
  Round();
  const uint64_t epoch = harness_.View("bob", "phone", kDirect).epoch;
  harness_.new_epochs = true;
  harness_.Open();
  harness_.new_epochs = false;
  const Page page = PullAll("bob", "phone");
  ExpectExpired(page.items.at(0), 1, 15);
  EXPECT_GT(page.items.at(0).hole.span.epoch, epoch);
  EXPECT_EQ(harness_.ResumeAt("bob", "phone", {kDirect, epoch, 3}).resume, Resume::kOk);
  EXPECT_EQ(harness_.Commit(Send(kDirect, "ann", "phone", 20, "annmessage-20")).epoch, epoch) << "the first answer's";
}

}  // namespace
}  // namespace everyonce::test
