// Consumer groups on Redis, with several processes at once; and what retention and the feed owe each other.

#include "redis/redis_feed.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "log/embedded_log_harness.h"
#include "log/feed_calls.h"
#include "redis/redis_keys.h"
#include "redis/redis_log.h"
#include "redis/redis_server.h"

namespace everyonce::test {
namespace {

constexpr int64_t kLeaseMs = 60'000;

// One server process.
class RedisProcess {
 public:
  static constexpr int64_t kFeedLeaseMs = kLeaseMs;

  RedisProcess(Loop* loop, std::vector<RedisAddress> seeds, RedisRetentionOptions retention = {}) : loop_(*loop) {
    RedisClientOptions client;
    client.seeds = std::move(seeds);
    client.timeout_ms = 9000;
    RedisLogOptions options;
    options.owner = "member-" + std::to_string(reinterpret_cast<uintptr_t>(this));
    options.retention = retention;
    log_ = std::make_unique<RedisLog>(loop_.get(), std::move(client), std::move(options));
    std::optional<RedisStatus> opened;
    log_->Open([&](RedisStatus status, const ServerInfo&) { opened = std::move(status); });
    loop_.RunUntil([&] { return opened.has_value(); });
    EXPECT_TRUE(opened && opened->ok());
  }
  RedisLog& log() { return *log_; }
  RedisFeed& feed() { return static_cast<RedisFeed&>(*log_->feed()); }

  Outcome Commit(const Command& command) {
    const std::vector<Command> group = {command};
    std::optional<Outcome> answer;
    log_->Commit(group, now_ms, [&](const std::vector<Outcome>& outcomes) { answer = outcomes.at(0); });
    loop_.RunUntil([&] { return answer.has_value(); });
    return answer.value_or(Outcome{});
  }
  template <typename Done>
  void Until(const Done& done) {
    loop_.RunUntil(done);
  }
  // A whole round of retention.
  void Round() {
    const uint64_t target = log_->counters().retention_runs + 1;
    while (log_->counters().retention_runs < target && log_->Retain(now_ms) >= 0) {
      loop_.RunUntil([&] { return log_->retention_idle(); });
    }
  }

  int64_t now_ms = 1790000000000;

 private:
  Loop& loop_;
  std::unique_ptr<RedisLog> log_;
};
using FeedMember = FeedCalls<RedisProcess>;

class RedisFeedTest : public testing::Test {
 protected:
  std::vector<RedisAddress> Seeds() { return {server_.address()}; }
  RedisReply Say(const std::vector<std::string>& arguments) { return Ask(server_.address(), arguments); }
  std::string KeyOf(const std::string& conv, const char* kind) {
    const PartitionKeys keys(RedisPartitionOf(conv));
    const std::string name = kind;
    return name == "feed" ? keys.feed : name == "state" ? keys.State("work") : name == "held" ? keys.Held("work") : "";
  }
  // As if the lease had run out long ago.
  void LetLeaseRunOut(const std::string& conv) { Say({"ZADD", KeyOf(conv, "held"), "1", conv}); }

