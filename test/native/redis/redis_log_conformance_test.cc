// The conformance suite of every Log, on a real Redis and on a real Cluster.

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "log/conformance.h"
#include "redis/redis_keys.h"
#include "redis/redis_log.h"
#include "redis/redis_server.h"

namespace everyonce::test {
namespace {

class OnRedis : public LogUnderTest {
 public:
  ~OnRedis() override { End(); }
  Log* log() override { return log_.get(); }
  void Reopen(int64_t, bool) override {
    End();
    RedisClientOptions client;
    client.seeds = Seeds();
    client.timeout_ms = 9000;
    client.random = [this] { return ++random_; };
    RedisLogOptions options;
    options.window_ms = kTestWindowMs;
    options.random = [this] { return ++random_; };
    options.owner = "log-1";  // the same process, so that its turn goes on
    options.cache_conversations = 3;
    options.replicas = replicas_;
    options.replica_timeout_ms = 5000;
    options.retention = retention_;
    log_ = std::make_unique<RedisLog>(loop_.get(), std::move(client), std::move(options));
    std::optional<RedisStatus> opened;
    log_->Open([&](RedisStatus status, const ServerInfo&) { opened = std::move(status); });
    loop_.RunUntil([&] { return opened.has_value(); });
    ASSERT_TRUE(opened && opened->ok()) << (opened ? opened->message : "");
  }
  void RunUntil(const std::function<bool()>& done) override { loop_.RunUntil(done); }
  bool SetRules(const LogModel::Rules& rules) override {
    retention_.max_age_ms = rules.max_age_ms;
    retention_.messages = rules.messages;
    retention_.until_acked = rules.until_acked;
    retention_.slice_records = 20;  // so that a conversation takes many steps
    Reopen(kTestStartMs, false);
    return true;
  }
  void EndSlice() override {
    loop_.RunUntil([this] { return log_->retention_idle(); });
  }
  uint64_t FloorOf(const std::string& conv) override {
    if (!retention_.removes()) return 0;
    uint64_t floor = 0;
    std::optional<RedisResult> told;
    const ConversationKeys keys(conv);
    log_->client().Command(SlotOfKey(keys.prefix()), {"HGET", keys.Meta(), "fl"}, true,
                           [&](RedisResult result) { told = std::move(result); });
    loop_.RunUntil([&] { return told.has_value(); });
    return told && told->reply.ToNumber(&floor) ? floor : 0;
  }

 protected:
  virtual std::vector<RedisAddress> Seeds() = 0;
  uint32_t replicas_ = 0;
  RedisRetentionOptions retention_;

 private:
  void End() {
    log_.reset();
    // Lets the handles go.
    uv_run(loop_.get(), UV_RUN_NOWAIT);
  }

  Loop loop_;
  std::unique_ptr<RedisLog> log_;
  uint64_t random_ = 0;
};

class OnSingle final : public OnRedis {
  std::vector<RedisAddress> Seeds() override { return {server_.address()}; }
  RedisServer server_;
};

class OnPrimaryWithReplica final : public OnRedis {
 public:
  OnPrimaryWithReplica() { replicas_ = 1; }

 private:
  std::vector<RedisAddress> Seeds() override { return {primary_.address()}; }
  RedisServer primary_;
  RedisServer replica_{{"--replicaof", "127.0.0.1", std::to_string(primary_.port())}};
};

class OnCluster final : public OnRedis {
  std::vector<RedisAddress> Seeds() override { return cluster_.seeds(); }
  RedisCluster cluster_;
};

template <typename Kind>
void RunOn(RunOptions options) {
  Kind subject;
  subject.Reopen(kTestStartMs, false);
  if (testing::Test::HasFailure()) return;
  ModelRun run(&subject, options);
  run.Run();
  if (options.retain_one_in != 0) {
    EXPECT_GT(run.model().removed(), 0u) << "nothing was ever removed";
  }
  if (testing::Test::HasFailure() || run.model().messages() < 3500) return;
  // Not too_old: refusals are kept for ever here, so only what is from before a skip that began a device is too old.
  for (const char* answer : {"ok", "dup", "gap", "conflict", "unknown_producer", "unknown_conv", "forbidden",
                             "too_large", "token_invalid", "bad_request", "exists", "stale_device"}) {
    EXPECT_GT(run.model().answers().contains(answer) ? run.model().answers().at(answer) : 0, 0u) << answer;
  }
}

TEST(RedisLogConformance, SingleAnswersAsTheModel) { RunOn<OnSingle>({.seed = 31, .steps = 600}); }
TEST(RedisLogConformance, SingleOpenedAgainNowAndThen) {
  RunOn<OnSingle>({.seed = 32, .steps = 200, .reopen_every = 7});
}
TEST(RedisLogConformance, ReplicatedAnswersAsTheModel) { RunOn<OnPrimaryWithReplica>({.seed = 33, .steps = 150}); }
TEST(RedisLogConformance, ClusterAnswersAsTheModel) {
  RunOn<OnCluster>({.seed = 34, .steps = 300, .reopen_every = 40});
}

constexpr LogModel::Rules kFew{.messages = 25};
constexpr LogModel::Rules kAcked{.until_acked = true};
constexpr LogModel::Rules kAll{.max_age_ms = 400, .messages = 150, .until_acked = true};
TEST(RedisLogConformance, SingleThatKeepsFew) {
  RunOn<OnSingle>({.seed = 35, .steps = 300, .reopen_every = 29, .rules = kFew, .retain_one_in = 6});
}
TEST(RedisLogConformance, SingleThatKeepsUntilAcked) {
  RunOn<OnSingle>({.seed = 36, .steps = 300, .reopen_every = 29, .rules = kAcked, .retain_one_in = 6});
}
TEST(RedisLogConformance, ClusterThatRemovesByAllRules) {
  RunOn<OnCluster>({.seed = 37, .steps = 200, .reopen_every = 40, .rules = kAll, .retain_one_in = 6});
}

}  // namespace
}  // namespace everyonce::test
