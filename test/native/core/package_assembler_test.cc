#include "core/package_assembler.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "support/seed.h"

namespace everyonce::test {
namespace {

using Verdict = PackageAssembler::Verdict;
using Reason = PackageAssembler::Reason;

PackageAssembler::Outcome Push(PackageAssembler* packages, const std::string& id, uint32_t index, uint32_t total,
                               const std::string& body = "x", int64_t now_ms = 0, const std::string& source = "") {
  return packages->Push(source, id, index, total, "", body, now_ms);
}

TEST(PackageAssembler, APackageThatIsCompleteStaysKnown) {
  PackageAssembler packages({});
  EXPECT_EQ(Push(&packages, "p", 1, 2, "b").verdict, Verdict::kHeld);
  EXPECT_EQ(Push(&packages, "p", 1, 2, "b").verdict, Verdict::kDuplicate);
  const auto last = Push(&packages, "p", 0, 2, "a");
  EXPECT_EQ(last.verdict, Verdict::kComplete);
  EXPECT_EQ(last.taken.parts.at(0).body + last.taken.parts.at(1).body, "ab");
  EXPECT_EQ(Push(&packages, "p", 0, 2, "a").verdict, Verdict::kDuplicate);
  EXPECT_EQ(packages.packages().packages(), 0u);
}

TEST(PackageAssembler, TellsWhatIsMissingRoundAfterRoundAndThenGivesUp) {
  PackageAssembler packages({.timeout_ms = 100, .retries = 2});
  Push(&packages, "p", 1, 4, "b", 10);
  Push(&packages, "p", 3, 4, "d", 90);
  for (uint32_t round = 1; round <= 3; ++round) {
    EXPECT_EQ(packages.NextDeadline(), 10 + 100 * round);
    EXPECT_TRUE(packages.Expire(9 + 100 * round).empty());
    const auto told = packages.Expire(10 + 100 * round);
    ASSERT_EQ(told.size(), 1u);
    EXPECT_EQ(told[0].id, "p");
    EXPECT_EQ(told[0].missing, (std::vector<uint32_t>{0, 2}));
    EXPECT_EQ(told[0].round, round);
    EXPECT_EQ(told[0].is_over, round == 3);
    EXPECT_EQ(packages.packages().bytes(), round == 3 ? 0u : 2u);
  }
  EXPECT_EQ(Push(&packages, "p", 0, 4, "a", 400).verdict, Verdict::kLate);
}

TEST(PackageAssembler, ARetriedRoundCanComplete) {
  PackageAssembler packages({.timeout_ms = 100, .retries = 1});
  Push(&packages, "p", 0, 2, "a", 0);
  EXPECT_EQ(packages.Expire(100).size(), 1u);
  EXPECT_EQ(Push(&packages, "p", 1, 2, "b", 150).verdict, Verdict::kComplete);
  EXPECT_TRUE(packages.Expire(1000).empty());
}

TEST(PackageAssembler, AContradictionRefusesThePackageForGood) {
  const std::vector<std::pair<uint32_t, std::string>> contradictions = {{2, "other"}, {3, "a"}};
  for (const auto& [total, body] : contradictions) {
    PackageAssembler packages({});
    Push(&packages, "p", 0, 2, "a");
    const auto outcome = Push(&packages, "p", 0, total, body);
    EXPECT_EQ(outcome.verdict, Verdict::kRefused);
    EXPECT_EQ(outcome.reason, Reason::kContradiction);
    EXPECT_EQ(PackageAssembler::MissingOf(outcome.taken), std::vector<uint32_t>{1});
    EXPECT_EQ(packages.packages().bytes(), 0u);
    EXPECT_EQ(Push(&packages, "p", 1, 2).reason, Reason::kRefusedBefore);
  }
  PackageAssembler packages({});
  packages.Push("", "p", 0, 2, "s", "a", 0);
  EXPECT_EQ(packages.Push("", "p", 0, 2, "b", "a", 0).reason, Reason::kContradiction) << "the kind counts, too";
}

TEST(PackageAssembler, OneSourceCanNotTouchAnothers) {
  PackageAssembler packages({});
  Push(&packages, "p", 0, 2, "a", 0, "ann");
  EXPECT_EQ(Push(&packages, "p", 0, 5, "evil", 0, "eve").verdict, Verdict::kHeld);
  EXPECT_EQ(Push(&packages, "p", 0, 6, "evil", 0, "eve").reason, Reason::kContradiction);
  EXPECT_EQ(Push(&packages, "p", 1, 2, "b", 0, "ann").verdict, Verdict::kComplete);
  // Nor by a name that reads the same when it is put together.
  Push(&packages, "bc", 0, 2, "a", 0, "a");
  EXPECT_EQ(Push(&packages, "c", 1, 2, "b", 0, "ab").verdict, Verdict::kHeld);
}

TEST(PackageAssembler, APartWithoutRoomIsRefusedAndTheRestStays) {
  PackageLimits limits;
  limits.user_bytes = limits.server_bytes = 10;
  limits.package_bytes = 8;
  PackageAssembler packages({.limits = limits});
  Push(&packages, "p", 0, 2, "aaaa");
  Push(&packages, "q", 0, 2, "bbbb");
  EXPECT_EQ(Push(&packages, "p", 1, 2, "aaaa").reason, Reason::kNoRoom);
  EXPECT_EQ(Push(&packages, "q", 1, 2, "bb").verdict, Verdict::kComplete);
  EXPECT_EQ(Push(&packages, "p", 1, 2, "aaaa").verdict, Verdict::kComplete) << "when there is room again";
  EXPECT_EQ(Push(&packages, "r", 0, 1, "123456789").reason, Reason::kTooLarge);
  EXPECT_EQ(Push(&packages, "r", 0, 1, "1").reason, Reason::kRefusedBefore);
}

TEST(PackageAssembler, RefusesImpossibleNumbers) {
  PackageAssembler packages({});
  EXPECT_EQ(Push(&packages, "p", 2, 2).reason, Reason::kBadIndex);
  EXPECT_EQ(Push(&packages, "p", 0, 0).reason, Reason::kBadIndex);
  EXPECT_EQ(Push(&packages, "p", 0, UINT32_MAX).reason, Reason::kBadIndex);
  EXPECT_EQ(packages.packages().packages(), 0u);
}

TEST(PackageAssembler, KeepsAsManyTombstonesAsItMay) {
  PackageAssembler packages({.max_tombstones = 3});
  for (const char* id : {"1", "2", "3", "4"}) Push(&packages, id, 0, 1);
  EXPECT_EQ(packages.tombstones(), 3u);
  EXPECT_EQ(Push(&packages, "2", 0, 1).verdict, Verdict::kDuplicate);
  EXPECT_EQ(Push(&packages, "1", 0, 1).verdict, Verdict::kComplete) << "forgotten";
}

// Whatever comes: a package completes at most once, with the bytes that were first given for each index; and nothing is
// held beyond the limits.
TEST(PackageAssembler, CompletesOnceOrNeverUnderAnyOrder) {
  const uint64_t seed = FromEnvironment("EVERYONCE_SEED", 11);
  SCOPED_TRACE("EVERYONCE_SEED=" + std::to_string(seed));
  Random random(seed);
  PackageLimits limits;
  limits.user_packages = 6;
  limits.server_packages = 10;
  limits.user_bytes = 200;
  limits.server_bytes = 300;
  PackageAssembler packages({.limits = limits, .timeout_ms = 60, .retries = 1, .max_tombstones = SIZE_MAX});
  std::map<std::string, std::set<std::string>> ends;
  int64_t now_ms = 0;
  std::map<Verdict, int> seen;
  for (int step = 0; step < 100000; ++step) {
    now_ms += static_cast<int64_t>(random.Below(3));
    const uint64_t newest = static_cast<uint64_t>(step) / 40;
    const uint64_t which = newest - std::min(newest, random.Below(6));
    const std::string id = std::to_string(which);
    const std::string source = which % 2 == 0 ? "ann" : "bob";
    const auto total = static_cast<uint32_t>(1 + which % 7 + (random.OneIn(200) ? 1 : 0));
    const auto index = static_cast<uint32_t>(random.Below(total));
    const std::string body = id + ":" + std::to_string(index) + (random.OneIn(200) ? "!" : "");
    const auto outcome = Push(&packages, id, index, total, body, now_ms, source);
    ++seen[outcome.verdict];
    if (outcome.verdict == Verdict::kComplete) {
      ASSERT_EQ(outcome.taken.parts.size(), outcome.taken.total);
      for (const auto& [at, part] : outcome.taken.parts)
        ASSERT_EQ(part.body.rfind(id + ":" + std::to_string(at), 0), 0u);
      ASSERT_TRUE(ends[id].empty());
      ends[id].insert("complete");
    }
    if (outcome.verdict == Verdict::kLate) {
      ASSERT_TRUE(ends[id].contains("expired"));
    }
    if (outcome.reason == Reason::kContradiction) {
      ASSERT_TRUE(ends[id].empty());
      ends[id].insert("refused");
    }
    for (const auto& incomplete : packages.Expire(now_ms)) {
      ASSERT_FALSE(incomplete.missing.empty());
      ASSERT_TRUE(ends[incomplete.id].empty());
      if (incomplete.is_over) ends[incomplete.id].insert("expired");
    }
    ASSERT_LE(packages.packages().packages(), limits.server_packages);
    ASSERT_LE(packages.packages().bytes(), limits.server_bytes);
  }
  for (int verdict = 0; verdict < 5; ++verdict) EXPECT_GT(seen[static_cast<Verdict>(verdict)], 100) << verdict;
}

}  // namespace
}  // namespace everyonce::test
