#include "core/rotating_bloom.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

#include "support/seed.h"

namespace everyonce::test {
namespace {

std::unique_ptr<RotatingBloom> Filter(const RotatingBloomOptions& options) {
  std::unique_ptr<RotatingBloom> filter;
  EXPECT_TRUE(RotatingBloom::Make(options, &filter).ok());
  return filter;
}

TEST(RotatingBloom, RemembersForTheWindowAndForgetsAfterIt) {
  const auto filter = Filter({.capacity = 1000, .error_rate = 0.001, .window_ms = 1000, .slices = 4});
  const uint64_t key = filter->Hash("key");
  EXPECT_FALSE(filter->Has(key, 0));
  EXPECT_TRUE(filter->Add(key, 0));
  EXPECT_FALSE(filter->Add(key, 10)) << "it is there";
  EXPECT_TRUE(filter->Has(key, 1010));
  // Others go into the same generation until it is a quarter of a window old; it goes with the youngest of them.
  EXPECT_TRUE(filter->Add(filter->Hash("other"), 2000));
  EXPECT_FALSE(filter->Has(key, 2000));
  EXPECT_TRUE(filter->Has(filter->Hash("other"), 3000));
  EXPECT_FALSE(filter->Has(filter->Hash("other"), 3001));
  EXPECT_EQ(filter->GetStats(3001).generations, 0u);
}

TEST(RotatingBloom, AddingAgainMakesAKeyYoungEvenWhereAnOlderGenerationHasIt) {
  const auto filter = Filter({.capacity = 1000, .error_rate = 0.001, .window_ms = 1000, .slices = 4});
  const uint64_t key = filter->Hash("key");
  filter->Add(key, 0);
  EXPECT_FALSE(filter->Add(key, 900));
  EXPECT_TRUE(filter->Has(key, 1900));
  EXPECT_FALSE(filter->Has(key, 1901));
}

TEST(RotatingBloom, UnderFloodGenerationsComeUpToTheBoundAndTheWindowStays) {
  RotatingBloomOptions options = {.capacity = 400, .error_rate = 0.01, .window_ms = 1000, .slices = 4};
  const auto filter = Filter(options);
  const size_t most = filter->options().max_bytes;
  uint64_t added = 0;
  while (!filter->GetStats(1).saturated)
    ASSERT_TRUE(++added < 100000 && (filter->Add(added * 0x9e3779b97f4a7c15, 1), true));
  EXPECT_GT(added, 4 * options.capacity) << "the default leaves room";
  EXPECT_LE(filter->GetStats(1).bytes, most);
  for (uint64_t i = 0; i < 10000; ++i) filter->Add(++added * 0x9e3779b97f4a7c15, 500);
  EXPECT_LE(filter->GetStats(500).bytes, most);
  EXPECT_TRUE(filter->GetStats(500).saturated);
  EXPECT_GT(filter->GetStats(500).estimated_error_rate, 0.01);
  for (uint64_t key = 1; key <= added; ++key) ASSERT_TRUE(filter->Has(key * 0x9e3779b97f4a7c15, 1001)) << key;
  EXPECT_EQ(filter->GetStats(1501).generations, 0u);
  filter->Add(1, 1600);
  EXPECT_FALSE(filter->GetStats(1600).saturated) << "and it gets over it";
}

TEST(RotatingBloom, AStepBackOfTheClockIsIgnored) {
  const auto filter = Filter({.capacity = 1000, .error_rate = 0.001, .window_ms = 1000, .slices = 4});
  filter->Add(1, 5000);
  EXPECT_TRUE(filter->Add(2, 100));
  EXPECT_TRUE(filter->Has(2, 6000));
  EXPECT_FALSE(filter->Has(1, 6001));
}

TEST(RotatingBloom, NamesTheOptionThatIsWrong) {
  std::unique_ptr<RotatingBloom> filter;
  const auto field = [&](const RotatingBloomOptions& options) { return RotatingBloom::Make(options, &filter).field; };
  EXPECT_EQ(field({.capacity = 10, .error_rate = 0.1, .window_ms = 10, .slices = 0}), "slices");
  EXPECT_EQ(field({.capacity = 10, .error_rate = 0.1, .window_ms = 10, .slices = 65}), "slices");
  EXPECT_EQ(field({.capacity = uint64_t{1} << 50, .error_rate = 0.1, .window_ms = 10}), "capacity");
  EXPECT_EQ(field({.capacity = 1000, .error_rate = 0.1, .window_ms = 10, .max_bytes = 100}), "maxBytes");
  EXPECT_EQ(filter, nullptr);
}

TEST(RotatingBloom, ComesBackAsItWasWrittenAndNothingElseDoes) {
  const auto filter = Filter({.capacity = 40, .error_rate = 0.1, .window_ms = 1000, .slices = 2, .seed = 9});
  filter->Add(filter->Hash("old"), 0);
  filter->Add(filter->Hash("new"), 600);
  std::string bytes(filter->SerializedBytes(), 0);
  filter->SerializeTo(reinterpret_cast<uint8_t*>(bytes.data()));
  std::unique_ptr<RotatingBloom> read;
  // In another process with another clock: 600 ms have passed for the old one, and none since.
  ASSERT_TRUE(RotatingBloom::Parse(bytes, -70000, &read).ok());
  EXPECT_TRUE(read->Has(read->Hash("old"), -70000 + 400));
  EXPECT_FALSE(read->Has(read->Hash("old"), -70000 + 401));
  EXPECT_TRUE(read->Has(read->Hash("new"), -70000 + 1000));
  std::unique_ptr<RotatingBloom> none;
  for (size_t at = 0; at < bytes.size(); ++at) {
    std::string bad = bytes;
    bad[at] = static_cast<char>(bad[at] ^ 4);
    ASSERT_EQ(RotatingBloom::Parse(bad, 0, &none).code, Code::kBadFilter) << at;
    ASSERT_EQ(RotatingBloom::Parse(bytes.substr(0, at), 0, &none).code, Code::kBadFilter) << at;
  }
  EXPECT_EQ(none, nullptr);
}

// Against a map that remembers exactly: nothing added within the window is denied; what is surely older than the window
// and a slice is found only by accident, and as rarely as promised.
TEST(RotatingBloom, NeverDeniesWhatTheWindowHolds) {
  const uint64_t seed = FromEnvironment("EVERYONCE_SEED", 6);
  SCOPED_TRACE("EVERYONCE_SEED=" + std::to_string(seed));
  Random random(seed);
  for (const uint32_t slices : {1u, 2u, 4u, 7u}) {
    const auto filter = Filter({.capacity = 2000, .error_rate = 0.01, .window_ms = 1000, .slices = slices});
    std::map<uint64_t, int64_t> added;
    int64_t now_ms = 0;
    uint64_t asked = 0;
    uint64_t found = 0;
    for (int step = 0; step < 50000; ++step) {
      if (random.OneIn(3)) now_ms += static_cast<int64_t>(random.Below(4));
      if (random.OneIn(2000)) now_ms += static_cast<int64_t>(random.Below(3000));
      const uint64_t key = random.Below(20000);
      const uint64_t hash = filter->Hash(std::to_string(key));
      const bool is_add = random.OneIn(2);
      const bool is_there = is_add ? !filter->Add(hash, now_ms) : filter->Has(hash, now_ms);
      const auto known = added.find(key);
      const int64_t age_ms = known == added.end() ? INT64_MAX : now_ms - known->second;
      if (age_ms <= 1000) {
        ASSERT_TRUE(is_there) << "step " << step;
      }
      if (age_ms > 1000 + 1000 / slices) {
        ++asked;
        found += is_there;
      }
      if (is_add) added[key] = now_ms;
    }
    EXPECT_GT(asked, 5000u);
    EXPECT_LT(static_cast<double>(found) / static_cast<double>(asked), 0.011);
  }
}

}  // namespace
}  // namespace everyonce::test
