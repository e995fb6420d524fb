#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "log/feed.h"
#include "log/log.h"

namespace everyonce::test {

// What a test asks of consumer groups, each call to its answer. `Base` has a log(), Commit(command), now_ms,
// Until(done) that lets things happen until `done()`, and kFeedLeaseMs. The group is "work" where none is named.
template <typename Base>
class FeedCalls : public Base {
 public:
  using Base::Base;

  auto& feed() { return *this->log().feed(); }

  void SendSome(const std::string& conv, uint64_t from, uint64_t to) {
    for (uint64_t n = from; n <= to; ++n) {
      const Outcome outcome = this->Commit(Send(conv, "ann", "phone", n));
      ASSERT_EQ(outcome.code, Code::kOk) << outcome.message;
    }
  }
  Outcome Change(FeedChange change) {
    if (change.group.empty()) change.group = "work";
    Command command;
    command.kind = CommandKind::kFeed;
    command.feed = std::make_shared<const FeedChange>(std::move(change));
    return this->Commit(command);
  }
  Outcome OpenGroup(const std::string& group = "work", bool from_now = false) {
    return Change({.action = FeedAction::kOpen, .group = group, .from_now = from_now});
  }
  Outcome Ack(const FeedSlice& slice, uint64_t seq, bool release = true) {
    return Change({.action = FeedAction::kAck, .lease = slice.lease, .seq = seq, .release = release});
  }
  Outcome AckAll(const FeedSlice& slice) { return Ack(slice, slice.messages.back().seq); }

  FeedPage Take() { return Take(10); }
  FeedPage Take(FeedQuery query) {
    if (query.group.empty()) query.group = "work";
    if (query.lease_ms == 0) query.lease_ms = Base::kFeedLeaseMs;
    if (query.now_ms == 0) query.now_ms = this->now_ms;
    return Answer<FeedPage>([&](auto done) { feed().Take(query, std::move(done)); });
  }
  FeedPage Take(uint32_t conversations, uint32_t limit = 100, const std::string& group = "work",
                const std::string& conv = "") {
    return Take({.group = group, .conv = conv, .conversations = conversations, .limit = limit});
  }
  // Asked again until it is exact.
  FeedLag Lag(const std::string& group = "work") {
    for (;;) {
      const FeedLag lag = Answer<FeedLag>([&](auto done) { feed().Lag(group, std::move(done)); });
      if (lag.exact || testing::Test::HasFailure()) return lag;
    }
  }
  std::vector<uint64_t> Renew(const std::vector<uint64_t>& leases) {
    return Answer<std::vector<uint64_t>>(
        [&](auto done) { feed().Renew("work", leases, Base::kFeedLeaseMs, this->now_ms, std::move(done)); });
  }
  std::vector<DeadLetter> Letters(uint64_t after = 0, uint32_t limit = 100, bool* more = nullptr) {
    return Answer<std::vector<DeadLetter>>([&](auto done) {
      feed().Letters("work", after, limit,
                     [more, done](const Status& status, std::vector<DeadLetter> letters, bool rest) {
                       if (more != nullptr) *more = rest;
                       done(status, std::move(letters));
                     });
    });
  }
  uint64_t Lowest(const std::string& conv) {
    return Answer<uint64_t>([&](auto done) { this->log().LowestGroupPosition(conv, std::move(done)); });
  }

 private:
  template <typename Value, typename Ask>
  Value Answer(const Ask& ask) {
    std::optional<Value> answer;
    ask([&answer](const Status& status, Value value) {
      EXPECT_TRUE(status.ok()) << status.message;
      answer = std::move(value);
    });
    this->Until([&] { return answer.has_value(); });
    return answer.value_or(Value{});
  }
};

using Seqs = std::vector<uint64_t>;

inline Seqs SeqsOf(const FeedSlice& slice) {
  Seqs seqs;
  for (const Message& message : slice.messages) seqs.push_back(message.seq);
  return seqs;
}

}  // namespace everyonce::test
