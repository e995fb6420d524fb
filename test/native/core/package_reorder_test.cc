#include "core/package_reorder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "support/seed.h"

namespace everyonce::test {
namespace {

using Verdict = PackageReorder::Verdict;

HeldPart Part(const std::string& id, const std::string& body = "1", uint64_t source = 1) {
  return {id, "text", body, source};
}

struct Offered {
  Verdict verdict;
  HeldPackage taken;
};

Offered Offer(PackageReorder* reorder, const std::string& key, uint32_t index, uint32_t total, HeldPart part,
              int64_t now_ms = 0, const std::string& id = "P", const std::string& owner = "ann") {
  Offered offered;
  offered.verdict = reorder->Offer(key, owner, id, index, total, &part, now_ms, &offered.taken);
  return offered;
}

TEST(PackageReorder, GivesAllPartsInOrderWhenTheLastOneComes) {
  PackageReorder reorder({}, 5000);
  EXPECT_EQ(Offer(&reorder, "k", 2, 3, Part("c", "3")).verdict, Verdict::kHeld);
  EXPECT_EQ(Offer(&reorder, "k", 0, 3, Part("a", "1")).verdict, Verdict::kHeld);
  const Offered last = Offer(&reorder, "k", 1, 3, Part("b", "2"));
  EXPECT_EQ(last.verdict, Verdict::kComplete);
  std::string bodies;
  for (const auto& [index, part] : last.taken.parts) bodies += part.body;
  EXPECT_EQ(bodies, "123");
  EXPECT_EQ(reorder.packages() + reorder.parts() + reorder.bytes(), 0u);
  EXPECT_EQ(reorder.NextDeadline(), INT64_MAX);
  EXPECT_EQ(Offer(&reorder, "k", 0, 1, Part("a")).verdict, Verdict::kComplete) << "one part is a package, too";
}

TEST(PackageReorder, TheFirstPartSetsTheDeadlineForGood) {
  PackageReorder reorder({}, 5000);
  Offer(&reorder, "k", 0, 3, Part("a"), 100);
  Offer(&reorder, "k", 1, 3, Part("b"), 5000);
  EXPECT_EQ(Offer(&reorder, "k", 1, 3, Part("b"), 5050).verdict, Verdict::kRepeat);
  EXPECT_EQ(reorder.NextDeadline(), 5100);
  EXPECT_TRUE(reorder.Expire(5099).empty());
  const std::vector<HeldPackage> expired = reorder.Expire(5100);
  ASSERT_EQ(expired.size(), 1u);
  EXPECT_EQ(expired[0].parts.size(), 2u);
  EXPECT_EQ(reorder.packages(), 0u);
}

TEST(PackageReorder, CountsWhatOneSourceRepeatsAndBeginsAnewForTheNext) {
  PackageReorder reorder({}, 5000);
  Offer(&reorder, "k", 0, 2, Part("a", "1", 7));
  Offer(&reorder, "k", 0, 2, Part("a", "1", 7));
  EXPECT_EQ(reorder.Find("k")->parts.at(0).receipts, 2u);
  Offer(&reorder, "k", 0, 2, Part("a", "1", 8));
  EXPECT_EQ(reorder.Find("k")->parts.at(0).receipts, 1u);
  EXPECT_EQ(reorder.Find("k")->parts.at(0).source, 8u);
}

TEST(PackageReorder, AContradictionGivesUpThePackage) {
  const std::vector<std::pair<uint32_t, HeldPart>> contradictions = {
      {0, Part("a", "other body")}, {0, Part("other id")}, {1, Part("a")}, {0, {"a", "other", "1", 1}}};
  for (const auto& [index, part] : contradictions) {
    PackageReorder reorder({}, 5000);
    Offer(&reorder, "k", 0, 3, Part("a"));
    const Offered offered = Offer(&reorder, "k", index, 3, part);
    EXPECT_EQ(offered.verdict, Verdict::kContradicts);
    EXPECT_EQ(offered.taken.parts.size(), 1u);
    EXPECT_EQ(reorder.packages(), 0u);
  }
  PackageReorder reorder({}, 5000);
  Offer(&reorder, "k", 0, 3, Part("a"));
  EXPECT_EQ(Offer(&reorder, "k", 1, 4, Part("b")).verdict, Verdict::kContradicts) << "another total";
}

TEST(PackageReorder, AnotherPackageUnderTheSameKeyIsNotMixedIn) {
  PackageReorder reorder({}, 5000);
  Offer(&reorder, "k", 0, 2, Part("a"));
  EXPECT_EQ(Offer(&reorder, "k", 1, 2, Part("b"), 0, "Q").verdict, Verdict::kOther);
  EXPECT_EQ(Offer(&reorder, "k", 1, 2, Part("b"), 0, "P", "bob").verdict, Verdict::kOther) << "another's";
  EXPECT_EQ(Offer(&reorder, "k", 1, 2, Part("b")).verdict, Verdict::kComplete);
}

TEST(PackageReorder, ABodyTooManyIsTooLargeAndTakesThePackage) {
  PackageLimits limits;
  limits.package_bytes = 10;
  PackageReorder reorder(limits, 5000);
  EXPECT_EQ(Offer(&reorder, "k", 0, 2, Part("a", "12345")).verdict, Verdict::kHeld);
  const Offered offered = Offer(&reorder, "k", 1, 2, Part("b", "123456"));
  EXPECT_EQ(offered.verdict, Verdict::kTooLarge);
  EXPECT_EQ(offered.taken.parts.size(), 1u);
  EXPECT_EQ(reorder.bytes(), 0u);
}

// The rules once more, as slow as they are plain: everything is counted anew each time.
class NaiveReorder {
 public:
  NaiveReorder(PackageLimits limits, int64_t timeout_ms) : limits_(limits), timeout_ms_(timeout_ms) {}