  RedisServer server_;
  Loop loop_;
};

TEST_F(RedisFeedTest, AGroupReadsEverythingInOrderAndGoesOnInAnotherProcess) {
  FeedMember one(&loop_, Seeds());
  one.SendSome(kDirect, 1, 5);
  ASSERT_EQ(one.Commit(Members(MembersAction::kCreate, "ann", {"bob"})).code, Code::kOk);
  EXPECT_TRUE(one.OpenGroup().first);
  EXPECT_FALSE(one.OpenGroup().first) << "calling again finds it";
  EXPECT_EQ(one.Lag().messages, 6u);
  one.SendSome(kDirect, 6, 7);
  EXPECT_EQ(one.Lag().messages, 8u);

  FeedMember two(&loop_, Seeds());
  ASSERT_EQ(two.feed().Groups().size(), 1u);
  FeedPage page = two.Take({.conversations = 1, .limit = 3});
  while (page.slices.at(0).conv != kDirect) {
    EXPECT_EQ(page.slices[0].messages.at(0).type, "system.members") << "these come, too";
    two.AckAll(page.slices[0]);
    page = two.Take({.conversations = 1, .limit = 3});
  }
  EXPECT_EQ(SeqsOf(page.slices[0]), (Seqs{1, 2, 3}));
  EXPECT_EQ(page.slices[0].messages[1].body, "\"message-2\"");
  EXPECT_TRUE(one.Take({.conv = kDirect}).slices.empty()) << "leased, over all processes";
  EXPECT_EQ(one.Ack(page.slices[0], 3).code, Code::kConflict) << "and by nobody else acked";
  EXPECT_EQ(two.AckAll(page.slices[0]).got, 3u);
  Seqs rest;
  for (page = one.Take({.conversations = 9}); !page.slices.empty(); page = one.Take({.conversations = 9})) {
    for (const FeedSlice& slice : page.slices) {
      if (slice.conv == kDirect) rest = SeqsOf(slice);
      one.AckAll(slice);
    }
  }
  EXPECT_EQ(rest, (Seqs{4, 5, 6, 7}));
  EXPECT_EQ(two.Lag().messages, 0u);
  EXPECT_EQ(two.Lag().oldest_at_ms, 0);
  // What is passed by all costs nothing.
  EXPECT_EQ(Say({"XLEN", KeyOf(kDirect, "feed")}).integer, 0);
  EXPECT_EQ(Say({"HEXISTS", KeyOf(kDirect, "state"), kDirect}).integer, 0);
}

TEST_F(RedisFeedTest, FromNowMeansWhatIsAcceptedAfterwards) {
  FeedMember one(&loop_, Seeds());
  one.SendSome(kDirect, 1, 30);
  one.OpenGroup("work", true);
  EXPECT_EQ(one.Lag().messages, 0u);
  EXPECT_TRUE(one.Take().slices.empty());
  EXPECT_EQ(one.Lowest(kDirect), kMaxInteger) << "all is passed";
  one.SendSome(kDirect, 31, 32);
  EXPECT_EQ(one.Lowest(kDirect), 30u);
  EXPECT_EQ(SeqsOf(one.Take().slices.at(0)), (Seqs{31, 32}));
}

TEST_F(RedisFeedTest, NothingIsFedWhereThereIsNoGroupAndADroppedOneHoldsNothing) {
  FeedMember one(&loop_, Seeds());
  one.SendSome(kDirect, 1, 3);
  EXPECT_EQ(Say({"EXISTS", KeyOf(kDirect, "feed")}).integer, 0);
  one.OpenGroup();
  one.OpenGroup("other");
  one.SendSome(kDirect, 4, 6);
  EXPECT_EQ(Say({"EXISTS", KeyOf(kDirect, "feed")}).integer, 1) << "whether or not it was taken over yet";
  EXPECT_EQ(one.Change({.action = FeedAction::kDrop, .group = "other"}).code, Code::kOk);
  EXPECT_EQ(one.Change({.action = FeedAction::kDrop, .group = "other"}).code, Code::kBadRequest);
  const FeedPage page = one.Take();
  EXPECT_EQ(SeqsOf(page.slices.at(0)), (Seqs{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(Say({"XLEN", KeyOf(kDirect, "feed")}).integer, 0) << "taken over by the only group there is";
  EXPECT_EQ(one.Change({.action = FeedAction::kDrop}).code, Code::kOk);
  EXPECT_EQ(one.AckAll(page.slices[0]).code, Code::kBadRequest);
  EXPECT_EQ(Say({"KEYS", "eo:*:groups"}).elements.size(), 0u);
  EXPECT_EQ(Say({"KEYS", "eo:*:?:work"}).elements.size(), 0u);
}

TEST_F(RedisFeedTest, TheFeedKeepsWhatSomeGroupHasNotTakenOver) {
  FeedMember one(&loop_, Seeds());
  one.OpenGroup();
  // A group of which no process here has heard yet.
  const std::string groups = PartitionKeys(RedisPartitionOf(kDirect)).groups;
  Say({"HSET", groups, "slow", "0-0 0"});
  one.SendSome(kDirect, 1, 4);
  one.AckAll(one.Take().slices.at(0));
  EXPECT_EQ(Say({"XLEN", KeyOf(kDirect, "feed")}).integer, 4) << "the other group has not seen it";
  Say({"HDEL", groups, "slow"});
  one.SendSome(kDirect, 5, 5);
  one.AckAll(one.Take().slices.at(0));
  EXPECT_EQ(Say({"XLEN", KeyOf(kDirect, "feed")}).integer, 0);
}

TEST_F(RedisFeedTest, ALeaseThatRanOutFencesItsFormerHolder) {
  FeedMember one(&loop_, Seeds());
  FeedMember two(&loop_, Seeds());
  one.OpenGroup();
  two.OpenGroup();
  one.SendSome(kDirect, 1, 2);
  const FeedSlice first = one.Take().slices.at(0);
  EXPECT_TRUE(one.Renew({first.lease}).empty());
  EXPECT_TRUE(two.Take({.conv = kDirect}).slices.empty());
  LetLeaseRunOut(kDirect);
  const FeedSlice second = two.Take({.conv = kDirect}).slices.at(0);
  EXPECT_EQ(SeqsOf(second), (Seqs{1, 2}));
  EXPECT_GT(second.lease, first.lease);
  EXPECT_EQ(one.Renew({first.lease}), (Seqs{first.lease}));
  EXPECT_EQ(one.AckAll(first).code, Code::kConflict);
  EXPECT_EQ(two.Lag().messages, 2u) << "and moved nothing";
  EXPECT_EQ(two.AckAll(second).code, Code::kOk);
  EXPECT_EQ(two.Lag().messages, 0u);
}

TEST_F(RedisFeedTest, TheBellRingsOverProcesses) {
  FeedMember one(&loop_, Seeds());
  FeedMember two(&loop_, Seeds());
  one.OpenGroup();
  two.OpenGroup();
  bool rung = false;
  two.feed().OnNews([&](std::string_view group) { rung = rung || group == "work"; });
  EXPECT_FALSE(two.Take().more);
  one.SendSome(kDirect, 1, 1);
  loop_.RunUntil([&] { return rung; });
  EXPECT_TRUE(rung);
  EXPECT_EQ(two.Take().slices.size(), 1u);
}

TEST_F(RedisFeedTest, AParkedMessageIsKeptAndTheConversationGoesOn) {
  FeedMember one(&loop_, Seeds());
  one.OpenGroup();
  one.SendSome(kDirect, 1, 3);
  const FeedSlice slice = one.Take().slices.at(0);
  const FeedChange park = {
      .action = FeedAction::kPark, .lease = slice.lease, .seq = 1, .attempts = 8, .error = std::string(3000, 'x')};
  ASSERT_EQ(one.Change(park).code, Code::kOk);
  EXPECT_EQ(one.Change(park).code, Code::kOk) << "the same again";
  EXPECT_EQ(one.Lag().dead_letters, 1u);
  EXPECT_EQ(one.Lag().messages, 2u);
  FeedMember two(&loop_, Seeds());
  LetLeaseRunOut(kDirect);
  EXPECT_EQ(SeqsOf(two.Take().slices.at(0)), (Seqs{2, 3}));
  const std::vector<DeadLetter> letters = two.Letters();
  ASSERT_EQ(letters.size(), 1u);
  EXPECT_EQ(letters[0].message.mid, slice.messages[0].mid);
  EXPECT_EQ(letters[0].message.conv, kDirect);
  EXPECT_EQ(letters[0].message.body, "\"message-1\"");
  EXPECT_EQ(letters[0].message.epoch, slice.messages[0].epoch);
  EXPECT_EQ(letters[0].attempts, 8u);
  EXPECT_EQ(letters[0].error.size(), kMaxFeedErrorBytes);
  EXPECT_TRUE(two.Letters(letters[0].message.mid).empty());
  const uint64_t mid = letters[0].message.mid;
  EXPECT_EQ(two.Change({.action = FeedAction::kMark, .mid = mid, .attempts = 9, .error = "again"}).code, Code::kOk);
  EXPECT_EQ(one.Letters().at(0).attempts, 9u);
  EXPECT_EQ(one.Change({.action = FeedAction::kForget, .mid = mid}).code, Code::kOk);
  EXPECT_EQ(one.Change({.action = FeedAction::kForget, .mid = mid}).code, Code::kBadRequest);
  EXPECT_EQ(one.Lag().dead_letters, 0u);
  EXPECT_TRUE(one.Letters().empty());
}

TEST_F(RedisFeedTest, RetentionPassesNoGroupHoweverLongItIsAway) {
  RedisRetentionOptions keep_two;
  keep_two.messages = 2;
  FeedMember one(&loop_, Seeds(), keep_two);
  FeedMember reader(&loop_, Seeds());
  one.SendSome(kDirect, 1, 10);
  reader.OpenGroup();
  one.Round();
  EXPECT_EQ(one.log().counters().removed_messages, 0u) << "the group has passed nothing";
  const FeedSlice slice = reader.Take({.limit = 4}).slices.at(0);
  reader.AckAll(slice);
  one.Round();
  EXPECT_EQ(one.log().counters().removed_messages, 4u);
  EXPECT_EQ(SeqsOf(reader.Take().slices.at(0)), (Seqs{5, 6, 7, 8, 9, 10}));
  reader.Change({.action = FeedAction::kDrop});
  one.Round();
  EXPECT_EQ(one.log().counters().removed_messages, 8u);
  reader.OpenGroup();
  EXPECT_EQ(reader.Lag().messages, 2u) << "what the log still has";
}

TEST_F(RedisFeedTest, AGroupThatIsKnownToAPartitionAloneIsFoundAgain) {
  RedisRetentionOptions keep_two;
  keep_two.messages = 2;
  FeedMember one(&loop_, Seeds(), keep_two);
  one.SendSome(kDirect, 1, 10);
  one.OpenGroup();
  Say({"DEL", FeedGroupsKey()});  // as a failover may
  FeedMember two(&loop_, Seeds(), keep_two);
  EXPECT_TRUE(two.feed().Groups().empty());
  two.Round();
  loop_.RunUntil([&] { return two.feed().Groups().size() == 1; });
  EXPECT_EQ(two.log().counters().removed_messages, 0u);
  EXPECT_EQ(two.Change({.action = FeedAction::kDrop}).code, Code::kOk);
  two.Round();
  EXPECT_EQ(two.log().counters().removed_messages, 8u);
}

TEST_F(RedisFeedTest, AWipedStoreIsReadFromItsBeginning) {
  FeedMember one(&loop_, Seeds());
  one.OpenGroup();
  one.SendSome(kDirect, 1, 3);
  const FeedSlice lost = one.Take().slices.at(0);
  Say({"FLUSHALL"});
  for (uint64_t n = 1; n <= 2; ++n) one.Commit(Send(kDirect, "ann", "laptop", n, "other-" + IdOf(n)));
  one.OpenGroup();
  EXPECT_EQ(one.AckAll(lost).code, Code::kConflict);
  const FeedSlice slice = one.Take().slices.at(0);
  EXPECT_EQ(SeqsOf(slice), (Seqs{1, 2}));
  EXPECT_GT(slice.lease, lost.lease);
}

TEST(RedisFeedCluster, ManyConversationsAreReadOnceByTwoMembers) {
  RedisCluster cluster;
  Loop loop;
  FeedMember one(&loop, cluster.seeds());
  FeedMember two(&loop, cluster.seeds());
  one.OpenGroup();
  two.OpenGroup();
  std::set<std::string> wanted;
  for (int i = 0; i < 40; ++i) {
    const std::string conv = "dm:ann:user" + std::to_string(i);
    one.SendSome(conv, 1, 3);
    for (const char* seq : {"1", "2", "3"}) wanted.insert(conv + " " + seq);
  }
  std::set<std::string> seen;
  for (FeedMember* member = &one; seen.size() < wanted.size(); member = member == &one ? &two : &one) {
    const FeedPage page = member->Take({.conversations = 3, .limit = 2});
    for (const FeedSlice& slice : page.slices) {
      for (const Message& message : slice.messages) {
        EXPECT_TRUE(seen.insert(slice.conv + " " + std::to_string(message.seq)).second) << "twice";
      }
      EXPECT_EQ(member->AckAll(slice).code, Code::kOk);
    }
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_EQ(seen, wanted);
  EXPECT_EQ(one.Lag().messages, 0u);
}

}  // namespace
}  // namespace everyonce::test
