// Bells between processes, over real servers.

#include "redis/redis_relay.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "log/embedded_log_harness.h"
#include "redis/bell_codec.h"
#include "redis/redis_keys.h"
#include "redis/redis_log.h"
#include "redis/redis_server.h"
#include "redis/redis_subscriptions.h"

namespace everyonce::test {
namespace {

// One process: its log, and what its relay says.
class Listener {
 public:
  Listener(Loop* loop, std::vector<RedisAddress> seeds, uint64_t origin) : loop_(*loop) {
    RedisClientOptions client;
    client.seeds = std::move(seeds);
    client.retry_max_ms = 20;
    RedisLogOptions options;
    options.owner = "relay-" + std::to_string(origin);
    options.random = [origin] { return origin; };
    log_ = std::make_unique<RedisLog>(loop_.get(), std::move(client), std::move(options));
    relay().Listen(
        [this](std::vector<Bell> bells) {
          for (Bell& bell : bells) heard.push_back(std::move(bell));
        },
        [this](uint32_t channel) { unsure.push_back(channel); });
    std::optional<RedisStatus> opened;
    log_->Open([&](RedisStatus status, const ServerInfo&) { opened = std::move(status); });
    loop_.RunUntil([&] { return opened.has_value(); });
    EXPECT_TRUE(opened && opened->ok()) << opened->message;
  }

  void Watch(uint32_t channel) {
    relay().Watch(channel);
    WaitUnsure(channel, 1);
  }
  void WaitUnsure(uint32_t channel, std::ptrdiff_t times) {
    loop_.RunUntil([&] { return std::count(unsure.begin(), unsure.end(), channel) >= times; });
  }
  void Tell(uint32_t channel, uint64_t seq) {
    Bell bell;
    bell.kind = Bell::Kind::kMessage;
    bell.conv = kDirect;
    bell.seq = seq;
    bell.packet = "{}";
    relay().Tell(channel, bell);
    relay().Send();
  }
  Relay& relay() { return *log_->relay(); }
  RedisLog& log() { return *log_; }

  std::vector<Bell> heard;
  std::vector<uint32_t> unsure;