  Verdict Offer(const std::string& key, const std::string& owner, const std::string& id, uint32_t index, uint32_t total,
                const HeldPart& part, int64_t now_ms, std::vector<std::string>* taken) {
    taken->clear();
    auto known = std::find_if(held_.begin(), held_.end(), [&](const Package& package) { return package.key == key; });
    if (known != held_.end()) {
      if (known->owner != owner || known->id != id) return Verdict::kOther;
      const bool there = known->parts.size() > index && known->parts[index];
      if (known->total == total && there && known->parts[index]->id == part.id &&
          known->parts[index]->body == part.body) {
        return Verdict::kRepeat;
      }
      bool contradicts = known->total != total || there;
      for (const auto& held : known->parts) contradicts |= held && held->id == part.id;
      if (contradicts) return GiveUp(known, taken, Verdict::kContradicts);
    }
    size_t packages = known == held_.end() ? 1 : 0, parts = 1, bytes = part.body.size();
    size_t user_packages = packages, user_parts = parts, user_bytes = bytes;
    for (const Package& package : held_) {
      const size_t own = package.owner == owner ? 1 : 0;
      packages += 1;
      user_packages += own;
      for (const auto& held : package.parts) {
        if (!held) continue;
        parts += 1;
        bytes += held->body.size();
        user_parts += own;
        user_bytes += own * held->body.size();
      }
    }
    size_t package_bytes = part.body.size();
    if (known != held_.end()) package_bytes += BytesOf(*known);
    if (package_bytes > limits_.package_bytes) return GiveUp(known, taken, Verdict::kTooLarge);
    if (packages > limits_.server_packages || parts > limits_.server_parts || bytes > limits_.server_bytes ||
        user_packages > limits_.user_packages || user_parts > limits_.user_parts || user_bytes > limits_.user_bytes) {
      return GiveUp(known, taken, Verdict::kOverLimit);
    }
    if (known == held_.end()) {
      held_.push_back({key, owner, id, total, now_ms + timeout_ms_, {}});
      known = held_.end() - 1;
      known->parts.resize(total);
    }
    known->parts[index] = part;
    for (const auto& held : known->parts) {
      if (!held) return Verdict::kHeld;
    }
    return GiveUp(known, taken, Verdict::kComplete);
  }

  std::set<std::string> Expire(int64_t now_ms) {
    std::set<std::string> keys;
    for (const Package& package : held_) {
      if (package.deadline_ms <= now_ms) keys.insert(package.key);
    }
    std::erase_if(held_, [&](const Package& package) { return keys.contains(package.key); });
    return keys;
  }
  int64_t NextDeadline() const {
    int64_t next = INT64_MAX;
    for (const Package& package : held_) next = std::min(next, package.deadline_ms);
    return next;
  }
  size_t packages() const { return held_.size(); }

