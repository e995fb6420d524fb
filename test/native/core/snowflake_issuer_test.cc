#include "core/snowflake_issuer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "support/seed.h"

namespace everyonce::test {
namespace {

using Verdict = SnowflakeIssuer::Verdict;

constexpr int64_t kNow = 1790000000000;

SnowflakeIssuer Issuer(SnowflakeRules rules = {}, int64_t used_until_ms = 0, uint64_t spread_seed = 0) {
  return SnowflakeIssuer(Snowflake(7, used_until_ms, Snowflake::kEpochMs, spread_seed), rules);
}

uint64_t One(SnowflakeIssuer* issuer, int64_t now_ms) {
  uint64_t id = 0;
  EXPECT_EQ(issuer->Issue(now_ms, &id, 1).verdict, Verdict::kIssued);
  return id;
}

int64_t TimeOf(uint64_t id) { return Snowflake::Decode(id).ms; }

TEST(SnowflakeIssuer, KeepsTheNewestTimeOverASmallStepBackAndRefusesALargeOne) {
  SnowflakeIssuer issuer = Issuer({.max_backward_ms = 10});
  const uint64_t first = One(&issuer, kNow);
  const uint64_t second = One(&issuer, kNow - 10);
  EXPECT_GT(second, first);
  EXPECT_EQ(TimeOf(second), kNow);
  uint64_t id = 0;
  const auto refused = issuer.Issue(kNow - 25, &id, 1);
  EXPECT_EQ(refused.verdict, Verdict::kClockBackwards);
  EXPECT_EQ(refused.issued, 0u);
  EXPECT_EQ(refused.backward_ms, 25);
  EXPECT_EQ(refused.wait_ms, 15);
  EXPECT_EQ(issuer.steps_back(), 1u) << "one step, seen twice";
  EXPECT_GT(One(&issuer, kNow - 10), second) << "after the wait that it named";
  EXPECT_EQ(TimeOf(One(&issuer, kNow + 1)), kNow + 1);
  EXPECT_GT(One(&issuer, kNow), second);
  EXPECT_EQ(issuer.steps_back(), 2u);
}

TEST(SnowflakeIssuer, BorrowsAsFarAsItMayAndSaysHowLongToWait) {
  SnowflakeIssuer issuer = Issuer({.max_ahead_ms = 2});
  std::vector<uint64_t> ids(4 * 4096);
  const auto result = issuer.Issue(kNow, ids.data(), ids.size());
  EXPECT_EQ(result.verdict, Verdict::kExhausted);
  EXPECT_EQ(result.issued, 3u * 4096);
  EXPECT_EQ(result.wait_ms, 1);
  EXPECT_EQ(TimeOf(ids[result.issued - 1]), kNow + 2);
  const auto rest = issuer.Issue(kNow + result.wait_ms, &ids[result.issued], 4096);
  EXPECT_EQ(rest.verdict, Verdict::kIssued);
  EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end()));
  EXPECT_EQ(std::set<uint64_t>(ids.begin(), ids.end()).size(), ids.size());
}

TEST(SnowflakeIssuer, NeverPassesTheReservation) {
  SnowflakeIssuer issuer = Issuer();
  issuer.SetBounds({.reserved_until_ms = kNow + 1});
  std::vector<uint64_t> ids(3 * 4096);
  const auto result = issuer.Issue(kNow, ids.data(), ids.size());
  EXPECT_EQ(result.verdict, Verdict::kUnreserved);
  EXPECT_EQ(result.issued, 2u * 4096);
  EXPECT_EQ(TimeOf(ids[result.issued - 1]), kNow + 1);
  EXPECT_EQ(issuer.Issue(kNow + 2, ids.data(), 1).verdict, Verdict::kUnreserved);
  issuer.SetBounds({.reserved_until_ms = kNow + 2});
  EXPECT_EQ(TimeOf(One(&issuer, kNow + 1)), kNow + 2) << "what was used up stays used up";
  // A reservation that was shortened behind the newest id gives nothing, not even of a millisecond in use.
  issuer.SetBounds({.reserved_until_ms = kNow});
  EXPECT_EQ(issuer.Issue(kNow + 2, ids.data(), 1).verdict, Verdict::kUnreserved);
}

TEST(SnowflakeIssuer, TheLeaseEndsByTheMonotonicClock) {
  SnowflakeIssuer issuer = Issuer();
  EXPECT_TRUE(issuer.LeaseHolds(INT64_MAX - 1)) << "no lease, no end";
  issuer.SetBounds({.deadline_ms = 500});
  EXPECT_TRUE(issuer.LeaseHolds(499));
  EXPECT_FALSE(issuer.LeaseHolds(500));
}

