// Holes that an archive fills in: only what the user may see and has not acked, and no longer than the page has room
// for.

#include "log/embedded_log_harness.h"

namespace everyonce::test {
namespace {

constexpr size_t kArchivedBytes = 1000;

// Ten messages of ann's to bob, the first eight removed.
class ArchivedHoles : public testing::Test {
 protected:
  ArchivedHoles() {
    harness_.retention.messages = 2;
    harness_.Open();
    for (uint64_t n = 1; n <= 10; ++n) harness_.Commit(Send(kDirect, "ann", "phone", n));
    harness_.Commit(Got(kDirect, "bob", "phone", 4, 5));
    const uint64_t before = harness_.log().counters().retention_runs;
    while (harness_.log().counters().retention_runs == before) (void)harness_.log().Retain(harness_.now_ms);
    EXPECT_EQ(harness_.log().counters().removed_messages, 8u);
  }
  Page Pull(uint32_t limit, bool newest_first, size_t max_bytes = kMaxPageBytes) {
    PullQuery query;
    query.user = "bob";
    query.device = "phone";
    query.conv = kDirect;
    query.limit = limit;
    query.max_bytes = max_bytes;
    query.newest_first = newest_first;
    query.archived_bytes = kArchivedBytes;
    return harness_.Pull(query);
  }
  HistoryPage History(std::optional<uint64_t> after, uint32_t limit) {
    HistoryPage seen;
    const HistoryQuery query = {
        .user = "bob", .conv = kDirect, .before = {}, .after = after, .limit = limit, .archived_bytes = kArchivedBytes};
    harness_.log().History(query, [&](const Status& status, HistoryPage page) {
      EXPECT_TRUE(status.ok()) << status.message;
      seen = std::move(page);
    });
    return seen;
  }
  // "1-3 9": holes and messages in order.
  static std::string Told(const std::vector<PageItem>& items) {
    std::string told;
    for (const PageItem& item : items) {
      if (!told.empty()) told.push_back(' ');
      const Span& span = item.hole.span;
      told +=
          item.is_hole() ? std::to_string(span.from) + "-" + std::to_string(span.to) : std::to_string(item.message.seq);
    }
    return told;
  }

  EmbeddedLogHarness harness_;
};

TEST_F(ArchivedHoles, AnItemOfTheLimitForEachOfThem) {
  HistoryPage page = History(0, 5);
  EXPECT_EQ(Told(page.items), "1-5");
  EXPECT_TRUE(page.more);
  page = History(5, 5);
  EXPECT_EQ(Told(page.items), "6-8 9 10");
  EXPECT_FALSE(page.more);
  page = History({}, 4);
  EXPECT_EQ(Told(page.items), "7-8 9 10");
  EXPECT_TRUE(page.more);
}

TEST_F(ArchivedHoles, WhatWasAckedIsLeftOut) {
  EXPECT_EQ(Told(Pull(100, false).items), "1-3 6-8 9 10");
  EXPECT_EQ(Told(Pull(100, true).items), "10 9 6-8 1-3");
  const Page page = Pull(4, false);
  EXPECT_EQ(Told(page.items), "1-3 6-6");
  ASSERT_EQ(page.covers.size(), 1u);
  EXPECT_EQ(page.covers[0].to, 6u) << "pulling on acks no more than was given";
  const Page newest = Pull(4, true);
  EXPECT_EQ(Told(newest.items), "10 9 7-8");
  ASSERT_EQ(newest.covers.size(), 1u);
  EXPECT_EQ(newest.covers[0].from, 7u);
}

TEST_F(ArchivedHoles, TheirBytesAreReckonedAndOneAlwaysFits) {
  const size_t room_for_two = 2 * (kArchivedBytes + sizeof(kDirect)) + 100;
  EXPECT_EQ(Told(Pull(100, false, room_for_two).items), "1-2");
  EXPECT_EQ(Told(Pull(100, false, 1).items), "1-1");
}

}  // namespace
}  // namespace everyonce::test
