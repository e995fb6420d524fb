// Packages in the log: all parts or none, one n for all of them, known for ever.

#include "log/embedded_log_harness.h"

namespace everyonce::test {
namespace {

std::string PartId(uint64_t n, size_t index) { return IdOf(n) + "_" + std::to_string(index); }

Command PackageOf(uint64_t n, size_t total, const std::string& conv = kDirect) {
  Command command = Send(conv, "ann", "phone", n);
  command.id.clear();
  command.body.clear();
  command.package_id = "P" + std::to_string(n);
  for (size_t i = 0; i < total; ++i) command.parts.push_back({PartId(n, i), "text", std::to_string(i)});
  return command;
}
// One part on its way, as the engine asks about it.
Command PartOf(uint64_t n, const std::string& id) {
  Command command = Send(kDirect, "ann", "phone", n, id);
  command.package_id = "P" + std::to_string(n);
  return command;
}

TEST(EmbeddedLogPackage, StoresItsPartsUnderConsecutiveSeqsAndOneN) {
  EmbeddedLogHarness harness;
  harness.Commit(Send(kDirect, "ann", "phone", 1));
  const Outcome stored = harness.Commit(PackageOf(2, 3));
  EXPECT_EQ(stored.code, Code::kOk);
  EXPECT_EQ(stored.seq, 2u);
  ASSERT_EQ(stored.mids.size(), 3u);
  EXPECT_EQ(harness.View("bob", "phone", kDirect).head, 4u);
  EXPECT_EQ(harness.View("bob", "phone", kDirect).unread, 4u);
  EXPECT_EQ(harness.Commit(Send(kDirect, "ann", "phone", 3)).seq, 5u) << "n counts once for the package";
  const Page page = harness.Pull({.user = "bob", .device = "phone", .conv = kDirect, .limit = 10});
  ASSERT_EQ(page.items.size(), 5u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(page.items[1 + i].message.id, PartId(2, i));
    EXPECT_EQ(page.items[1 + i].message.body, std::to_string(i));
    EXPECT_EQ(page.items[1 + i].message.mid, stored.mids[i]);
  }
}

TEST(EmbeddedLogPackage, APartOnItsWayIsDecidedAndNotStored) {
  EmbeddedLogHarness harness;
  EXPECT_EQ(harness.Commit(PartOf(2, "part-0-of-2")).code, Code::kUnknownProducer);
  harness.Commit(Send(kDirect, "ann", "phone", 1));
  const Outcome held = harness.Commit(PartOf(2, "part-0-of-2"));
  EXPECT_EQ(held.code, Code::kOk);
  EXPECT_EQ(held.seq, 0u);
  EXPECT_EQ(harness.Commit(PartOf(3, "part-0-of-2")).code, Code::kGap);
  EXPECT_EQ(harness.Commit(PartOf(1, IdOf(1))).seq, 1u) << "a duplicate";
  EXPECT_EQ(harness.Commit(PartOf(1, "another-id")).code, Code::kConflict);
  EXPECT_EQ(harness.Commit(PartOf(2, IdOf(1))).code, Code::kConflict) << "an id of before under a new n";
  Command stranger = PartOf(1, "part-0-of-2");
  stranger.user = "eve";
  EXPECT_EQ(harness.Commit(stranger).code, Code::kUnknownConv);
  EXPECT_EQ(harness.View("bob", "phone", kDirect).head, 1u);
}

// For each distance that a duplicate may come from: in the window, from a block, after a restart.
TEST(EmbeddedLogPackage, EveryPartIsADuplicateForEver) {
  EmbeddedLogHarness harness;
  std::map<std::string, std::pair<uint64_t, uint64_t>> stored;  // id → seq, mid
  std::map<std::string, uint64_t> n_of;
  for (uint64_t n = 1; n <= 150; ++n) {
    if (n % 3 != 0) {
      harness.Commit(Send(kDirect, "ann", "phone", n));
      continue;
    }
    const size_t total = 2 + n % 5;
    const Outcome outcome = harness.Commit(PackageOf(n, total));
    ASSERT_EQ(outcome.code, Code::kOk);
    for (size_t i = 0; i < total; ++i) {
      stored[PartId(n, i)] = {outcome.seq + i, outcome.mids[i]};
      n_of[PartId(n, i)] = n;
    }
  }
  const uint64_t head = harness.View("bob", "phone", kDirect).head;
  for (int round = 0; round < 2; ++round) {
    for (const auto& [id, place] : stored) {
      const Outcome again = harness.Commit(PartOf(n_of[id], id));
      ASSERT_EQ(again.code, Code::kOk) << id << " " << again.message;
      EXPECT_TRUE(again.duplicate);
      EXPECT_EQ(again.seq, place.first);
      EXPECT_EQ(again.mid, place.second);
    }
    for (const uint64_t n : {uint64_t{3}, uint64_t{63}, uint64_t{150}}) {
      EXPECT_EQ(harness.Commit(PartOf(n, "not-one-of-them")).code, Code::kConflict) << n;
      const Outcome whole = harness.Commit(PackageOf(n, 2 + n % 5));
      EXPECT_TRUE(whole.duplicate);
      EXPECT_EQ(whole.seq, stored[PartId(n, 0)].first);
      EXPECT_EQ(whole.mids.size(), 2 + n % 5);
    }
    EXPECT_EQ(harness.Commit(PartOf(151, PartId(150, 1))).code, Code::kConflict) << "its id under a new n";
    EXPECT_EQ(harness.View("bob", "phone", kDirect).head, head);
    harness.Crash();
  }
}

TEST(EmbeddedLogPackage, StatusFindsPartsByTheirIds) {
  EmbeddedLogHarness harness;
  for (uint64_t n = 1; n <= 140; ++n) harness.Commit(n % 70 == 0 ? PackageOf(n, 3) : Send(kDirect, "ann", "phone", n));
  for (int round = 0; round < 2; ++round) {
    const StatusAnswer answer = harness.StatusOf(
        kDirect, "ann", "phone", {PartId(70, 2), PartId(140, 0), PartId(140, 1), IdOf(1), "never-sent"});
    ASSERT_EQ(answer.found.size(), 4u);
    for (const StatusFound& found : answer.found) {
      const Outcome same = harness.Commit(PartOf(found.n, found.id));
      EXPECT_EQ(same.seq, found.seq) << found.id;
      EXPECT_EQ(same.mid, found.mid);
    }
    harness.Crash();
  }
}

TEST(EmbeddedLogPackage, ARefusalIsFinalForAllItsPartsAndForThoseThatComeLater) {
  EmbeddedLogHarness harness;
  Command refused = PackageOf(1, 3);
  refused.parts.pop_back();
  refused.refused = Code::kTooLarge;
  refused.refused_message = "too large";
  EXPECT_EQ(harness.Commit(refused).code, Code::kTooLarge);
  const auto ask_all = [&](const std::string& message) {
    for (size_t i = 0; i < 3; ++i) {
      const Outcome again = harness.Commit(PartOf(1, PartId(1, i)));
      EXPECT_EQ(again.code, Code::kTooLarge) << i;
      EXPECT_EQ(again.message, message);
    }
    Command other = PartOf(1, "of-another-package");
    other.package_id = "Q";
    EXPECT_EQ(harness.Commit(other).code, Code::kConflict);
  };
  ask_all("too large");
  EXPECT_EQ(harness.Commit(PartOf(2, PartId(1, 0))).code, Code::kConflict) << "its id under a new n";
  harness.Crash();
  ask_all("too large");
  for (uint64_t n = 2; n <= 140; ++n) EXPECT_EQ(harness.Commit(Send(kDirect, "ann", "phone", n)).seq, n - 1);
  ask_all("refused before");
  harness.Crash();
  ask_all("refused before");
}

// The write of the package's group fails, either way: all of it is there, or none of it.
TEST(EmbeddedLogPackage, ACrashLeavesAllPartsOrNone) {
  for (const FaultKv::Fate fate : {FaultKv::Fate::kLost, FaultKv::Fate::kKept}) {
    for (const uint64_t before : {0u, 1u, 62u, 63u, 64u, 126u, 127u, 128u, 129u}) {  // around blocks and snapshots
      EmbeddedLogHarness harness;
      for (uint64_t n = 1; n <= before; ++n) harness.Commit(Send(kDirect, "ann", "phone", n));
      harness.disk().FailWrite(1, fate);
      EXPECT_EQ(harness.Commit(PackageOf(before + 1, 5)).code, Code::kUnavailable);
      harness.Crash();
      const bool kept = fate == FaultKv::Fate::kKept;
      EXPECT_EQ(harness.View("bob", "phone", kDirect).head, before + (kept ? 5 : 0));
      const Outcome again = harness.Commit(PackageOf(before + 1, 5));
      EXPECT_EQ(again.code, Code::kOk) << again.message;
      EXPECT_EQ(again.duplicate, kept);
      EXPECT_EQ(again.seq, before + 1);
      harness.Crash();
      EXPECT_EQ(harness.Commit(Send(kDirect, "ann", "phone", before + 2)).seq, before + 6) << "last is right";
      harness.Crash();
      EXPECT_TRUE(harness.Commit(PartOf(before + 1, PartId(before + 1, 4))).duplicate);
      EXPECT_EQ(harness.View("ann", "phone", kDirect).got, before + 6) << "its own messages, all of them";
    }
  }
}

TEST(EmbeddedLogPackage, TwoInARowAreTwo) {
  EmbeddedLogHarness harness;
  harness.CommitAll({PackageOf(1, 2), PackageOf(2, 256), Send(kDirect, "ann", "phone", 3)});
  harness.Crash();
  EXPECT_EQ(harness.Commit(PartOf(1, PartId(1, 1))).seq, 2u);
  EXPECT_EQ(harness.Commit(PartOf(2, PartId(2, 255))).seq, 258u);
  EXPECT_EQ(harness.Commit(Send(kDirect, "ann", "phone", 4)).seq, 260u);
}

}  // namespace
}  // namespace everyonce::test
