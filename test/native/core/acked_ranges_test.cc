#include "core/acked_ranges.h"

#include <gtest/gtest.h>

#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "support/seed.h"

namespace everyonce {
namespace {

using Range = AckedRanges::Range;

std::vector<Range> RangesOf(const AckedRanges& acked) { return {acked.begin(), acked.end()}; }

// The ranges of a plain set, the slow way.
std::vector<Range> RangesOf(const std::set<uint64_t>& seqs) {
  std::vector<Range> ranges;
  for (uint64_t seq : seqs) {
    if (!ranges.empty() && ranges.back().to + 1 == seq) {
      ranges.back().to = seq;
    } else {
      ranges.push_back({seq, seq});
    }
  }
  return ranges;
}

TEST(AckedRanges, MergesWhatOverlapsAndWhatTouches) {
  AckedRanges acked;
  EXPECT_TRUE(acked.Add(5, 7));
  EXPECT_TRUE(acked.Add(10, 10));
  EXPECT_EQ(RangesOf(acked), (std::vector<Range>{{5, 7}, {10, 10}}));
  EXPECT_TRUE(acked.Add(8, 8));
  EXPECT_EQ(RangesOf(acked), (std::vector<Range>{{5, 8}, {10, 10}}));
  EXPECT_TRUE(acked.Add(9, 9));
  EXPECT_EQ(RangesOf(acked), (std::vector<Range>{{5, 10}}));
  EXPECT_TRUE(acked.Add(1, 100));
  EXPECT_EQ(RangesOf(acked), (std::vector<Range>{{1, 100}}));
}

TEST(AckedRanges, RefusesWhatIsNoRangeOfSeqs) {
  AckedRanges acked;
  EXPECT_FALSE(acked.Add(0, 5));
  EXPECT_FALSE(acked.Add(5, 4));
  EXPECT_FALSE(acked.Add(1, kMaxInteger + 1));
  EXPECT_FALSE(acked.Add(UINT64_MAX, UINT64_MAX));
  EXPECT_TRUE(acked.empty());
  EXPECT_TRUE(acked.Add(kMaxInteger, kMaxInteger));
  EXPECT_EQ(acked.NextUnacked(kMaxInteger), kMaxInteger + 1);
}

TEST(AckedRanges, RefusesTheRangeThatDoesNotFitAndKeepsTheRest) {
  AckedRanges acked;
  for (uint64_t i = 0; i < kMaxAckedRanges; ++i) ASSERT_TRUE(acked.Add(10 * i + 10, 10 * i + 12));
  const AckedRanges full = acked;
  EXPECT_FALSE(acked.Add(2, 2));
  EXPECT_FALSE(acked.Add(25, 25));
  EXPECT_FALSE(acked.Add(10000, 10001));
  EXPECT_EQ(acked, full);
  // What makes no range more still fits, and what joins two makes room.
  EXPECT_TRUE(acked.Add(13, 14));
  EXPECT_TRUE(acked.Add(15, 19));
  EXPECT_EQ(acked.size(), kMaxAckedRanges - 1);
  EXPECT_TRUE(acked.Add(2, 2));
}

TEST(AckedRanges, WhatBeginsAtOneAlwaysFits) {
  AckedRanges acked;
  for (uint64_t i = 0; i < kMaxAckedRanges; ++i) ASSERT_TRUE(acked.Add(10 * i + 10, 10 * i + 12));
  EXPECT_TRUE(acked.Add(1, 3));
  EXPECT_EQ(acked.size(), kMaxAckedRanges + 1);
  EXPECT_FALSE(acked.Add(5, 5));
  EXPECT_TRUE(acked.Add(1, 6));
  std::string bytes;
  acked.Encode(&bytes);
  std::string_view in = bytes;
  AckedRanges decoded;
  ASSERT_TRUE(AckedRanges::Decode(&in, &decoded));
  EXPECT_EQ(decoded, acked);
  EXPECT_TRUE(acked.Add(1, 9));
  EXPECT_EQ(acked.size(), kMaxAckedRanges);
}

TEST(AckedRanges, PrefixBeginsBehindItsBase) {
  AckedRanges acked;
  ASSERT_TRUE(acked.Add(1, 4));
  ASSERT_TRUE(acked.Add(6, 9));
  EXPECT_EQ(acked.Prefix(), 4u);
  EXPECT_EQ(acked.Prefix(2), 4u);
  EXPECT_EQ(acked.Prefix(4), 4u);
  EXPECT_EQ(acked.Prefix(5), 9u);
  EXPECT_EQ(acked.Prefix(20), 20u);
  EXPECT_EQ(AckedRanges().Prefix(), 0u);
}

TEST(AckedRanges, DecodeTakesItsPartAndLeavesTheRest) {
  AckedRanges acked;
  ASSERT_TRUE(acked.Add(1, 300));
  ASSERT_TRUE(acked.Add(kMaxInteger - 1, kMaxInteger));
  std::string bytes;
  acked.Encode(&bytes);
  bytes += "rest";
  std::string_view in = bytes;
  AckedRanges decoded;
  ASSERT_TRUE(AckedRanges::Decode(&in, &decoded));
  EXPECT_EQ(decoded, acked);
  EXPECT_EQ(in, "rest");
}

TEST(AckedRanges, DecodeRefusesEveryOtherForm) {
  const std::vector<std::string> wrong = {
      "",                                                           // nothing
      std::string("\x01", 1),                                       // a range promised and absent
      std::string("\x01\x01", 2),                                   // half a range
      std::string("\x01\x00\x05", 3),                               // begins at 0
      std::string("\x02\x01\x00\x01\x00", 5),                       // touches: not merged
      std::string("\x01\x81\x00\x00", 4),                           // a varint longer than it needs be
      std::string("\x41", 1) + std::string(200, '\x02'),            // 65 ranges
      std::string("\x01\xff\xff\xff\xff\xff\xff\xff\x0f\x01", 10),  // ends above the largest seq
      std::string("\x01\xff\xff\xff\xff\xff\xff\xff\x1f\x00", 10),  // a varint of more than 53 bits
      std::string("\x01\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x00", 11),
  };
  for (const std::string& bytes : wrong) {
    std::string_view in = bytes;
    AckedRanges decoded;
    ASSERT_TRUE(decoded.Add(7, 7));
    const AckedRanges before = decoded;
    EXPECT_FALSE(AckedRanges::Decode(&in, &decoded)) << testing::PrintToString(bytes);
    EXPECT_EQ(decoded, before);
    EXPECT_EQ(in.size(), bytes.size());
  }
}

TEST(AckedRanges, RandomBytesDecodeToThemselvesOrNotAtAll) {
  const uint64_t seed = test::FromEnvironment("EVERYONCE_SEED", 3);
  SCOPED_TRACE("EVERYONCE_SEED=" + std::to_string(seed));
  test::Random random(seed);
  int accepted = 0;
  for (int round = 0; round < 50000; ++round) {
    std::string bytes;
    for (uint64_t i = random.Below(12); i > 0; --i) {
      bytes.push_back(static_cast<char>(random.OneIn(4) ? random.Below(256) : random.Below(5)));
    }
    std::string_view in = bytes;
    AckedRanges decoded;
    if (!AckedRanges::Decode(&in, &decoded)) continue;
    ++accepted;
    std::string again;
    decoded.Encode(&again);
    ASSERT_EQ(again + std::string(in), bytes);
  }
  EXPECT_GT(accepted, 100);
}

// Everything against a plain set of seqs.
TEST(AckedRanges, AgreesWithASetOfSeqs) {
  const uint64_t seed = test::FromEnvironment("EVERYONCE_SEED", 1);
  const uint64_t steps = test::FromEnvironment("EVERYONCE_STEPS", 20000);
  SCOPED_TRACE("EVERYONCE_SEED=" + std::to_string(seed));
  test::Random random(seed);
  constexpr uint64_t kHighest = 400;
  AckedRanges acked;
  std::set<uint64_t> model;
  int refused = 0;
  for (uint64_t step = 0; step < steps; ++step) {
    if (random.OneIn(300)) {
      acked = AckedRanges();
      model.clear();
    }
    if (random.OneIn(100)) {
      const uint64_t keep = random.Below(kHighest + 5);
      acked.CutAbove(keep);
      model.erase(model.upper_bound(keep), model.end());
    } else {
      const uint64_t from = random.Between(1, kHighest);
      const uint64_t to = random.OneIn(10) ? from + random.Below(20) : from;
      std::set<uint64_t> grown = model;
      for (uint64_t seq = from; seq <= to; ++seq) grown.insert(seq);
      const bool fits = from == 1 || RangesOf(grown).size() <= std::max(kMaxAckedRanges, RangesOf(model).size());
      ASSERT_EQ(acked.Add(from, to), fits) << "step " << step;
      if (fits) {
        model = std::move(grown);
      } else {
        ++refused;
      }
    }
    ASSERT_EQ(RangesOf(acked), RangesOf(model)) << "step " << step;
    const uint64_t seq = random.Between(1, kHighest);
    ASSERT_EQ(acked.Contains(seq), model.contains(seq));
    uint64_t next = seq;
    while (model.contains(next)) ++next;
    ASSERT_EQ(acked.NextUnacked(seq), next);
    ASSERT_EQ(acked.Prefix(seq - 1), next - 1);
    std::string bytes;
    acked.Encode(&bytes);
    std::string_view in = bytes;
    AckedRanges decoded;
    ASSERT_TRUE(AckedRanges::Decode(&in, &decoded));
    ASSERT_EQ(decoded, acked);
    ASSERT_TRUE(in.empty());
    std::string_view cut(bytes.data(), bytes.size() - 1);
    ASSERT_FALSE(AckedRanges::Decode(&cut, &decoded));
  }
  if (steps >= 20000) {
    EXPECT_GT(refused, 0) << "the bound was never met: the run is too tame";
  }
}

}  // namespace
}  // namespace everyonce
