#include "redis/redis_client.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <optional>

#include "redis/fake_server.h"
#include "redis/redis_server.h"

namespace everyonce::test {
namespace {

class RedisClientTest : public testing::Test {
 protected:
  void Open(std::vector<RedisAddress> seeds, std::optional<bool> cluster = {}) {
    RedisClientOptions options;
    options.seeds = std::move(seeds);
    options.cluster = cluster;
    options.timeout_ms = 9000;
    options.connect_timeout_ms = 500;
    options.retry_max_ms = 20;
    options.random = [this] { return ++random_; };
    client_ = std::make_unique<RedisClient>(loop_.get(), std::move(options));
  }
  RedisResult Do(const std::vector<std::string>& arguments, bool idempotent = true) {
    std::optional<RedisResult> answer;
    const uint16_t slot = arguments.size() > 1 ? SlotOfKey(arguments[1]) : 0;
    client_->Command(slot, arguments, idempotent, [&](RedisResult result) { answer = std::move(result); });
    loop_.RunUntil([&] { return answer.has_value(); });
    return answer.value_or(RedisResult{});
  }
  RedisResult Run(const char* script, const std::vector<std::string>& keys, const std::vector<std::string>& arguments) {
    std::optional<RedisResult> answer;
    client_->RunScript(*FindLuaScript(script), keys, arguments,
                       [&](RedisResult result) { answer = std::move(result); });
    loop_.RunUntil([&] { return answer.has_value(); });
    return answer.value_or(RedisResult{});
  }
  RedisStatus Describe(ServerInfo* info) {
    std::optional<RedisStatus> answer;
    client_->Describe([&](RedisStatus status, const ServerInfo& told) {
      *info = told;
      answer = std::move(status);
    });
    loop_.RunUntil([&] { return answer.has_value(); });
    return answer.value_or(RedisStatus{});
  }
  RedisStatus Wait(uint64_t link, uint32_t replicas, uint32_t timeout_ms) {
    std::optional<RedisStatus> answer;
    client_->WaitForReplicas(link, replicas, timeout_ms, [&](RedisStatus status) { answer = std::move(status); });
    loop_.RunUntil([&] { return answer.has_value(); });
    return answer.value_or(RedisStatus{});
  }

