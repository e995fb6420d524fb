#include "core/page_cursor.h"

#include <gtest/gtest.h>

#include "core/limits.h"

namespace everyonce {
namespace {

PageCursor Largest() {
  PageCursor cursor;
  cursor.all = true;
  const std::string user = std::string(kMaxUserBytes - 1, 'u');
  for (size_t i = 0; i < kMaxCursorSpans; ++i) {
    const std::string conv = "dm:" + user + static_cast<char>('a' + i) + ":" + user + 'z';
    cursor.covers.push_back({conv, kMaxInteger, 1, kMaxInteger});
  }
  cursor.position = {cursor.covers.back().conv, kMaxInteger, kMaxInteger};
  return cursor;
}

TEST(PageCursor, TheLargestFitsAndComesBack) {
  for (const bool newest_first : {false, true}) {
    PageCursor cursor = Largest();
    cursor.newest_first = newest_first;
    const std::string text = EncodePageCursor(cursor);
    EXPECT_LE(text.size(), kMaxNextBytes);
    const std::optional<PageCursor> decoded = DecodePageCursor(text);
    ASSERT_TRUE(decoded);
    EXPECT_TRUE(decoded->all);
    EXPECT_EQ(decoded->newest_first, newest_first);
    EXPECT_EQ(decoded->position.conv, cursor.position.conv);
    EXPECT_EQ(decoded->position.epoch, kMaxInteger);
    EXPECT_EQ(decoded->position.seq, kMaxInteger);
    ASSERT_EQ(decoded->covers.size(), kMaxCursorSpans);
    EXPECT_EQ(decoded->covers[7].conv, cursor.covers[7].conv);
    EXPECT_EQ(decoded->covers[7].from, 1u);
    EXPECT_EQ(decoded->covers[7].to, kMaxInteger);
  }
}

TEST(PageCursor, NothingElseIsOne) {
  const std::string text = EncodePageCursor(Largest());
  for (size_t i = 0; i < text.size(); ++i) {
    std::string changed = text;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(DecodePageCursor(changed)) << i;
    EXPECT_FALSE(DecodePageCursor(text.substr(0, i))) << i;
  }
  EXPECT_FALSE(DecodePageCursor(std::string(kMaxNextBytes + 1, 'A')));
}

}  // namespace
}  // namespace everyonce
