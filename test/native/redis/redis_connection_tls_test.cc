// What a RedisConnection does with TLS, by a stand-in for it: each byte is turned over, a handshake is three bytes of
// which one is the server's. The real one is tested from JavaScript (test/flow/redis-tls.test.js).

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "redis/fake_server.h"
#include "redis/redis_connection.h"
#include "redis/redis_server.h"

namespace everyonce::test {
namespace {

std::string Turned(std::string_view bytes) {
  std::string turned(bytes);
  for (char& byte : turned) byte = static_cast<char>(byte ^ 0x55);
  return turned;
}

constexpr char kHello = 1;  // from either side
constexpr char kDone = 2;   // of the client's handshake
constexpr char kAlert = 3;  // from the server: it fails
constexpr char kBye = 4;    // either side sends no more
constexpr char kEcho = 5;   // from the server: wants `kEchoed` bytes of TLS's own
constexpr size_t kEchoed = 1000;

struct Counts {
  int writes = 0;
  size_t ends = 0;
};

class TurningSession final : public TlsSession {
 public:
  explicit TurningSession(Counts* counts) : counts_(counts), output_(1, kHello) {}
  void Feed(std::string_view bytes) override {
    for (const char byte : bytes) {
      if (byte == kAlert) state_ = State::kFailed;
      if (byte == kHello && state_ == State::kHandshake) {
        state_ = State::kOpen;
        output_.push_back(kDone);
      } else if (byte == kBye) {
        ended_ = true;
      } else if (byte == kEcho) {
        output_.append(kEchoed, kEcho);
      } else if (state_ == State::kOpen) {
        input_.append(Turned({&byte, 1}));
      }
    }
  }
  size_t Read(char* into, size_t size) override {
    if (state_ != State::kOpen) return 0;
    if (input_.empty() && ended_) state_ = State::kEnded;
    const size_t count = std::min({size, input_.size(), size_t{7}});
    input_.copy(into, count);
    input_.erase(0, count);
    return count;
  }
  void Write(std::string_view plaintext) override {
    ++counts_->writes;
    output_.append(Turned(plaintext));
  }
  void End() override {
    if (state_ == State::kOpen) ++counts_->ends;
  }
  void TakeOutput(std::string* ciphertext) override {
    ciphertext->append(output_);
    output_.clear();
  }
  State state() const override { return state_; }
  const std::string& failure() const override { return failure_; }

 private:
  Counts* counts_;
  State state_ = State::kHandshake;
  bool ended_ = false;
  std::string input_;
  std::string output_;
  std::string failure_ = "no trust";
};

class TurningContext final : public TlsContext {
 public:
  explicit TurningContext(Counts* counts) : counts_(counts) {}
  std::unique_ptr<TlsSession> Open(const std::string& host) override {
    EXPECT_EQ(host, "127.0.0.1");
    return std::make_unique<TurningSession>(counts_);
  }

 private:
  Counts* counts_;
};

class RedisConnectionTlsTest : public testing::Test {
 protected:
  ~RedisConnectionTlsTest() override {
    if (connection_) connection_->Close();
  }
  void Open(const RedisAddress& address, bool fail_fast = true) {
    RedisConnectionOptions options;
    options.address = address;
    options.address.tls = true;
    options.tls = std::make_shared<TurningContext>(&counts_);
    options.connect_timeout_ms = 200;
    options.reconnect_min_ms = 5;
    options.reconnect_max_ms = 20;
    options.fail_fast = fail_fast;
    connection_ = RedisConnection::Open(loop_.get(), std::move(options));
  }
  RedisResult Do(const std::vector<std::string>& arguments) {
    std::optional<RedisResult> answer;
    connection_->Command(arguments, {.timeout_ms = 5000}, [&](RedisResult result) { answer = std::move(result); });
    loop_.RunUntil([&] { return answer.has_value(); });
    return answer.value_or(RedisResult{});
  }
  // What a server of this kind says to a piece: to the handshake its hello, to each of `commands` an answer.
  std::string Say(const std::string& bytes) {
    heard_.push_back(bytes);
    std::string said;
    std::string_view rest = bytes;
    if (rest.starts_with(kHello)) said.push_back(kHello);
    if (!rest.empty() && (rest[0] == kHello || rest[0] == kDone)) rest.remove_prefix(1);
    const std::string plain = Turned(rest);
    std::string answers = FakeServer::Greeting(plain);
    for (size_t at = plain.find("GET"); at != std::string::npos; at = plain.find("GET", at + 1)) answers += "+got\r\n";
    return said + Turned(answers);
  }

