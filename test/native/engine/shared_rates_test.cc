#include "engine/shared_rates.h"

#include <gtest/gtest.h>

#include <string>

#include "engine/engine_harness.h"

namespace everyonce {
namespace {

TEST(SharedRates, AreOneForAllOfAKeyAndOutliveTheirHolders) {
  SharedRates rates(1);
  {
    const auto first = rates.Of("alice", 1000);
    const auto second = rates.Of("alice", 1000);
    EXPECT_EQ(first, second);
    EXPECT_NE(first, rates.Of("bob", 1000));
    for (int i = 0; i < 10; ++i) EXPECT_EQ(first->rate.Take(1000), 0);
  }
  EXPECT_GT(rates.Of("alice", 1500)->rate.Take(1500), 0) << "coming back does not begin anew";
}

TEST(SharedRates, AreForgottenWhenTheyHaveRested) {
  SharedRates rates(1);
  const auto held = rates.Of("held", 1000);
  for (int i = 0; i < 100; ++i) rates.Of("key-" + std::to_string(i), 1000);
  EXPECT_EQ(rates.size(), 101u);
  int64_t now_ms = 1000 + SharedRates::kRestMs;
  for (int i = 0; i < 40; ++i) rates.Of("other", now_ms);
  EXPECT_EQ(rates.size(), 2u);
  EXPECT_EQ(rates.Of("held", now_ms), held) << "never while somebody has it";
}

TEST(SharedRates, AreBounded) {
  SharedRates rates(1, 10);
  for (int i = 0; i < 1000; ++i) rates.Of("key-" + std::to_string(i), 1000);
  EXPECT_LE(rates.size(), 11u);
}

TEST(SharedRates, WithoutALimitKeepNothing) {
  SharedRates rates(0);
  EXPECT_EQ(rates.Of("alice", 1000), nullptr);
  EXPECT_EQ(rates.size(), 0u);
}

std::string Pings(int count) {
  std::string frame = "[";
  for (int i = 0; i < count; ++i) frame += std::string(i == 0 ? "" : ",") + R"({"t":"counts","rid":1})";
  return frame + "]";
}

size_t Refused(EngineHarness* harness, uint32_t connection) {
  size_t refused = 0;
  for (const auto& packet : harness->Take(connection)) refused += packet["code"] == "\"rate_limited\"";
  return refused;
}

TEST(EngineRates, CountAllConnectionsOfAUserTogether) {
  EngineOptions options;
  options.limits.rate = 0;
  options.limits.user_rate = 2;  // twenty at once
  EngineHarness harness(options);
  harness.Connect(1, "alice", "a1");
  harness.Connect(2, "alice", "a2");
  harness.Connect(3, "bob", "b1");
  harness.Receive(1, Pings(15));
  EXPECT_EQ(Refused(&harness, 1), 0u);
  harness.Receive(2, Pings(10));
  EXPECT_EQ(Refused(&harness, 2), 5u);
  harness.Receive(3, Pings(20));
  EXPECT_EQ(Refused(&harness, 3), 0u);
  // Coming back is no way out, and after ten times as many refusals it ends.
  harness.engine().Close(2);
  harness.Connect(2, "alice", "a2", 2);
  harness.Receive(2, Pings(14));
  EXPECT_EQ(Refused(&harness, 2), 14u);
  EXPECT_FALSE(harness.closed(2));
  harness.Receive(2, Pings(1));
  uint32_t code = 0;
  EXPECT_TRUE(harness.closed(2, &code));
  EXPECT_EQ(code, 4429u);
}

TEST(EngineRates, CountAllConnectionsOfAnAddressTogether) {
  EngineOptions options;
  options.limits.rate = 0;
  options.limits.address_rate = 1;
  EngineHarness harness(options);
  for (uint32_t id = 1; id <= 3; ++id) harness.engine().Open(id, id == 3 ? "192.0.2.2" : "192.0.2.1");
  for (uint32_t id = 1; id <= 3; ++id) harness.Connect(id, "user-" + std::to_string(id), "d1");
  harness.Receive(1, Pings(8));  // the two hellos were the other two
  EXPECT_EQ(Refused(&harness, 1), 0u);
  harness.Receive(2, Pings(1));
  EXPECT_EQ(Refused(&harness, 2), 1u);
  harness.Receive(3, Pings(9));
  EXPECT_EQ(Refused(&harness, 3), 0u);
  harness.now.steady_ms += 1000;
  harness.Receive(2, Pings(1));
  EXPECT_EQ(Refused(&harness, 2), 0u);
}

}  // namespace
}  // namespace everyonce
