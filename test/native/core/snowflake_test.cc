#include "core/snowflake.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "support/seed.h"

namespace everyonce {
namespace {

constexpr int64_t kNow = 1790000000000;

TEST(Snowflake, HoldsTimeWorkerAndSequence) {
  Snowflake ids(777);
  for (uint32_t i = 0; i < 3; ++i) {
    const Snowflake::Parts parts = Snowflake::Decode(ids.Next(kNow));
    EXPECT_EQ(parts.ms, kNow);
    EXPECT_EQ(parts.worker, 777u);
    EXPECT_EQ(parts.sequence, i);
  }
  EXPECT_EQ(ids.last_ms(), kNow);
}

// Stored ids are compared with new ones for ever, so the layout may not move.
TEST(Snowflake, LayoutIsFixed) {
  Snowflake ids(5);
  EXPECT_EQ(ids.Next(1704067200000 + 1000), uint64_t{1000} << 22 | uint64_t{5} << 12);
  EXPECT_EQ(Snowflake::FirstAt(1704067200000 + 1000), uint64_t{1000} << 22);
}

TEST(Snowflake, GoesOnWhenTheClockGoesBack) {
  Snowflake ids(1);
  const uint64_t first = ids.Next(kNow);
  const uint64_t second = ids.Next(kNow - 3600 * 1000);
  EXPECT_GT(second, first);
  EXPECT_EQ(Snowflake::Decode(second).ms, kNow);
  EXPECT_GT(ids.Next(INT64_MIN), second);
}

TEST(Snowflake, TakesTheNextMillisecondWhenOneIsFull) {
  Snowflake ids(1);
  uint64_t last = 0;
  for (int i = 0; i < 4096; ++i) last = ids.Next(kNow);
  EXPECT_EQ(Snowflake::Decode(last).ms, kNow);
  const Snowflake::Parts parts = Snowflake::Decode(ids.Next(kNow));
  EXPECT_EQ(parts.ms, kNow + 1);
  EXPECT_EQ(parts.sequence, 0u);
  EXPECT_EQ(ids.last_ms(), kNow + 1);
}

TEST(Snowflake, NeverUsesAMillisecondThatMayHaveBeenUsedBeforeARestart) {
  Snowflake before(9);
  uint64_t last = 0;
  for (int i = 0; i < 10000; ++i) last = before.Next(kNow);
  Snowflake after(9, before.last_ms());
  const uint64_t next = after.Next(kNow - 5000);
  EXPECT_GT(next, last);
  EXPECT_EQ(Snowflake::Decode(next).ms, before.last_ms() + 1);
}

TEST(Snowflake, NeverGivesZeroForAnId) {
  Snowflake ids(0);
  EXPECT_NE(ids.Next(0), 0u);
  EXPECT_NE(ids.Next(INT64_MIN), 0u);
}

TEST(Snowflake, RefusesATimeThatDoesNotFitAndRecovers) {
  Snowflake ids(1);
  const uint64_t first = ids.Next(kNow);
  EXPECT_EQ(ids.Next(Snowflake::kMaxMs + 1), 0u);
  EXPECT_EQ(ids.Next(INT64_MAX), 0u);
  EXPECT_EQ(ids.Next(kNow), first + 1);
  for (int i = 0; i < 4096; ++i) EXPECT_NE(ids.Next(Snowflake::kMaxMs), 0u);
  EXPECT_EQ(ids.Next(Snowflake::kMaxMs), 0u);
  EXPECT_EQ(ids.Next(kNow), 0u);
}

TEST(Snowflake, FirstAtIsClamped) {
  EXPECT_EQ(Snowflake::FirstAt(0), 0u);
  EXPECT_EQ(Snowflake::Decode(Snowflake::FirstAt(INT64_MAX)).ms, Snowflake::kMaxMs);
  EXPECT_EQ(Snowflake::FirstAt(INT64_MAX) >> 63, 0u);
}

TEST(Snowflake, IncreasesStrictlyUnderAnyClockAndRestarts) {
  const uint64_t seed = test::FromEnvironment("EVERYONCE_SEED", 2);
  SCOPED_TRACE("EVERYONCE_SEED=" + std::to_string(seed));
  test::Random random(seed);
  int64_t now = kNow;
  Snowflake ids(1023);
  uint64_t last = 0;
  for (int step = 0; step < 200000; ++step) {
    switch (random.Below(20)) {
      case 0:
        now += static_cast<int64_t>(random.Below(10));
        break;
      case 1:
        now -= static_cast<int64_t>(random.Below(10));
        break;
      default:
        break;
    }
    if (random.OneIn(1000)) ids = Snowflake(1023, ids.last_ms() + static_cast<int64_t>(random.Below(3000)));
    const uint64_t id = ids.Next(now);
    ASSERT_GT(id, last) << "step " << step;
    ASSERT_EQ(Snowflake::Decode(id).worker, 1023u);
    ASSERT_EQ(Snowflake::Decode(id).ms, ids.last_ms());
    last = id;
  }
}

}  // namespace
}  // namespace everyonce
