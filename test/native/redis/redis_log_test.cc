// What happens to Redis, and what the log makes of it (semantics c).

#include "redis/redis_log.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "log/embedded_log_harness.h"
#include "redis/redis_keys.h"
#include "redis/redis_server.h"

namespace everyonce::test {
namespace {

// One server process's log, answered on the test's loop.
class OneLog {
 public:
  OneLog(Loop* loop, std::vector<RedisAddress> seeds, uint32_t replicas = 0, uint32_t replica_timeout_ms = 8000,
         uint32_t lease_ms = 30000)
      : loop_(*loop) {
    RedisClientOptions client;
    client.seeds = std::move(seeds);
    client.timeout_ms = 8000;
    client.retry_max_ms = 20;
    RedisLogOptions options;
    options.owner = "log-" + std::to_string(reinterpret_cast<uintptr_t>(this));
    options.replicas = replicas;
    options.replica_timeout_ms = replica_timeout_ms;
    options.lease_ms = lease_ms;
    log_ = std::make_unique<RedisLog>(loop_.get(), std::move(client), std::move(options));
    std::optional<RedisStatus> opened;
    log_->Open([&](RedisStatus status, const ServerInfo&) { opened = std::move(status); });
    loop_.RunUntil([&] { return opened.has_value(); });
    EXPECT_TRUE(opened && opened->ok()) << opened->message;
  }
  RedisLog& log() { return *log_; }

  std::vector<Outcome> CommitAll(const std::vector<Command>& group) {
    std::optional<std::vector<Outcome>> answers;
    log_->Commit(group, now_ms, [&](std::vector<Outcome> outcomes) { answers = std::move(outcomes); });
    loop_.RunUntil([&] { return answers.has_value(); });
    EXPECT_TRUE(answers && answers->size() == group.size());
    return answers.value_or(std::vector<Outcome>(group.size()));
  }
  Outcome Commit(const Command& command) { return CommitAll({command})[0]; }

  HistoryPage History(const std::string& conv, Code expected = Code::kOk) {
    std::optional<HistoryPage> seen;
    log_->History({.conv = conv, .limit = 1000}, [&](Status status, HistoryPage page) {
      EXPECT_EQ(status.code, expected) << status.message;
      seen = std::move(page);
    });
    loop_.RunUntil([&] { return seen.has_value(); });
    return seen.value_or(HistoryPage{});
  }
  ResumeView ResumeAt(const std::string& conv, uint64_t epoch, uint64_t seq) {
    std::optional<ResumeView> seen;
    log_->ResumeAt("bob", "phone", {Position{conv, epoch, seq}}, [&](Status status, std::vector<ResumeView> views) {
      EXPECT_TRUE(status.ok()) << status.message;
      seen = views.empty() ? ResumeView{} : views[0];
    });
    loop_.RunUntil([&] { return seen.has_value(); });
    return seen.value_or(ResumeView{});
  }
  ConversationView View(const std::string& user, const std::string& device, const std::string& conv) {
    std::optional<ConversationView> seen;
    log_->View(user, device, conv, [&](Status status, ConversationView view) {
      EXPECT_TRUE(status.ok()) << status.message;
      seen = std::move(view);
    });
    loop_.RunUntil([&] { return seen.has_value(); });
    return seen.value_or(ConversationView{});
  }

  // Conversations on a user's list that have something in them.
  std::set<std::string> Listed(const std::string& user) {
    std::optional<std::set<std::string>> seen;
    log_->Views(user, "phone", {}, 100, [&](Status status, const std::vector<ConversationView>& views, bool) {
      EXPECT_TRUE(status.ok()) << status.message;
      seen.emplace();
      for (const ConversationView& view : views) seen->insert(view.conv);
    });
    loop_.RunUntil([&] { return seen.has_value(); });
    return seen.value_or(std::set<std::string>());
  }

  int64_t now_ms = 1790000000000;