  Loop loop_;
  Counts counts_;
  std::vector<std::string> heard_;
  std::shared_ptr<RedisConnection> connection_;
};

TEST_F(RedisConnectionTlsTest, NothingPlainLeavesBeforeTheHandshakeAndABatchIsOnePiece) {
  FakeServer server(loop_.get(), [&](const std::string& bytes) { return Say(bytes); });
  Open(server.address());
  EXPECT_EQ(Do({"GET", "x"}).reply.text, "got");
  ASSERT_GE(heard_.size(), 3U);
  EXPECT_EQ(heard_[0], std::string(1, kHello));
  EXPECT_EQ(heard_[1].substr(0, 1), std::string(1, kDone)) << "and the greeting behind it, in one write";
  EXPECT_NE(Turned(heard_[1]).find("PING"), std::string::npos);
  for (const std::string& piece : heard_) EXPECT_EQ(piece.find("GET"), std::string::npos);
  const int writes = counts_.writes;
  int answered = 0;
  for (int i = 0; i < 500; ++i) connection_->Command({"GET", "x"}, {}, [&](const RedisResult&) { ++answered; });
  loop_.RunUntil([&] { return answered == 500; });
  EXPECT_EQ(counts_.writes, writes + 1);
  connection_->Close();
  EXPECT_EQ(counts_.ends, 1U);
}

TEST_F(RedisConnectionTlsTest, TellsWhyAHandshakeFailed) {
  FakeServer server(loop_.get(), [](const std::string&) { return std::string(1, kAlert); });
  Open(server.address(), false);
  // At once, without the deadline of the command: who asks again later is told again.
  const RedisResult result = Do({"GET", "x"});
  EXPECT_EQ(result.status.code, RedisCode::kTls);
  EXPECT_NE(result.status.message.find("no trust"), std::string::npos);
}

TEST_F(RedisConnectionTlsTest, AServerThatSaysNothingIsUnreachable) {
  FakeServer server(loop_.get(), [](const std::string&) { return std::string(); });
  Open(server.address());
  const RedisResult result = Do({"GET", "x"});
  EXPECT_EQ(result.status.code, RedisCode::kUnreachable);
  EXPECT_NE(result.status.message.find("to TLS"), std::string::npos);
}

TEST_F(RedisConnectionTlsTest, AnEndAndAFailureLaterAreCutsLikeAnyOther) {
  std::string last;
  FakeServer server(loop_.get(), [&](const std::string& bytes) {
    return Turned(bytes).find("STOP") == std::string::npos ? Say(bytes) : last;
  });
  Open(server.address());
  for (const char end : {kBye, kAlert}) {
    while (!Do({"GET", "x"}).status.ok()) continue;
    last = std::string(1, end);
    EXPECT_EQ(Do({"STOP"}).status.code, RedisCode::kUnknown) << int{end};
  }
}

TEST_F(RedisConnectionTlsTest, WhatTlsItselfSaysGoesOutAndIsBounded) {
  std::string last = std::string(3, kEcho) + Turned("+stopped\r\n");
  FakeServer server(loop_.get(), [&](const std::string& bytes) {
    return Turned(bytes).find("STOP") == std::string::npos ? Say(bytes) : last;
  });
  Open(server.address());
  EXPECT_EQ(Do({"STOP"}).reply.text, "stopped");
  loop_.RunUntil([&] { return heard_.back() == std::string(3 * kEchoed, kEcho); });
  EXPECT_EQ(heard_.back(), std::string(3 * kEchoed, kEcho));
  last = std::string(300, kEcho);
  EXPECT_EQ(Do({"STOP"}).status.code, RedisCode::kUnknown);
}

TEST_F(RedisConnectionTlsTest, WithoutTlsNothingIsConnected) {
  FakeServer server(loop_.get(), [&](const std::string& bytes) { return Say(bytes); });
  RedisConnectionOptions options;
  options.address = server.address();
  options.address.tls = true;
  options.fail_fast = true;
  connection_ = RedisConnection::Open(loop_.get(), std::move(options));
  EXPECT_EQ(Do({"GET", "x"}).status.code, RedisCode::kTlsUnavailable);
  EXPECT_EQ(server.accepted(), 0);
}

TEST_F(RedisConnectionTlsTest, TellsAPlainClientOfAServerThatSpeaksTls) {
  FakeServer server(loop_.get(), [](const std::string&) { return std::string("\x15\x03\x03\x00\x02\x02\x46", 7); });
  RedisConnectionOptions options;
  options.address = server.address();
  options.fail_fast = true;
  connection_ = RedisConnection::Open(loop_.get(), std::move(options));
  EXPECT_EQ(Do({"GET", "x"}).status.code, RedisCode::kTls);
}

}  // namespace
}  // namespace everyonce::test
