#include "core/window_dedup.h"

#include <gtest/gtest.h>

namespace everyonce {
namespace {

constexpr int64_t kWindowMs = 1000;

TEST(WindowDedup, JudgesByIdBodyAndTime) {
  WindowEntry known = WindowEntryOf("{\"a\":1}");
  known.at_ms = 5000;
  const WindowEntry same = WindowEntryOf("{\"a\":1}");
  const WindowEntry other = WindowEntryOf("{\"a\":2}");
  EXPECT_EQ(JudgeWindow(nullptr, same, 5000, kWindowMs), WindowVerdict::kNew);
  EXPECT_EQ(JudgeWindow(&known, same, 5999, kWindowMs), WindowVerdict::kDuplicate);
  EXPECT_EQ(JudgeWindow(&known, other, 5999, kWindowMs), WindowVerdict::kConflict);
  EXPECT_EQ(JudgeWindow(&known, same, 6000, kWindowMs), WindowVerdict::kNew);
  EXPECT_EQ(JudgeWindow(&known, other, 6000, kWindowMs), WindowVerdict::kNew);
}

TEST(WindowDedup, ComparesBytesNotMeaning) {
  EXPECT_FALSE(WindowEntryOf("{\"a\":1}").SameBody(WindowEntryOf("{\"a\": 1}")));
  EXPECT_FALSE(WindowEntryOf("").SameBody(WindowEntryOf(" ")));
}

TEST(WindowDedup, TakesAnotherTypeForAnotherMessage) {
  EXPECT_TRUE(WindowEntryOf("1", "note").SameBody(WindowEntryOf("1", "note")));
  EXPECT_FALSE(WindowEntryOf("1", "note").SameBody(WindowEntryOf("1")));
  EXPECT_FALSE(WindowEntryOf("1", "note").SameBody(WindowEntryOf("1", "memo")));
}

TEST(WindowDedup, KeepsEntriesThroughTheStore) {
  WindowEntry entry = WindowEntryOf("\"text\"");
  entry.seq = 77;
  entry.at_ms = 1700000000123;
  const std::string value = entry.Encode();
  WindowEntry read;
  ASSERT_TRUE(WindowEntry::Decode(value, &read));
  EXPECT_EQ(read.seq, 77u);
  EXPECT_EQ(read.at_ms, 1700000000123);
  EXPECT_TRUE(read.SameBody(entry));
  for (size_t size = 0; size < value.size(); ++size) EXPECT_FALSE(WindowEntry::Decode(value.substr(0, size), &read));
  EXPECT_FALSE(WindowEntry::Decode(value + "x", &read));
}

}  // namespace
}  // namespace everyonce
