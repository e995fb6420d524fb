#include "core/stream_reorder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/seq_index.h"
#include "support/seed.h"

namespace everyonce::test {
namespace {

using Verdict = StreamReorder::Verdict;
using Gaps = std::vector<SeqRange>;

TEST(StreamReorder, HoldsWhatComesEarlyAndDeliversItWithTheMissingOne) {
  StreamReorder reorder({.start = 5});
  EXPECT_EQ(reorder.Push(5, 1, 0), Verdict::kDeliver);
  EXPECT_EQ(reorder.Push(7, 10, 0), Verdict::kHeld);
  EXPECT_EQ(reorder.Push(8, 20, 0), Verdict::kHeld);
  EXPECT_EQ(reorder.Push(7, 10, 0), Verdict::kDuplicate);
  EXPECT_EQ(reorder.Push(4, 10, 0), Verdict::kDuplicate);
  EXPECT_EQ(reorder.bytes(), 30u);
  EXPECT_EQ(reorder.Push(6, 1, 0), Verdict::kDeliver);
  EXPECT_EQ(reorder.next(), 9u);
  EXPECT_EQ(reorder.held() + reorder.bytes(), 0u);
  EXPECT_EQ(reorder.NextDeadline(), INT64_MAX);
}

TEST(StreamReorder, TellsAGapFromTheFirstArrivalBehindItAndAgainMoreRarely) {
  StreamReorder reorder({.timeout_ms = 500});
  reorder.Push(3, 1, 100);
  reorder.Push(6, 1, 550);
  EXPECT_TRUE(reorder.DueGaps(599).empty());
  EXPECT_EQ(reorder.DueGaps(600), (Gaps{{1, 2}, {4, 5}}));
  EXPECT_TRUE(reorder.DueGaps(600).empty());
  EXPECT_EQ(reorder.NextDeadline(), 1600);
  EXPECT_EQ(reorder.DueGaps(1600).size(), 2u);
  EXPECT_EQ(reorder.NextDeadline(), 3600);
  for (int64_t now = 3600; now < 200000; now = reorder.NextDeadline()) {
    EXPECT_EQ(reorder.DueGaps(now).size(), 2u);
    EXPECT_LE(reorder.NextDeadline() - now, 30000);
  }
  reorder.Push(1, 1, 300000);
  reorder.Push(2, 1, 300000);
  EXPECT_EQ(reorder.NextDeadline(), 300500) << "the next gap has a time of its own";
  EXPECT_EQ(reorder.DueGaps(300500), (Gaps{{4, 5}}));
}

TEST(StreamReorder, WhatIsTooFarOrTooMuchIsNotKeptAndIsPartOfTheGap) {
  StreamReorder reorder({.max_gap = 4, .max_bytes = 10, .timeout_ms = 1});
  EXPECT_EQ(reorder.Push(4, 10, 0), Verdict::kHeld);
  EXPECT_EQ(reorder.Push(3, 1, 0), Verdict::kNoRoom);
  EXPECT_EQ(reorder.Push(5, 0, 0), Verdict::kBeyond);
  EXPECT_EQ(reorder.DueGaps(1), (Gaps{{1, 3}, {5, 5}}));
  EXPECT_EQ(reorder.Push(1, 11, 1), Verdict::kDeliver) << "what goes straight through takes no room";
  EXPECT_EQ(reorder.Push(5, 0, 1), Verdict::kHeld);
  EXPECT_EQ(reorder.Push(1000000, 0, 1), Verdict::kBeyond);
  EXPECT_EQ(reorder.DueGaps(10), (Gaps{{2, 3}, {6, 1000000}}));
}

TEST(StreamReorder, AHoleIsPassedOver) {
  StreamReorder reorder({.max_gap = 8});
  bool is_beyond = false;
  reorder.Push(3, 1, 0);
  reorder.Push(6, 1, 0);
  EXPECT_FALSE(reorder.Hole(4, 5, 0, &is_beyond));
  EXPECT_EQ(reorder.Push(5, 1, 0), Verdict::kDuplicate);
  EXPECT_TRUE(reorder.Hole(1, 2, 0, &is_beyond));
  EXPECT_EQ(reorder.next(), 7u) << "over what is held and over the other hole";
  EXPECT_EQ(reorder.NextDeadline(), INT64_MAX);
  EXPECT_FALSE(reorder.Hole(1, 6, 0, &is_beyond)) << "all of it is behind";
  EXPECT_FALSE(reorder.Hole(9, 100, 0, &is_beyond));
  EXPECT_TRUE(is_beyond);
  reorder.Push(7, 1, 0);
  reorder.Push(8, 1, 0);
  EXPECT_EQ(reorder.next(), 15u);
  EXPECT_TRUE(reorder.Hole(0, 1000000, 0, &is_beyond));
  EXPECT_EQ(reorder.next(), 1000001u);
  EXPECT_EQ(reorder.held() + reorder.bytes(), 0u);
}

TEST(StreamReorder, AgreesWithTheNaiveModel) {
  const uint64_t seed = FromEnvironment("EVERYONCE_SEED", 8);
  SCOPED_TRACE("EVERYONCE_SEED=" + std::to_string(seed));
  Random random(seed);
  std::map<Verdict, int> seen;
  for (int round = 0; round < 50; ++round) {
    const auto max_gap = static_cast<uint32_t>(random.Between(1, 40));
    const size_t max_bytes = random.Between(5, 60);
    StreamReorder reorder({.start = 1, .max_gap = max_gap, .max_bytes = max_bytes, .timeout_ms = 10});
    std::map<uint64_t, size_t> held;
    std::set<uint64_t> holes;
    uint64_t next = 1;
    for (int step = 0; step < 4000; ++step) {
      const uint64_t seq = next + random.Below(max_gap + 3) - std::min<uint64_t>(next, random.Below(3));
      if (random.OneIn(20)) {
        const uint64_t to = seq + random.Below(5);
        bool is_beyond = false;
        const bool moved = reorder.Hole(seq, to, step, &is_beyond);
        for (uint64_t hole = seq; hole <= to; ++hole) {
          if (!held.contains(hole) && (seq <= next || hole < next + max_gap)) holes.insert(hole);
        }
        const uint64_t before = next;
        if (seq <= next && to >= next) {
          for (uint64_t at = next; at <= to; ++at) holes.insert(at);
        }
        while (held.contains(next) || holes.contains(next)) held.erase(next++);
        ASSERT_EQ(moved, next != before) << "round " << round << " step " << step;
      } else {
        const size_t bytes = random.Below(6);
        size_t held_bytes = 0;
        for (const auto& [at, size] : held) held_bytes += size;
        Verdict expected = Verdict::kHeld;
        if (seq < next || held.contains(seq) || holes.contains(seq)) {
          expected = Verdict::kDuplicate;
        } else if (seq == next) {
          expected = Verdict::kDeliver;
        } else if (seq >= next + max_gap) {
          expected = Verdict::kBeyond;
        } else if (held_bytes + bytes > max_bytes) {
          expected = Verdict::kNoRoom;
        }
        ASSERT_EQ(reorder.Push(seq, bytes, step), expected) << "round " << round << " step " << step;
        ++seen[expected];
        if (expected == Verdict::kHeld) held[seq] = bytes;
        if (expected == Verdict::kDeliver) ++next;
        while (held.contains(next) || holes.contains(next)) held.erase(next++);
      }
      ASSERT_EQ(reorder.next(), next) << "round " << round << " step " << step;
      ASSERT_EQ(reorder.held(), held.size());
      for (const SeqRange& gap : reorder.DueGaps(step)) {
        ASSERT_LE(gap.from, gap.to);
        ASSERT_GE(gap.from, next);
        for (uint64_t at = gap.from; at <= std::min(gap.to, next + max_gap - 1); ++at) {
          ASSERT_FALSE(held.contains(at) || holes.contains(at)) << "what is there is not missing";
        }
      }
      if (!held.empty()) {
        ASSERT_NE(reorder.NextDeadline(), INT64_MAX);
      }
    }
  }
  for (int verdict = 0; verdict < 5; ++verdict) EXPECT_GT(seen[static_cast<Verdict>(verdict)], 100) << verdict;
}

TEST(SeqIndex, AgreesWithASet) {
  const uint64_t seed = FromEnvironment("EVERYONCE_SEED", 9);
  SCOPED_TRACE("EVERYONCE_SEED=" + std::to_string(seed));
  Random random(seed);
  // Sparse numbers, so that there are many blocks; dense ones, so that runs meet.
  for (const uint64_t span : {2000000u, 30000u, 300u}) {
    SeqIndex index(SIZE_MAX);
    std::set<uint64_t> shown;
    std::set<uint64_t> closed;
    for (int step = 0; step < 6000; ++step) {
      const uint64_t seq = random.Below(span);
      if (random.OneIn(100)) {
        const uint64_t to = seq + random.Below(50);
        index.Close(seq, to);
        for (uint64_t at = seq; at <= to; ++at) closed.insert(at);
        continue;
      }
      const bool is_known = shown.contains(seq) || closed.contains(seq);
      uint64_t place = 0;
      ASSERT_EQ(index.Insert(seq, &place), is_known ? SeqIndex::Verdict::kKnown : SeqIndex::Verdict::kInserted);
      if (is_known) continue;
      const auto at = shown.insert(seq).first;
      ASSERT_EQ(place, static_cast<uint64_t>(std::distance(shown.begin(), at))) << "step " << step;
      ASSERT_EQ(index.size(), shown.size());
    }
    std::set<uint64_t> known = shown;
    known.insert(closed.begin(), closed.end());
    Gaps gaps;
    for (auto at = known.begin(); std::next(at) != known.end(); ++at) {
      if (*at + 1 != *std::next(at)) gaps.push_back({*at + 1, *std::next(at) - 1});
    }
    EXPECT_EQ(index.ranges(), gaps.size() + 1);
    EXPECT_EQ(index.Gaps(SIZE_MAX), gaps);
    EXPECT_EQ(index.Gaps(3).size(), std::min<size_t>(gaps.size(), 3));
  }
}

TEST(SeqIndex, RefusesOneRunTooMany) {
  SeqIndex index(2);
  uint64_t place = 0;
  EXPECT_EQ(index.Insert(1, &place), SeqIndex::Verdict::kInserted);
  EXPECT_EQ(index.Insert(5, &place), SeqIndex::Verdict::kInserted);
  EXPECT_EQ(index.Insert(9, &place), SeqIndex::Verdict::kFull);
  EXPECT_EQ(index.Insert(6, &place), SeqIndex::Verdict::kInserted);
  EXPECT_EQ(place, 2u);
  index.Close(0, 5);
  EXPECT_EQ(index.ranges(), 1u);
  EXPECT_EQ(index.Insert(9, &place), SeqIndex::Verdict::kInserted);
  EXPECT_EQ(place, 3u) << "what was shown below stays counted";
  EXPECT_EQ(index.Insert(0, &place), SeqIndex::Verdict::kKnown);
}

}  // namespace
}  // namespace everyonce::test