  Loop loop_;
  uint64_t random_ = 0;
  std::unique_ptr<RedisClient> client_;
};

TEST_F(RedisClientTest, WhatWaitsForTheFirstConnectionIsBoundedAndRunsOutInOrder) {
  FakeServer silent(loop_.get(), [](const std::string&) { return std::string(); });
  RedisClientOptions options;
  options.seeds = {silent.address()};
  options.timeout_ms = 300;
  options.connect_timeout_ms = 20;
  options.max_commands = 100;
  options.max_bytes = 10000;
  client_ = std::make_unique<RedisClient>(loop_.get(), std::move(options));
  for (int round = 0; round < 2; ++round) {
    std::vector<int> expired;
    for (int i = 0; i < 100; ++i) {
      client_->Command(0, {"GET", "x"}, true, [&expired, i](const RedisResult& result) {
        EXPECT_EQ(result.status.code, RedisCode::kUnreachable);
        expired.push_back(i);
      });
    }
    EXPECT_EQ(Do({"GET", "one too many"}).status.code, RedisCode::kQueueFull);
    EXPECT_TRUE(expired.empty()) << "it is refused at once";
    loop_.RunUntil([&] { return expired.size() == 100; });
    for (int i = 0; i < 100; ++i) EXPECT_EQ(expired.at(i), i);
  }
  EXPECT_EQ(Do({"SET", "x", std::string(10000, 'x')}).status.code, RedisCode::kQueueFull);
  // What is given back counts no more.
  EXPECT_EQ(Do({"SET", "x", std::string(9000, 'x')}).status.code, RedisCode::kUnreachable);
  EXPECT_EQ(Do({"SET", "x", std::string(9000, 'x')}).status.code, RedisCode::kUnreachable);
  client_.reset();
}

TEST_F(RedisClientTest, UsesASingleServer) {
  RedisServer server({"--appendonly", "yes"});
  Open({server.address()}, false);
  ServerInfo info;
  EXPECT_TRUE(Describe(&info).ok());
  EXPECT_TRUE(info.aof);
  EXPECT_EQ(info.maxmemory_policy, "noeviction");
  EXPECT_EQ(info.replication_id.size(), 40u);
  EXPECT_TRUE(Do({"SET", "key", "value"}).status.ok());
  EXPECT_EQ(Do({"GET", "key"}).reply.text, "value");
}

TEST_F(RedisClientTest, AScriptIsLoadedWhereItIsMissing) {
  RedisServer server;
  Open({server.address()});
  const std::vector<std::string> claim = {"claim", "owner-1", "10000", "", "3", "60000", "0"};
  EXPECT_EQ(Run("claim", {"{t}r", "{t}f"}, claim).reply.elements.at(0).text, "ACQUIRED");
  EXPECT_EQ(client_->counters().evals, 1u);
  EXPECT_EQ(Run("claim", {"{t}r", "{t}f"}, claim).reply.elements.at(0).text, "HELD");
  EXPECT_EQ(client_->counters().evals, 1u);
  Ask(server.address(), {"SCRIPT", "FLUSH"});
  EXPECT_EQ(Run("claim", {"{t}r", "{t}f"}, claim).reply.elements.at(0).text, "HELD");
  EXPECT_EQ(client_->counters().evals, 2u);
}

TEST_F(RedisClientTest, FindsThePrimaryAndWaitsForReplicas) {
  RedisServer primary;
  RedisServer replica({"--replicaof", "127.0.0.1", std::to_string(primary.port())});
  // Until the replica has caught up: WAIT itself tells.
  Open({replica.address()});
  uint64_t link = 0;
  for (bool replicated = false; !replicated;) {
    const RedisResult written = Do({"INCR", "counter"});
    ASSERT_TRUE(written.status.ok()) << written.status.message;
    link = written.link;
    replicated = Wait(link, 1, 500).ok();
  }
  replica.Signal(SIGSTOP);
  const RedisResult unsafe = Do({"INCR", "counter"});
  EXPECT_TRUE(unsafe.status.ok());
  EXPECT_EQ(Wait(unsafe.link, 1, 50).code, RedisCode::kUnknown);
  replica.Signal(SIGCONT);
  EXPECT_TRUE(Wait(unsafe.link, 1, 5000).ok());
  EXPECT_EQ(Wait(unsafe.link + 1000, 1, 50).code, RedisCode::kUnknown);
}

TEST_F(RedisClientTest, FollowsAPromotion) {
  auto primary = std::make_unique<RedisServer>();
  RedisServer replica({"--replicaof", "127.0.0.1", std::to_string(primary->port())});
  Open({primary->address(), replica.address()});
  for (bool replicated = false; !replicated;) replicated = Wait(Do({"SET", "key", "value"}).link, 1, 500).ok();
  // It is demoted and answers READONLY.
  ASSERT_EQ(Ask(replica.address(), {"REPLICAOF", "NO", "ONE"}).text, "OK");
  ASSERT_EQ(Ask(primary->address(), {"REPLICAOF", "127.0.0.1", std::to_string(replica.port())}).text, "OK");
  EXPECT_TRUE(Do({"SET", "key", "other"}, false).status.ok());
  EXPECT_EQ(Ask(replica.address(), {"GET", "key"}).text, "other");
  // And it dies.
  primary.reset();
  EXPECT_TRUE(Do({"SET", "key", "third"}, false).status.ok());
}

TEST_F(RedisClientTest, ComesBackAfterAKill) {
  RedisServer server({"--appendonly", "yes", "--appendfsync", "always"});
  Open({server.address()});
  ASSERT_TRUE(Do({"SET", "key", "value"}).status.ok());
  server.Kill();
  std::optional<RedisResult> answer;
  client_->Command(SlotOfKey("key"), {"GET", "key"}, true, [&](RedisResult result) { answer = std::move(result); });
  loop_.RunUntil([&] { return client_->counters().retries > 2; });
  EXPECT_FALSE(answer);
  server.Start();
  loop_.RunUntil([&] { return answer.has_value(); });
  EXPECT_EQ(answer->reply.text, "value");
}

TEST_F(RedisClientTest, TellsAWrongServerAtOnce) {
  RedisServer single({"--requirepass", "secret"});
  ServerInfo info;
  Open({single.address()});
  EXPECT_EQ(Describe(&info).code, RedisCode::kAuth);
  EXPECT_EQ(Do({"GET", "x"}).status.code, RedisCode::kAuth);
  RedisAddress known = single.address();
  known.password = "secret";
  Open({known}, true);
  EXPECT_EQ(Describe(&info).code, RedisCode::kWrongServer);
  EXPECT_EQ(Do({"GET", "x"}).status.code, RedisCode::kWrongServer);
  FakeServer old(loop_.get(), [](const std::string& bytes) {
    return FakeServer::Greeting(bytes) +
           (bytes.find("INFO") != std::string::npos ? "$21\r\nredis_version:6.2.14\n\r\n" : "");
  });
  Open({old.address()});
  const RedisStatus status = Describe(&info);
  EXPECT_EQ(status.code, RedisCode::kWrongServer);
  EXPECT_NE(status.message.find("6.2.14"), std::string::npos);
  client_->Close();
}

TEST_F(RedisClientTest, AReplicaAloneIsNoPrimary) {
  RedisServer replica({"--replicaof", "127.0.0.1", std::to_string(FreePort())});
  ServerInfo info;
  Open({replica.address()});
  EXPECT_FALSE(Describe(&info).ok());
}

TEST_F(RedisClientTest, ServesAClusterAndFollowsItsSlots) {
  RedisCluster cluster;
  Open({cluster.node(1).address()}, true);
  for (int i = 0; i < 60; ++i) {
    const std::string key = "key-" + std::to_string(i);
    ASSERT_TRUE(Do({"SET", key, key}).status.ok()) << key;
    ASSERT_EQ(Ask(cluster.node(0).address(), {"CLUSTER", "KEYSLOT", key}).integer, SlotOfKey(key));
  }
  EXPECT_EQ(client_->slots().masters.size(), 3u);
  EXPECT_EQ(client_->counters().redirects, 0u);

  // A slot moves: while it does, its new keys live at their new home (ASK); then all do (MOVED).
  const std::string tag = "{moving}";
  const uint16_t slot = SlotOfKey(tag);
  size_t from = 0;
  while (client_->slots().Of(slot)->port != cluster.node(from).port()) ++from;
  const size_t to = (from + 1) % 3;
  const std::string from_id = Ask(cluster.node(from).address(), {"CLUSTER", "MYID"}).text;
  const std::string to_id = Ask(cluster.node(to).address(), {"CLUSTER", "MYID"}).text;
  const std::string number = std::to_string(slot);
  ASSERT_TRUE(Do({"SET", tag + "old", "1"}).status.ok());
  ASSERT_EQ(Ask(cluster.node(to).address(), {"CLUSTER", "SETSLOT", number, "IMPORTING", from_id}).text, "OK");
  ASSERT_EQ(Ask(cluster.node(from).address(), {"CLUSTER", "SETSLOT", number, "MIGRATING", to_id}).text, "OK");
  EXPECT_TRUE(Do({"SET", tag + "new", "2"}).status.ok());
  EXPECT_EQ(client_->counters().redirects, 1u);
  EXPECT_EQ(Do({"GET", tag + "old"}).reply.text, "1");
  // Some here, some there: it waits until all have moved.
  std::optional<RedisResult> both;
  client_->Command(slot, {"MGET", tag + "old", tag + "new"}, true,
                   [&](RedisResult result) { both = std::move(result); });
  loop_.RunUntil([&] { return client_->counters().retries > 0; });
  EXPECT_FALSE(both);
  ASSERT_EQ(Ask(cluster.node(from).address(),
                {"MIGRATE", "127.0.0.1", std::to_string(cluster.node(to).port()), tag + "old", "0", "5000"})
                .text,
            "OK");
  for (const size_t node : {to, from}) {
    ASSERT_EQ(Ask(cluster.node(node).address(), {"CLUSTER", "SETSLOT", number, "NODE", to_id}).text, "OK");
  }
  loop_.RunUntil([&] { return both.has_value(); });
  ASSERT_EQ(both->reply.elements.size(), 2u);
  EXPECT_EQ(both->reply.elements[0].text, "1");
  EXPECT_EQ(Do({"GET", tag + "new"}).reply.text, "2");
  EXPECT_EQ(client_->slots().Of(slot)->port, cluster.node(to).port());
  // No cluster where none was meant.
  ServerInfo info;
  Open({cluster.node(0).address()}, false);
  EXPECT_EQ(Describe(&info).code, RedisCode::kWrongServer);
}

TEST_F(RedisClientTest, ClosingAnswersEverything) {
  RedisServer server;
  Open({server.address()});
  int answered = 0;
  for (int i = 0; i < 3; ++i) {
    client_->Command(0, {"PING"}, true, [&](RedisResult result) {
      ++answered;
      EXPECT_EQ(result.status.code, RedisCode::kClosed);
    });
  }
  client_->Close();
  EXPECT_EQ(answered, 3);
  client_->Command(0, {"PING"}, true, [&](RedisResult) { ++answered; });
  EXPECT_EQ(answered, 4);
}

}  // namespace
}  // namespace everyonce::test