 private:
  Loop& loop_;
  std::unique_ptr<RedisLog> log_;
};

TEST(RedisLog, LetsAGroupGoWhenItIsAnswered) {
  RedisServer server;
  Loop loop;
  OneLog one(&loop, {server.address()});
  const std::vector<Command> group = {Send(kDirect, "ann", "phone", 1)};
  auto held = std::make_shared<bool>(false);
  const std::weak_ptr<bool> watched = held;
  one.log().Commit(group, one.now_ms, [held](const std::vector<Outcome>&) { *held = true; });
  held.reset();
  loop.RunUntil([&] { return watched.expired(); });
  EXPECT_TRUE(watched.expired());
  EXPECT_EQ(one.Commit(group[0]).seq, 1u);
}

TEST(RedisLog, TwoProcessesShareOneLog) {
  RedisServer server;
  Loop loop;
  OneLog one(&loop, {server.address()});
  OneLog two(&loop, {server.address()});
  std::set<uint64_t> mids;
  for (uint64_t n = 1; n <= 100; ++n) {
    const Outcome by_ann = one.Commit(Send(kDirect, "ann", "phone", n));
    const Outcome by_bob = two.Commit(Send(kDirect, "bob", "phone", n));
    ASSERT_EQ(by_ann.seq, 2 * n - 1);
    ASSERT_EQ(by_bob.seq, 2 * n);
    ASSERT_EQ(by_ann.epoch, by_bob.epoch);
    mids.insert({by_ann.mid, by_bob.mid});
  }
  EXPECT_EQ(mids.size(), 200u);
  // A retry over the other process; and long ago.
  for (const uint64_t n : {100, 7}) {
    const Outcome again = two.Commit(Send(kDirect, "ann", "phone", n));
    EXPECT_TRUE(again.duplicate);
    EXPECT_EQ(again.seq, 2 * n - 1);
  }
  // A device that came to the other process fences what it left behind here.
  ASSERT_EQ(two.Commit(Hello("ann", "phone", 1)).code, Code::kOk);
  ASSERT_EQ(two.Commit(Hello("ann", "phone", 2)).code, Code::kOk);
  Command newer = Send(kDirect, "ann", "phone", 101);
  newer.pe = 2;
  ASSERT_EQ(two.Commit(newer).seq, 201u);
  EXPECT_EQ(one.Commit(Send(kDirect, "ann", "phone", 102)).code, Code::kStaleDevice);
  // Members that changed over there.
  Command create = Members(MembersAction::kCreate, "ann", {"bob"});
  create.pe = 2;
  ASSERT_EQ(one.Commit(create).code, Code::kOk);
  ASSERT_EQ(one.Commit(Send(kGroup, "bob", "phone", 1)).audience->size(), 2u);
  Command add = Members(MembersAction::kAdd, "ann", {"cat"});
  add.pe = 2;
  ASSERT_EQ(two.Commit(add).code, Code::kOk);
  EXPECT_EQ(one.Commit(Send(kGroup, "bob", "phone", 2)).audience->size(), 3u);
}

TEST(RedisLog, AWipedStoreIsAnotherHistory) {
  RedisServer server;
  Loop loop;
  OneLog log(&loop, {server.address()});
  const Outcome before = log.Commit(Send(kDirect, "ann", "phone", 1));
  Ask(server.address(), {"FLUSHALL"});
  log.now_ms += 5;
  ASSERT_EQ(log.Commit(Send(kDirect, "ann", "phone", 2)).code, Code::kUnknownProducer);
  for (uint64_t n = 1; n <= 3; ++n) ASSERT_EQ(log.Commit(Send(kDirect, "ann", "laptop", n)).seq, n);
  EXPECT_EQ(log.ResumeAt(kDirect, before.epoch, 1).resume, Resume::kReset);
  EXPECT_GT(log.View("bob", "phone", kDirect).epoch, before.epoch);
}

// What a process remembers of users' lists is no more than what Redis has of them.
TEST(RedisLog, UsersListsAreWrittenAgainWhereRedisMayHaveLostThem) {
  RedisServer server;
  Loop loop;
  OneLog log(&loop, {server.address()});
  const std::set<std::string> listed = {kDirect};
  ASSERT_EQ(log.Commit(Send(kDirect, "ann", "phone", 1)).code, Code::kOk);
  ASSERT_EQ(log.Listed("bob"), listed);
  // Another history of the conversation.
  Ask(server.address(), {"FLUSHALL"});
  log.now_ms += 5;
  ASSERT_EQ(log.Commit(Send(kDirect, "ann", "laptop", 1)).seq, 1u);
  EXPECT_EQ(log.Listed("ann"), listed);
  EXPECT_EQ(log.Listed("bob"), listed);
  // The same history, on another master than the list: that one has failed over, and the client has looked.
  Ask(server.address(), {"ZREM", UserIndexKey("bob"), kDirect});
  ASSERT_EQ(log.Listed("bob"), std::set<std::string>());
  const uint64_t looks = log.log().client().counters().topologies;
  log.log().client().Refresh();
  bool looked = false;
  log.log().client().Describe([&](const RedisStatus&, const ServerInfo&) { looked = true; });
  loop.RunUntil([&] { return looked; });
  ASSERT_GT(log.log().client().counters().topologies, looks);
  ASSERT_EQ(log.Commit(Send(kDirect, "ann", "laptop", 2)).seq, 2u);
  EXPECT_EQ(log.Listed("bob"), listed);
}

// A list of members is known by its place in one history.
TEST(RedisLog, MembersOfALostHistoryHearNothing) {
  RedisServer server;
  Loop loop;
  OneLog one(&loop, {server.address()});
  OneLog two(&loop, {server.address()});
  ASSERT_EQ(one.Commit(Members(MembersAction::kCreate, "ann", {"bob"})).code, Code::kOk);
  ASSERT_EQ(*one.Commit(Send(kGroup, "ann", "phone", 1)).audience, (MemberList{"ann", "bob"}));
  Ask(server.address(), {"FLUSHALL"});
  one.now_ms += 5;
  two.now_ms += 5;
  ASSERT_EQ(two.Commit(Members(MembersAction::kCreate, "ann", {"cat"})).code, Code::kOk);
  EXPECT_EQ(*one.Commit(Send(kGroup, "ann", "laptop", 1)).audience, (MemberList{"ann", "cat"}));
}

TEST(RedisLog, ALostTailIsTold) {
  auto primary = std::make_unique<RedisServer>();
  RedisServer replica({"--replicaof", "127.0.0.1", std::to_string(primary->port())});
  Loop loop;
  OneLog log(&loop, {primary->address(), replica.address()});
  OneLog careful(&loop, {primary->address()}, 1);
  uint64_t epoch = 0;
  for (uint64_t n = 1; n <= 3; ++n) {
    const Outcome outcome = careful.Commit(Send(kDirect, "ann", "phone", n));  // the first waits for the replica
    ASSERT_EQ(outcome.seq, n);
    epoch = outcome.epoch;
  }
  ASSERT_EQ(log.Commit(Got(kDirect, "bob", "phone", 0, 3)).got, 3u);
  Ask(replica.address(), {"REPLICAOF", "127.0.0.1", std::to_string(FreePort())});
  for (uint64_t n = 4; n <= 6; ++n) ASSERT_EQ(log.Commit(Send(kDirect, "ann", "phone", n)).seq, n);
  ASSERT_EQ(log.Commit(Got(kDirect, "bob", "phone", 0, 6)).got, 6u);
  primary.reset();
  Ask(replica.address(), {"REPLICAOF", "NO", "ONE"});

  // Before anything is added: no position beyond what the log holds is answered with silence.
  EXPECT_EQ(log.ResumeAt(kDirect, epoch, 6).resume, Resume::kTruncated);
  // Others come in, under the numbers that were lost.
  for (uint64_t n = 1; n <= 5; ++n)
    ASSERT_EQ(log.Commit(Send(kDirect, "bob", "laptop", n, "other-" + IdOf(n))).seq, 3 + n);
  const ResumeView lost = log.ResumeAt(kDirect, epoch, 6);
  EXPECT_EQ(lost.resume, Resume::kTruncated);
  EXPECT_EQ(lost.keep, 3u);
  EXPECT_GT(lost.view.epoch, epoch);
  EXPECT_EQ(lost.view.got, 3u);  // what was acked of the lost tail is not acked of what came in its place
  EXPECT_EQ(log.ResumeAt(kDirect, epoch, 3).resume, Resume::kOk);
  EXPECT_EQ(log.ResumeAt(kDirect, epoch + 12345, 1).resume, Resume::kReset);
  // The sender offers its own again: the same n, no duplicate.
  for (uint64_t n = 4; n <= 6; ++n) {
    const Outcome again = log.Commit(Send(kDirect, "ann", "phone", n));
    EXPECT_FALSE(again.duplicate);
    EXPECT_EQ(again.seq, 5 + n);
  }
  EXPECT_EQ(log.History(kDirect).items.size(), 11u);
}

TEST(RedisLog, NothingIsAckedOrShownThatIsNotReplicated) {
  RedisServer primary;
  RedisServer replica({"--replicaof", "127.0.0.1", std::to_string(primary.port())});
  Loop loop;
  // Waits long: the first time until the replica has come up.
  OneLog patient(&loop, {primary.address()}, 1);
  ASSERT_EQ(patient.Commit(Send(kDirect, "ann", "phone", 1)).seq, 1u);
  EXPECT_EQ(patient.log().safe(), Safe::kReplicated);
  EXPECT_EQ(patient.History(kDirect).items.size(), 1u);
  OneLog hasty(&loop, {primary.address()}, 1, 50);
  replica.Signal(SIGSTOP);
  const Outcome withheld = hasty.Commit(Send(kDirect, "ann", "phone", 2));
  EXPECT_EQ(withheld.code, Code::kUnavailable);
  EXPECT_GE(withheld.retry_ms, 0);
  EXPECT_EQ(withheld.seq, 0u);
  // The duplicate waits, too, and so does who reads.
  EXPECT_EQ(hasty.Commit(Send(kDirect, "ann", "phone", 2)).code, Code::kUnavailable);
  EXPECT_EQ(hasty.History(kDirect, Code::kUnavailable).items.size(), 0u);
  replica.Signal(SIGCONT);
  const Outcome again = patient.Commit(Send(kDirect, "ann", "phone", 2));
  EXPECT_TRUE(again.duplicate);
  EXPECT_EQ(again.seq, 2u);
  EXPECT_EQ(patient.History(kDirect).items.size(), 2u);
}

TEST(RedisLog, AKilledServerKeepsWhatWasAcked) {
  RedisServer server({"--appendonly", "yes", "--appendfsync", "always"});
  Loop loop;
  OneLog log(&loop, {server.address()});
  EXPECT_EQ(log.log().safe(), Safe::kDisk);
  for (uint64_t n = 1; n <= 20; ++n) ASSERT_EQ(log.Commit(Send(kDirect, "ann", "phone", n)).seq, n);
  // In mid-load: a group is under way when the server dies; it is there or not, and the same again tells.
  std::vector<Command> group;
  for (uint64_t n = 21; n <= 60; ++n) group.push_back(Send(kDirect, "ann", "phone", n));
  std::optional<std::vector<Outcome>> first;
  log.log().Commit(group, log.now_ms, [&](std::vector<Outcome> outcomes) { first = std::move(outcomes); });
  uv_run(loop.get(), UV_RUN_NOWAIT);
  server.Kill();
  server.Start();
  loop.RunUntil([&] { return first.has_value(); });
  const std::vector<Outcome> again = log.CommitAll(group);
  for (size_t i = 0; i < group.size(); ++i) {
    ASSERT_EQ(again[i].code, Code::kOk) << again[i].message;
    ASSERT_EQ(again[i].seq, 21 + i);
    if ((*first)[i].code == Code::kOk) {
      EXPECT_EQ((*first)[i].mid, again[i].mid);
    }
  }
  const HistoryPage page = log.History(kDirect);
  ASSERT_EQ(page.items.size(), 60u);
  for (uint64_t n = 1; n <= 60; ++n) EXPECT_EQ(page.items[n - 1].message.id, IdOf(n));
  // Another run of the server: another history, whose prefix is whole.
  const uint64_t before = page.items[0].message.epoch;
  EXPECT_EQ(log.ResumeAt(kDirect, before, 60).resume, Resume::kOk);
}

TEST(RedisLog, FullMemoryAcksNothing) {
  RedisServer server;
  Loop loop;
  OneLog log(&loop, {server.address()});
  ASSERT_EQ(log.Commit(Send(kDirect, "ann", "phone", 1)).code, Code::kOk);
  Ask(server.address(), {"CONFIG", "SET", "maxmemory", "1"});
  const Outcome full = log.Commit(Send(kDirect, "ann", "phone", 2));
  EXPECT_EQ(full.code, Code::kUnavailable);
  EXPECT_NE(full.message.find("OOM"), std::string::npos);
  Ask(server.address(), {"CONFIG", "SET", "maxmemory", "0"});
  EXPECT_EQ(log.Commit(Send(kDirect, "ann", "phone", 2)).seq, 2u);
}

TEST(RedisLog, ClosingAnswersEverything) {
  RedisServer server;
  Loop loop;
  OneLog log(&loop, {server.address()});
  int answered = 0;
  const std::vector<Command> group = {Send(kDirect, "ann", "phone", 1)};
  log.log().Commit(group, log.now_ms, [&](const std::vector<Outcome>& outcomes) {
    ++answered;
    EXPECT_EQ(outcomes.at(0).code, Code::kUnavailable);
  });
  log.log().MembersOf(kGroup, [&](const Status& status, const std::shared_ptr<const MemberList>&) {
    ++answered;
    EXPECT_EQ(status.code, Code::kUnavailable);
  });
  log.log().Close();
  EXPECT_EQ(answered, 2);
}

TEST(RedisLog, NumbersOfWorkersAreLeasedOneByOne) {
  RedisServer server;
  Loop loop;
  OneLog one(&loop, {server.address()});
  OneLog two(&loop, {server.address()});
  const uint64_t by_one = one.Commit(Send(kDirect, "ann", "phone", 1)).mid;
  const uint64_t by_two = two.Commit(Send(kDirect, "bob", "phone", 1)).mid;
  EXPECT_NE(Snowflake::Decode(by_one).worker, Snowflake::Decode(by_two).worker);
  EXPECT_EQ(Ask(server.address(), {"HLEN", WorkersKey()}).integer, 2);
}

// Two regular times that met a failover were a lease lost, and all was refused until a third.
TEST(RedisLog, ALeaseThatCouldNotBeRenewedIsAskedForAgainSoon) {
  RedisServer server;
  Loop loop;
  OneLog one(&loop, {server.address()}, 0, 8000, 9000);
  Ask(server.address(), {"RENAME", WorkersKey(), "aside"});
  Ask(server.address(), {"SET", WorkersKey(), "no hash"});
  // A third of the lease until it is renewed first; three more times that much, and it would have run out.
  ASSERT_TRUE(loop.RunUntil([&] {
    const std::string errors = Ask(server.address(), {"INFO", "errorstats"}).text;
    return errors.find("errorstat_WRONGTYPE:count=4") != std::string::npos;
  }));
  Ask(server.address(), {"RENAME", "aside", WorkersKey()});
  EXPECT_EQ(one.Commit(Send(kDirect, "ann", "phone", 1)).code, Code::kOk) << "it has the lease yet";
}

}  // namespace
}  // namespace everyonce::test