 private:
  Loop& loop_;
  std::unique_ptr<RedisLog> log_;
};

TEST(RedisRelay, TheOthersHear) {
  RedisServer server;
  Loop loop;
  Listener one(&loop, {server.address()}, 1);
  Listener two(&loop, {server.address()}, 2);
  const uint32_t channel = one.relay().ChannelOf(kDirect);
  one.Watch(channel);
  two.Watch(channel);
  for (uint64_t seq = 1; seq <= 3; ++seq) one.Tell(channel, seq);
  one.Tell((channel + 1) % 1024, 4);
  two.Tell(channel, 5);
  loop.RunUntil([&] { return two.heard.size() == 3 && one.heard.size() == 1; });
  for (uint64_t seq = 1; seq <= 3; ++seq) EXPECT_EQ(two.heard[seq - 1].seq, seq);
  ASSERT_NE(two.heard[0].audience, nullptr);
  EXPECT_EQ(two.heard[0].audience->size(), 2u);
  EXPECT_EQ(one.heard[0].seq, 5u);
  EXPECT_EQ(one.relay().counters().rung, 4u);
  EXPECT_EQ(two.relay().counters().lost, 0u);
  EXPECT_EQ(two.relay().counters().subscriptions, 1u);
}

TEST(RedisRelay, WhoListensNoMoreHearsNothing) {
  RedisServer server;
  Loop loop;
  Listener one(&loop, {server.address()}, 1);
  Listener two(&loop, {server.address()}, 2);
  two.Watch(7);
  two.Watch(8);
  two.relay().Unwatch(7);
  loop.RunUntil([&] { return two.relay().counters().subscriptions == 1; });
  one.Tell(7, 1);
  one.Tell(8, 2);
  loop.RunUntil([&] { return !two.heard.empty(); });
  EXPECT_EQ(two.heard[0].seq, 2u);
  // And hears again when it does.
  two.Watch(7);
  two.WaitUnsure(7, 2);
  one.Tell(7, 3);
  loop.RunUntil([&] { return two.heard.size() == 2; });
  EXPECT_EQ(two.heard[1].seq, 3u);
}

TEST(RedisRelay, WhatIsMissingIsSeen) {
  RedisServer server;
  Loop loop;
  Listener listener(&loop, {server.address()}, 1);
  listener.Watch(7);
  const auto ring = [&](uint64_t number) {
    std::string payload;
    AppendBellHeader({42, number}, &payload);
    Bell bell;
    bell.conv = kDirect;
    AppendBell(bell, "", &payload);
    Ask(server.address(), {"SPUBLISH", RedisSubscriptions::NameOf(7), payload});
  };
  ring(1);
  ring(2);
  loop.RunUntil([&] { return listener.heard.size() == 2; });
  EXPECT_EQ(listener.unsure.size(), 1u);
  ring(6);
  loop.RunUntil([&] { return listener.heard.size() == 3; });
  EXPECT_EQ(listener.unsure.size(), 2u);
  EXPECT_EQ(listener.relay().counters().lost, 3u);
  // What is none of ours is no reason to fall over.
  Ask(server.address(), {"SPUBLISH", RedisSubscriptions::NameOf(7), "hello"});
  Ask(server.address(), {"SPUBLISH", RedisSubscriptions::NameOf(7), ""});
  listener.WaitUnsure(7, 4);
  ring(7);
  loop.RunUntil([&] { return listener.heard.size() == 4; });
}

TEST(RedisRelay, ACutConnectionIsMadeAgain) {
  RedisServer server;
  Loop loop;
  Listener one(&loop, {server.address()}, 1);
  Listener two(&loop, {server.address()}, 2);
  two.Watch(7);
  EXPECT_EQ(Ask(server.address(), {"CLIENT", "KILL", "TYPE", "pubsub"}).integer, 1);
  two.WaitUnsure(7, 2);
  one.Tell(7, 1);
  loop.RunUntil([&] { return two.heard.size() == 1; });
  EXPECT_EQ(two.relay().counters().resubscriptions, 1u);
  server.Kill();
  server.Start();
  two.WaitUnsure(7, 3);
  EXPECT_EQ(two.relay().counters().subscriptions, 1u);
}

TEST(RedisRelay, FollowsASlotToAnotherMaster) {
  RedisCluster cluster;
  Loop loop;
  Listener one(&loop, cluster.seeds(), 1);
  Listener two(&loop, cluster.seeds(), 2);
  for (uint32_t channel = 0; channel < 32; ++channel) two.Watch(channel);
  EXPECT_EQ(two.relay().counters().subscriptions, 32u);
  const uint16_t slot = SlotOfKey(RedisSubscriptions::NameOf(7));
  const std::string next = Ask(cluster.node((slot * 3u / kRedisSlots + 1) % 3).address(), {"CLUSTER", "MYID"}).text;
  for (size_t i = 0; i < cluster.size(); ++i) {
    Ask(cluster.node(i).address(), {"CLUSTER", "SETSLOT", std::to_string(slot), "NODE", next});
  }
  two.WaitUnsure(7, 2);
  one.Tell(7, 1);
  one.Tell(8, 2);
  loop.RunUntil([&] { return two.heard.size() == 2; });
  EXPECT_EQ(two.relay().counters().subscriptions, 32u);
  EXPECT_EQ(two.relay().counters().resubscriptions, 1u);
}

TEST(RedisRelay, TellsWhereThingsStand) {
  RedisServer server;
  Loop loop;
  Listener listener(&loop, {server.address()}, 1);
  const auto commit = [&](const Command& command) {
    std::optional<Outcome> outcome;
    const std::vector<Command> group = {command};
    listener.log().Commit(group, 1790000000000,
                          [&](std::vector<Outcome> outcomes) { outcome = std::move(outcomes[0]); });
    loop.RunUntil([&] { return outcome.has_value(); });
    return outcome.value_or(Outcome{});
  };
  const Outcome hello = commit(Hello("ann", "phone", 1));
  const Outcome again = commit(Hello("ann", "phone", 1));
  EXPECT_EQ(hello.at_ms, 1790000000000);
  EXPECT_EQ(again.at_ms, 1790000000001);  // later than any before, whatever the clock says
  const Outcome sent = commit(Send(kDirect, "ann", "phone", 1));
  std::vector<Relay::Head> heads;
  listener.relay().Heads({kDirect}, [&](bool ok, std::vector<Relay::Head> told) {
    EXPECT_TRUE(ok);
    heads = std::move(told);
  });
  loop.RunUntil([&] { return !heads.empty(); });
  ASSERT_EQ(heads.size(), 1u);
  EXPECT_EQ(heads[0].seq, 1u);
  EXPECT_EQ(heads[0].epoch, sent.epoch);
  std::vector<Relay::Person> people;
  listener.relay().People({{"ann", "phone"}, {"ann", "laptop"}}, [&](bool ok, std::vector<Relay::Person> told) {
    EXPECT_TRUE(ok);
    people = std::move(told);
  });
  loop.RunUntil([&] { return !people.empty(); });
  ASSERT_EQ(people.size(), 2u);
  EXPECT_EQ(people[0].hello_ms, again.at_ms);
  EXPECT_EQ(people[0].conversations, 1u);
  EXPECT_EQ(people[1].hello_ms, 0);
}

}  // namespace
}  // namespace everyonce::test
