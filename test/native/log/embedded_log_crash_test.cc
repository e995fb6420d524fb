// Failed writes, crashes and reopening: nothing acked is lost, nothing unknown is told as known.

#include <set>

#include "log/embedded_log_harness.h"
#include "support/seed.h"

namespace everyonce::test {
namespace {

TEST(EmbeddedLogCrash, AFailedWriteIsUnknownAndTheSameAgainTells) {
  for (const FaultKv::Fate fate : {FaultKv::Fate::kLost, FaultKv::Fate::kKept}) {
    EmbeddedLogHarness harness;
    const Outcome before = harness.Commit(Send(kDirect, "ann", "phone", 1));
    harness.disk().FailWrite(1, fate);
    std::vector<Outcome> seen = harness.CommitAll({
        Send(kDirect, "ann", "phone", 2),
        Send(kDirect, "ann", "phone", 1),
        Send("dm:ann:cid", "ann", "phone", 2),
        Read(kDirect, "bob", "phone", 1),
    });
    EXPECT_EQ(seen[0].code, Code::kUnavailable);
    EXPECT_EQ(seen[0].retry_ms, 1000);
    EXPECT_EQ(seen[1].code, Code::kUnavailable) << "its conversation was changed";
    EXPECT_EQ(seen[2].code, Code::kUnknownProducer) << "rests on nothing that failed";
    EXPECT_EQ(seen[3].code, Code::kUnavailable);
    const Outcome again = harness.Commit(Send(kDirect, "ann", "phone", 2));
    EXPECT_EQ(again.code, Code::kOk);
    EXPECT_EQ(again.seq, 2u);
    EXPECT_EQ(again.duplicate, fate == FaultKv::Fate::kKept);
    EXPECT_GT(again.mid, before.mid);
    EXPECT_EQ(harness.Commit(Send(kDirect, "ann", "phone", 1)).mid, before.mid);
  }
}

// A higher incarnation that refuses a command may be the failed group's own: then it never was, and the refused device
// must not be closed for it.
TEST(EmbeddedLogCrash, AFailedGroupTellsNobodyThatHeIsStale) {
  for (const FaultKv::Fate fate : {FaultKv::Fate::kLost, FaultKv::Fate::kKept}) {
    EmbeddedLogHarness harness;
    harness.Commit(Hello("ann", "phone", 1));
    harness.disk().FailWrite(1, fate);
    const std::vector<Outcome> seen = harness.CommitAll({
        Hello("ann", "phone", 5),
        Send(kDirect, "ann", "phone", 1),
        Skip(kDirect, "ann", "phone", 1, 2),
        Read(kDirect, "ann", "phone", 1),
        Hello("ann", "phone", 4),
    });
    for (size_t i = 0; i < seen.size(); ++i) {
      EXPECT_EQ(seen[i].code, Code::kUnavailable) << i;
      EXPECT_EQ(seen[i].retry_ms, 1000) << i;
      EXPECT_EQ(seen[i].pe, 0u) << i << ": an incarnation that may never have been";
    }
    const bool kept = fate == FaultKv::Fate::kKept;
    const Outcome again = harness.Commit(Send(kDirect, "ann", "phone", 1));
    EXPECT_EQ(again.code, kept ? Code::kStaleDevice : Code::kOk) << "the same again tells";
    EXPECT_EQ(again.seq, kept ? 0u : 1u);
  }
}

TEST(EmbeddedLogCrash, TriesToRecoverAtMostOnceASecond) {
  EmbeddedLogHarness harness;
  harness.Commit(Send(kDirect, "ann", "phone", 1));
  harness.disk().failing_recovers = 2;
  harness.disk().FailWrite(1, FaultKv::Fate::kLost);
  EXPECT_EQ(harness.Commit(Send(kDirect, "ann", "phone", 2)).code, Code::kUnavailable);
  const uint64_t tried = harness.disk().recovers;
  EXPECT_EQ(harness.Commit(Send(kDirect, "ann", "phone", 2)).code, Code::kUnavailable);
  EXPECT_EQ(harness.disk().recovers, tried);
  harness.log().View("ann", "phone", kDirect,
                     [](Status status, const ConversationView&) { EXPECT_EQ(status.code, Code::kUnavailable); });
  harness.now_ms += 1000;
  EXPECT_EQ(harness.Commit(Send(kDirect, "ann", "phone", 2)).code, Code::kUnavailable);
  EXPECT_GT(harness.disk().recovers, tried);
  harness.now_ms += 1000;
  EXPECT_EQ(harness.Commit(Send(kDirect, "ann", "phone", 2)).seq, 2u);
  EXPECT_EQ(harness.View("ann", "phone", kDirect).head, 2u);
}

TEST(EmbeddedLogCrash, ReadFaultsChangeNothing) {
  EmbeddedLogHarness harness;
  harness.Commit(Send(kDirect, "ann", "phone", 1));
  harness.Crash();
  harness.disk().read_fault = Code::kStoreCorrupt;
  EXPECT_EQ(harness.Commit(Send(kDirect, "ann", "phone", 2)).code, Code::kUnavailable);
  harness.disk().read_fault = Code::kOk;
  EXPECT_EQ(harness.Commit(Send(kDirect, "ann", "phone", 2)).seq, 2u);
}

TEST(EmbeddedLogCrash, AReopenedStoreBeginsNewEpochsWhereItMustAndCutsMarks) {
  EmbeddedLogHarness harness;
  harness.Commit(Hello("bob", "phone", 1));
  for (uint64_t n = 1; n <= 5; ++n) harness.Commit(Send(kDirect, "ann", "phone", n));
  harness.CommitAll({Got(kDirect, "bob", "phone", 0, 4), Read(kDirect, "bob", "phone", 3)});
  const uint64_t old_epoch = harness.View("bob", "phone", kDirect).epoch;
  harness.new_epochs = true;
  harness.Open();
  harness.new_epochs = false;
  for (int round = 0; round < 2; ++round) {
    const ConversationView view = harness.View("bob", "phone", kDirect);
    EXPECT_GT(view.epoch, old_epoch);
    EXPECT_EQ(view.head, 5u) << "numbering goes on";
    EXPECT_EQ(view.got, 4u);
    EXPECT_EQ(view.read, 3u);
    EXPECT_EQ(harness.ResumeAt("bob", "phone", {kDirect, old_epoch, 5}).resume, Resume::kOk);
    const ResumeView lost = harness.ResumeAt("bob", "phone", {kDirect, old_epoch, 8});
    EXPECT_EQ(lost.resume, Resume::kTruncated);
    EXPECT_EQ(lost.keep, 5u);
    EXPECT_EQ(harness.ResumeAt("bob", "phone", {kDirect, view.epoch, 5}).resume, Resume::kOk);
    EXPECT_EQ(harness.ResumeAt("bob", "phone", {kDirect, 12345, 1}).resume, Resume::kReset);
    const Outcome old = harness.Commit(Send(kDirect, "ann", "phone", 5));
    EXPECT_TRUE(old.duplicate);
    EXPECT_EQ(old.epoch, old_epoch) << "the first acceptance's";
    harness.Crash();
  }
  EXPECT_EQ(harness.Commit(Send(kDirect, "ann", "phone", 6)).seq, 6u);
}

TEST(EmbeddedLogCrash, ANewEpochIsTheSameHoweverOftenTheProcessDiesBeforeItIsStored) {
  EmbeddedLogHarness harness;
  for (uint64_t n = 1; n <= 3; ++n) harness.Commit(Send(kDirect, "ann", "phone", n));
  const uint64_t old_epoch = harness.View("bob", "phone", kDirect).epoch;
  harness.new_epochs = true;
  harness.Open();
  harness.new_epochs = false;
  const uint64_t told = harness.View("bob", "phone", kDirect).epoch;
  EXPECT_GT(told, old_epoch);
  EXPECT_FALSE(harness.disk().unsynced.empty()) << "telling of it waits for no disk";
  for (int round = 0; round < 3; ++round) {
    harness.now_ms += 5000;
    harness.Crash();
    const ConversationView view = harness.View("bob", "phone", kDirect);
    EXPECT_EQ(view.epoch, told);
    EXPECT_EQ(harness.ResumeAt("bob", "phone", {kDirect, old_epoch, 4}).keep, 3u);
  }
  EXPECT_EQ(harness.Commit(Send(kDirect, "ann", "phone", 4)).epoch, told);
  harness.Crash();
  EXPECT_EQ(harness.ResumeAt("bob", "phone", {kDirect, old_epoch, 4}).keep, 3u);
  EXPECT_EQ(harness.View("bob", "phone", kDirect).head, 4u);
}

TEST(EmbeddedLogCrash, RecoversAlsoWhereAReadHadToWriteAndFailed) {
  EmbeddedLogHarness harness;
  for (uint64_t n = 1; n <= 3; ++n) harness.Commit(Send(kDirect, "ann", "phone", n));
  const uint64_t old_epoch = harness.View("bob", "phone", kDirect).epoch;
  harness.new_epochs = true;
  harness.Open();
  harness.disk().FailWrite(1, FaultKv::Fate::kLost);
  harness.log().View("bob", "phone", kDirect,
                     [](Status status, const ConversationView&) { EXPECT_EQ(status.code, Code::kUnavailable); });
  const ConversationView view = harness.View("bob", "phone", kDirect);
  EXPECT_GT(view.epoch, old_epoch);
  EXPECT_EQ(view.head, 3u);
  EXPECT_EQ(harness.Commit(Send(kDirect, "ann", "phone", 4)).seq, 4u);
}

TEST(EmbeddedLogCrash, WhereNewEpochsCanNotBeWrittenTheLogDoesNotOpen) {
  auto disk = std::make_shared<FaultKv::Disk>();
  disk->FailWrite(1, FaultKv::Fate::kLost);
  Status status;
  EmbeddedLogOptions options;
  options.new_epochs = true;
  EXPECT_EQ(OpenEmbeddedLog(std::make_unique<FaultKv>(disk), options, &status), nullptr);
  EXPECT_EQ(status.code, Code::kUnavailable);
}

// A random load whose writes fail now and then, either way, with crashes: what was told stays, and each n is there
// once.
TEST(EmbeddedLogCrash, NothingToldIsLostUnderFaults) {
  const uint64_t seed = FromEnvironment("EVERYONCE_SEED", 7);
  SCOPED_TRACE("EVERYONCE_SEED=" + std::to_string(seed));
  Random random(seed);
  EmbeddedLogHarness harness;
  harness.cache_conversations = 2;
  struct Sender {
    std::string conv, user, device;
    uint64_t next = 1;
    std::map<uint64_t, Outcome> told;
  };
  std::vector<Sender> senders;
  for (const char* conv : {"dm:ann:bob", "dm:ann:cid", "dm:bob:cid", "dm:ann:dee"}) {
    for (const char* device : {"phone", "laptop"}) senders.push_back({conv, std::string(conv + 3, 3), device, 1, {}});
  }
  for (int step = 0; step < 1500; ++step) {
    std::vector<Command> group;
    std::vector<std::pair<Sender*, uint64_t>> sent;
    for (uint64_t i = random.Below(12) + 1; i > 0; --i) {
      Sender& sender = random.Pick(senders);
      const uint64_t n = sender.next > 1 && random.OneIn(3) ? random.Between(1, sender.next - 1) : sender.next;
      group.push_back(Send(sender.conv, sender.user, sender.device, n));
      if (n % 17 == 0) group.back().refused = Code::kForbidden;
      if (n == sender.next) ++sender.next;
      sent.emplace_back(&sender, n);
    }
    if (random.OneIn(6)) harness.disk().FailWrite(1, random.OneIn(2) ? FaultKv::Fate::kKept : FaultKv::Fate::kLost);
    const std::vector<Outcome> seen = harness.CommitAll(group);
    for (size_t i = 0; i < seen.size(); ++i) {
      auto [sender, n] = sent[i];
      if (seen[i].code == Code::kUnavailable || seen[i].code == Code::kGap || seen[i].code == Code::kUnknownProducer) {
        sender->next = std::min(sender->next, n);  // go back and send it again
        continue;
      }
      ASSERT_EQ(seen[i].code, n % 17 == 0 ? Code::kForbidden : Code::kOk) << seen[i].message;
      const auto [told, fresh] = sender->told.emplace(n, seen[i]);
      EXPECT_EQ(told->second.seq, seen[i].seq);
      EXPECT_EQ(told->second.mid, seen[i].mid);
      EXPECT_EQ(told->second.at_ms, seen[i].at_ms);
    }
    harness.now_ms += 1000;
    if (random.OneIn(10)) harness.Crash();
  }
  harness.disk().fail_in = 0;
  // What was kept and never told is told to who sends it again; the first that is not a duplicate ends it.
  for (Sender& sender : senders) {
    for (bool fresh = false; !fresh; ++sender.next) {
      const Outcome seen = harness.Commit(Send(sender.conv, sender.user, sender.device, sender.next));
      ASSERT_TRUE(seen.code == Code::kOk || seen.code == Code::kForbidden) << seen.message << sender.next;
      fresh = seen.code == Code::kOk && !seen.duplicate;
      sender.told.emplace(sender.next, seen);
    }
  }
  std::map<std::string, std::set<uint64_t>> seqs;
  for (Sender& sender : senders) {
    EXPECT_GT(sender.told.size(), 100u) << "too tame";
    for (const auto& [n, told] : sender.told) {
      const Outcome again = harness.Commit(Send(sender.conv, sender.user, sender.device, n));
      EXPECT_EQ(again.code, told.code) << n;
      EXPECT_EQ(again.seq, told.seq) << n;
      EXPECT_EQ(again.mid, told.mid) << n;
      if (told.code == Code::kOk) {
        EXPECT_TRUE(seqs[sender.conv].insert(told.seq).second) << "two messages under one seq";
      }
    }
  }
  for (const auto& [conv, used] : seqs) {
    const std::string user = conv.substr(3, 3);
    EXPECT_EQ(harness.View(user, "", conv).head, *used.rbegin()) << "dense, and nothing untold above";
    EXPECT_EQ(used.size(), *used.rbegin());
  }
}

}  // namespace
}  // namespace everyonce::test