 private:
  struct Package {
    std::string key, owner, id;
    uint32_t total;
    int64_t deadline_ms;
    std::vector<std::optional<HeldPart>> parts;
  };
  static size_t BytesOf(const Package& package) {
    size_t bytes = 0;
    for (const auto& held : package.parts) bytes += held ? held->body.size() : 0;
    return bytes;
  }
  Verdict GiveUp(std::vector<Package>::iterator known, std::vector<std::string>* taken, Verdict verdict) {
    if (known == held_.end()) return verdict;
    for (const auto& held : known->parts) {
      if (held) taken->push_back(held->id);
    }
    held_.erase(known);
    return verdict;
  }

  PackageLimits limits_;
  int64_t timeout_ms_;
  std::vector<Package> held_;
};

TEST(PackageReorder, AgreesWithTheNaiveModel) {
  const uint64_t seed = FromEnvironment("EVERYONCE_SEED", 20261122);
  SCOPED_TRACE("EVERYONCE_SEED=" + std::to_string(seed));
  Random random(seed);
  std::map<Verdict, int> seen;
  for (int round = 0; round < 40; ++round) {
    PackageLimits limits;
    limits.user_packages = random.Between(1, 4);
    limits.user_parts = random.Between(2, 12);
    limits.user_bytes = random.Between(10, 60);
    limits.server_packages = random.Between(2, 8);
    limits.server_parts = random.Between(4, 24);
    limits.server_bytes = random.Between(20, 120);
    limits.package_bytes = random.Between(8, 40);
    PackageReorder reorder(limits, 50);
    NaiveReorder naive(limits, 50);
    int64_t now_ms = 0;
    for (int step = 0; step < 1000; ++step) {
      now_ms += static_cast<int64_t>(random.Below(6));
      const uint64_t which = random.Below(6);
      const std::string key = "k" + std::to_string(which);
      const std::string owner = random.OneIn(20) ? "eve" : which < 3 ? "ann" : "bob";
      const std::string id = random.OneIn(20) ? "Q" : "P";
      const auto total = static_cast<uint32_t>(random.OneIn(20) ? random.Between(1, 5) : 1 + which % 4);
      const auto index = static_cast<uint32_t>(random.Below(total));
      const std::string part_id = "id" + std::to_string(random.OneIn(20) ? random.Below(5) : index);
      HeldPart part = Part(part_id, std::string(random.OneIn(20) ? random.Below(12) : 3 + index, 'x'));
      std::vector<std::string> expected_taken;
      const Verdict expected = naive.Offer(key, owner, id, index, total, part, now_ms, &expected_taken);
      const Offered offered = Offer(&reorder, key, index, total, part, now_ms, id, owner);
      ASSERT_EQ(offered.verdict, expected) << "round " << round << " step " << step;
      std::vector<std::string> taken;
      size_t bytes = 0;
      for (const auto& [at, held] : offered.taken.parts) {
        taken.push_back(held.id);
        bytes += held.body.size();
      }
      ASSERT_EQ(taken, expected_taken);
      ASSERT_EQ(offered.taken.bytes, bytes);
      ++seen[offered.verdict];
      if (random.OneIn(10)) {
        std::set<std::string> expired;
        for (const HeldPackage& package : reorder.Expire(now_ms)) expired.insert(package.key);
        ASSERT_EQ(expired, naive.Expire(now_ms));
      }
      ASSERT_EQ(reorder.NextDeadline(), naive.NextDeadline());
      ASSERT_EQ(reorder.packages(), naive.packages());
    }
    (void)reorder.Expire(INT64_MAX);
    EXPECT_EQ(reorder.packages() + reorder.parts() + reorder.bytes(), 0u);
  }
  for (const Verdict verdict : {Verdict::kHeld, Verdict::kRepeat, Verdict::kComplete, Verdict::kContradicts,
                                Verdict::kTooLarge, Verdict::kOverLimit, Verdict::kOther}) {
    EXPECT_GT(seen[verdict], 20) << "the run is too tame for verdict " << static_cast<int>(verdict);
  }
}

}  // namespace
}  // namespace everyonce::test
