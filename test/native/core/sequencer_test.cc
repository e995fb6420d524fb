#include "core/sequencer.h"

#include <gtest/gtest.h>

namespace everyonce {
namespace {

TEST(EpochTable, NamesHistoriesThatAreNewEvenAfterAWipe) {
  EXPECT_EQ(EpochTable::NewEpoch(0, 1700000000000, 5), 1700000000000u * 1024 + 5);
  EXPECT_EQ(EpochTable::NewEpoch(0, 1700000000000, 1024 + 5), 1700000000000u * 1024 + 5);
  const uint64_t last = 1700000000000u * 1024 + 900;
  EXPECT_EQ(EpochTable::NewEpoch(last, 1700000000000, 5), last + 1) << "above the last one, whatever the clock says";
  EXPECT_LT(EpochTable::NewEpoch(0, 4000000000000, 1023), kMaxInteger);
}

// Semantics c-3: positions (E1,6), (E1,3), an unknown epoch, after a promotion that lost 4 to 6.
TEST(EpochTable, JudgesPositions) {
  EpochTable epochs;
  uint64_t keep = 9;
  EXPECT_EQ(epochs.Judge(1, 0, 0, &keep), Resume::kReset);
  EXPECT_EQ(keep, 0u);
  epochs.Begin(100, 1);
  EXPECT_EQ(epochs.Judge(100, 6, 6, &keep), Resume::kOk);
  EXPECT_EQ(keep, 6u);
  EXPECT_EQ(epochs.Judge(100, 7, 6, &keep), Resume::kTruncated)
      << "a position beyond the log is never met with silence";
  EXPECT_EQ(keep, 6u);
  epochs.Begin(200, 4);
  EXPECT_EQ(epochs.Judge(100, 6, 10, &keep), Resume::kTruncated);
  EXPECT_EQ(keep, 3u);
  EXPECT_EQ(epochs.Judge(100, 3, 10, &keep), Resume::kOk);
  EXPECT_EQ(epochs.Judge(100, 2, 10, &keep), Resume::kOk);
  EXPECT_EQ(keep, 2u);
  EXPECT_EQ(epochs.Judge(200, 10, 10, &keep), Resume::kOk);
  EXPECT_EQ(epochs.Judge(150, 1, 10, &keep), Resume::kReset);
  EXPECT_EQ(keep, 0u);
}

TEST(EpochTable, KnowsWhichEpochASeqWasNumberedIn) {
  EpochTable epochs;
  epochs.Begin(100, 1);
  epochs.Begin(200, 4);
  EXPECT_EQ(epochs.EpochOf(3), 100u);
  EXPECT_EQ(epochs.EpochOf(4), 200u);
}

TEST(EpochTable, ForgetsTheOldestBeyondSixteen) {
  EpochTable epochs;
  for (uint64_t i = 1; i <= kMaxEpochs + 1; ++i) epochs.Begin(100 * i, 10 * i);
  EXPECT_EQ(epochs.entries().size(), kMaxEpochs);
  uint64_t keep = 0;
  EXPECT_FALSE(epochs.KeepOf(100, 1000, &keep));
  EXPECT_TRUE(epochs.KeepOf(200, 1000, &keep));
  EXPECT_EQ(keep, 29u);
}

}  // namespace
}  // namespace everyonce