// A process that crashed had reserved 3 s ahead; its successor starts with the clock set back besides.
TEST(SnowflakeIssuer, ASuccessorBeginsAboveTheReservationAtOnce) {
  SnowflakeIssuer before = Issuer();
  before.SetBounds({.reserved_until_ms = kNow + 3000});
  const uint64_t last = One(&before, kNow);
  SnowflakeIssuer after = Issuer({}, kNow + 3000);
  const uint64_t first = One(&after, kNow - 1000);
  EXPECT_GT(first, last);
  EXPECT_EQ(TimeOf(first), kNow + 3001);
  uint64_t id = 0;
  SnowflakeIssuer set_back = Issuer({}, kNow + 3000);
  EXPECT_EQ(set_back.Issue(kNow - 3600 * 1000, &id, 1).verdict, Verdict::kClockBackwards);
}

TEST(SnowflakeIssuer, RefusesAClockOutsideOfWhatIdsCanHold) {
  SnowflakeIssuer issuer = Issuer();
  uint64_t id = 0;
  for (const int64_t now_ms : {int64_t{0}, INT64_MIN, INT64_MAX, Snowflake::kEpochMs - 1, Snowflake::kMaxMs + 1}) {
    EXPECT_EQ(issuer.Issue(now_ms, &id, 1).verdict, Verdict::kOutOfRange);
  }
  EXPECT_EQ(TimeOf(One(&issuer, kNow)), kNow);
}

TEST(SnowflakeIssuer, AMillisecondBeginsAtARandomSequenceBelowAHundredWhereAskedFor) {
  SnowflakeIssuer issuer = Issuer({}, 0, 12345);
  std::set<uint32_t> starts;
  for (int64_t ms = 0; ms < 2000; ++ms) starts.insert(Snowflake::Decode(One(&issuer, kNow + ms)).sequence);
  EXPECT_EQ(starts.size(), Snowflake::kSpread);
  EXPECT_LT(*starts.rbegin(), Snowflake::kSpread);
}

TEST(SnowflakeIssuer, HasAnEpochOfItsOwn) {
  constexpr int64_t epoch_ms = 1288834974657;
  SnowflakeIssuer issuer(Snowflake(1023, 0, epoch_ms), {});
  const uint64_t id = One(&issuer, kNow);
  EXPECT_EQ(id >> 22, static_cast<uint64_t>(kNow - epoch_ms));
  EXPECT_EQ(Snowflake::Decode(id, epoch_ms).ms, kNow);
  EXPECT_EQ(Snowflake::Decode(id, epoch_ms).worker, 1023u);
}

// Any clock, any sizes, leases that come and go, restarts above the reservation: ids rise, and stay within the bounds.
TEST(SnowflakeIssuer, IncreasesStrictlyWithinItsBounds) {
  const uint64_t seed = FromEnvironment("EVERYONCE_SEED", 4);
  SCOPED_TRACE("EVERYONCE_SEED=" + std::to_string(seed));
  Random random(seed);
  const SnowflakeRules rules = {.max_backward_ms = 20, .max_ahead_ms = 5};
  SnowflakeIssuer issuer = Issuer(rules, 0, 99);
  int64_t now_ms = kNow;
  int64_t newest_now_ms = kNow;
  int64_t reserved_ms = INT64_MAX;
  uint64_t last = 0;
  std::vector<uint64_t> ids(20000);
  int seen[5] = {};
  for (int step = 0; step < 20000; ++step) {
    if (random.OneIn(3)) now_ms += static_cast<int64_t>(random.Below(8));
    if (random.OneIn(50)) now_ms -= static_cast<int64_t>(random.Below(40));
    if (random.OneIn(20)) reserved_ms = now_ms + static_cast<int64_t>(random.Below(30));
    if (random.OneIn(100)) {
      issuer = Issuer(rules, std::max(reserved_ms, issuer.ids().last_ms()), random.Below(1 << 20));
      reserved_ms += 100;
      newest_now_ms = issuer.ids().last_ms();
    }
    issuer.SetBounds({.reserved_until_ms = reserved_ms});
    const size_t count = random.OneIn(10) ? random.Between(1, ids.size()) : random.Between(1, 10);
    const auto result = issuer.Issue(now_ms, ids.data(), count);
    ++seen[static_cast<int>(result.verdict)];
    ASSERT_EQ(result.verdict == Verdict::kClockBackwards, newest_now_ms - now_ms > rules.max_backward_ms);
    newest_now_ms = std::max(newest_now_ms, now_ms);
    if (result.verdict == Verdict::kIssued) {
      ASSERT_EQ(result.issued, count);
    }
    for (size_t i = 0; i < result.issued; ++i) {
      ASSERT_GT(ids[i], last) << "step " << step;
      last = ids[i];
    }
    if (result.issued == 0) continue;
    ASSERT_LE(TimeOf(last), reserved_ms);
    ASSERT_LE(TimeOf(last), newest_now_ms + rules.max_ahead_ms);
    ASSERT_GE(TimeOf(last), now_ms);
  }
  for (int verdict = 0; verdict < 4; ++verdict) EXPECT_GT(seen[verdict], 50) << verdict;
}

}  // namespace
}  // namespace everyonce::test
