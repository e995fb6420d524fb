#include "store/staged_table.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "log/memory_kv.h"
#include "support/seed.h"

namespace everyonce {
namespace {

using Entries = std::vector<std::pair<std::string, std::string>>;

Entries Scanned(const StagedTable& table, std::string_view from, std::string_view to, bool reverse, size_t limit) {
  Entries entries;
  EXPECT_TRUE(table
                  .Scan(from, to, reverse,
                        [&](std::string_view key, std::string_view value) {
                          entries.emplace_back(key, value);
                          return entries.size() < limit;
                        })
                  .ok());
  return entries;
}

// Against a plain map: what is staged lies over what is stored, in both directions and cut anywhere.
TEST(StagedTableTest, ReadsAsIfItHadBeenWritten) {
  const uint64_t seed = test::FromEnvironment("EVERYONCE_SEED", 1);
  test::Random random(seed);
  MemoryKv kv;
  StagedTable table(&kv);
  std::map<std::string, std::string> naive;
  const auto key = [&] { return std::string(1, static_cast<char>('a' + random.Below(12))); };
  for (int step = 0; step < 20000; ++step) {
    switch (random.Below(8)) {
      case 0:
      case 1: {
        const std::string name = key();
        naive[name] = std::to_string(step);
        table.Put(name, naive[name]);
        break;
      }
      case 2: {
        const std::string name = key();
        naive.erase(name);
        table.Remove(name);
        break;
      }
      case 3:
        if (!random.OneIn(4)) break;
        ASSERT_TRUE(table.Write(true).ok());
        table.Clear();
        break;
      case 4: {
        const std::string name = key();
        std::string value;
        bool found = false;
        ASSERT_TRUE(table.Get(name, &value, &found).ok());
        ASSERT_EQ(found, naive.contains(name)) << "seed " << seed << " step " << step;
        if (found) ASSERT_EQ(value, naive[name]);
        break;
      }
      default: {
        const std::string from = key();
        const std::string to = random.OneIn(4) ? "" : key();
        const bool reverse = random.OneIn(2);
        const size_t limit = 1 + random.Below(5);
        Entries expected;
        for (const auto& [name, value] : naive) {
          if (name >= from && (to.empty() || name < to)) expected.emplace_back(name, value);
        }
        if (reverse) std::reverse(expected.begin(), expected.end());
        if (expected.size() > limit) expected.resize(limit);
        if (!to.empty() && to <= from) expected.clear();
        ASSERT_EQ(Scanned(table, from, to, reverse, limit), expected) << "seed " << seed << " step " << step;
      }
    }
  }
}

TEST(StagedTableTest, RemovesWhatHasExpiredOldestFirst) {
  MemoryKv kv;
  StagedTable table(&kv);
  for (int i = 0; i < 10; ++i) {
    const std::string key = "c" + std::to_string(i);
    table.Put(key, "v");
    MoveExpiry(&table, key, 0, 100 + i);
  }
  MoveExpiry(&table, "c3", 103, 200);  // it got a longer life
  MoveExpiry(&table, "c4", 104, 0);    // and this one no end
  size_t removed = 0;
  int64_t next_ms = 0;
  ASSERT_TRUE(RemoveExpired(&table, 0, 107, 4, &removed, &next_ms).ok());
  EXPECT_EQ(removed, 4u);
  EXPECT_EQ(next_ms, 106);
  ASSERT_TRUE(RemoveExpired(&table, next_ms, 107, 4, &removed, &next_ms).ok());
  EXPECT_EQ(removed, 2u);
  EXPECT_EQ(next_ms, 108);
  EXPECT_EQ(Scanned(table, "c", "d", false, 99).size(), 4u);
  ASSERT_TRUE(table.Write(true).ok());
  table.Clear();
  ASSERT_TRUE(RemoveExpired(&table, 0, 300, 99, &removed, &next_ms).ok());
  EXPECT_EQ(next_ms, INT64_MAX);
  ASSERT_TRUE(table.Write(true).ok());
  EXPECT_EQ(kv.size(), 1u) << "c4, without an end";
}

TEST(KeyTest, BehindIsBehindAllThatBeginSo) {
  EXPECT_EQ(key::Behind("ab"), "ac");
  EXPECT_EQ(key::Behind("a\xff\xff"), "b");
  EXPECT_EQ(key::Behind("\xff"), "");
}

}  // namespace
}  // namespace everyonce
