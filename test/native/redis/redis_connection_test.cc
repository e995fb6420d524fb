#include "redis/redis_connection.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <optional>

#include "redis/fake_server.h"
#include "redis/redis_server.h"

namespace everyonce::test {
namespace {

RedisConnectionOptions At(const RedisAddress& address) {
  RedisConnectionOptions options;
  options.address = address;
  options.reconnect_min_ms = 5;
  options.reconnect_max_ms = 20;
  return options;
}

class RedisConnectionTest : public testing::Test {
 protected:
  void Open(RedisConnectionOptions options) { connection_ = RedisConnection::Open(loop_.get(), std::move(options)); }
  ~RedisConnectionTest() override {
    if (connection_) connection_->Close();
  }
  // Asks and waits.
  RedisResult Do(const std::vector<std::string>& arguments, RedisCommandOptions options = {.timeout_ms = 5000}) {
    std::optional<RedisResult> answer;
    connection_->Command(arguments, options, [&](RedisResult result) { answer = std::move(result); });
    loop_.RunUntil([&] { return answer.has_value(); });
    return answer.value_or(RedisResult{});
  }

  Loop loop_;
  std::shared_ptr<RedisConnection> connection_;
};

TEST_F(RedisConnectionTest, PipelinesInOrderInOneWrite) {
  RedisServer server;
  Open(At(server.address()));
  EXPECT_EQ(Do({"PING"}).reply.text, "PONG");
  EXPECT_EQ(Do({"CLIENT", "GETNAME"}).reply.text, "everyonce");
  const uint64_t writes = connection_->writes();
  std::vector<int64_t> counts;
  for (int i = 0; i < 1000; ++i) {
    connection_->Command({"INCR", "counter"}, {}, [&](RedisResult result) { counts.push_back(result.reply.integer); });
  }
  loop_.RunUntil([&] { return counts.size() == 1000; });
  for (size_t i = 0; i < counts.size(); ++i) ASSERT_EQ(counts[i], static_cast<int64_t>(i) + 1);
  EXPECT_EQ(connection_->writes(), writes + 1);
}

TEST_F(RedisConnectionTest, CarriesLargeValuesBothWays) {
  RedisServer server;
  Open(At(server.address()));
  const std::string large(8 << 20, 'x');
  EXPECT_TRUE(Do({"SET", "large", large}).status.ok());
  EXPECT_EQ(Do({"GET", "large"}).reply.text.size(), large.size());
}

TEST_F(RedisConnectionTest, TellsAnErrorReply) {
  RedisServer server;
  Open(At(server.address()));
  const RedisResult result = Do({"NOSUCH"});
  EXPECT_EQ(result.status.code, RedisCode::kRefused);
  EXPECT_TRUE(result.reply.HasErrorCode("ERR"));
  EXPECT_TRUE(Do({"PING"}).status.ok());
}

TEST_F(RedisConnectionTest, LogsInAndSelects) {
  RedisServer server({"--requirepass", "secret", "--user", "bob", "on", ">word", "~*", "+@all"});
  RedisConnectionOptions options = At(server.address());
  options.address.user = "bob";
  options.address.password = "word";
  options.address.database = 3;
  options.client_name = "it";
  Open(options);
  EXPECT_EQ(Do({"ACL", "WHOAMI"}).reply.text, "bob");
  EXPECT_NE(Do({"CLIENT", "INFO"}).reply.text.find(" db=3 "), std::string::npos);
}

TEST_F(RedisConnectionTest, SaysThatThePasswordIsWrong) {
  RedisServer server({"--requirepass", "secret"});
  RedisConnectionOptions options = At(server.address());
  options.address.password = "guess";
  Open(options);
  const RedisResult result = Do({"PING"}, {.timeout_ms = 9000});
  EXPECT_EQ(result.status.code, RedisCode::kAuth);
  EXPECT_EQ(result.status.message.find("guess"), std::string::npos);
  options.address.password = "";
  connection_->Close();
  Open(options);
  EXPECT_EQ(Do({"PING"}, {.timeout_ms = 9000}).status.code, RedisCode::kAuth);
}

TEST_F(RedisConnectionTest, ADatabaseThatIsNotThereIsTheWrongServer) {
  RedisServer server;
  RedisConnectionOptions options = At(server.address());
  options.address.database = 4000;
  Open(options);
  EXPECT_EQ(Do({"PING"}, {.timeout_ms = 9000}).status.code, RedisCode::kWrongServer);
}

TEST_F(RedisConnectionTest, WhatWasSentBeforeACutIsUnknownAndWhatMayBeIsSentAgain) {
  RedisServer server;
  Open(At(server.address()));
  ASSERT_TRUE(Do({"PING"}).status.ok());
  server.Signal(SIGSTOP);
  std::optional<RedisResult> once;
  std::optional<RedisResult> again;
  connection_->Command({"INCR", "once"}, {.timeout_ms = 9000}, [&](RedisResult result) { once = std::move(result); });
  connection_->Command({"PING"}, {.timeout_ms = 9000, .idempotent = true},
                       [&](RedisResult result) { again = std::move(result); });
  const uint64_t writes = connection_->writes();
  loop_.RunUntil([&] { return connection_->writes() > writes; });
  server.Kill();
  loop_.RunUntil([&] { return once.has_value(); });
  EXPECT_EQ(once->status.code, RedisCode::kUnknown);
  EXPECT_FALSE(again.has_value());
  EXPECT_EQ(connection_->link(), 0u);
  server.Start();
  loop_.RunUntil([&] { return again.has_value(); });
  EXPECT_EQ(again->reply.text, "PONG");
}

TEST_F(RedisConnectionTest, WhatWasNeverSentIsUnreachable) {
  RedisAddress nobody;
  nobody.port = static_cast<uint16_t>(FreePort());
  Open(At(nobody));
  EXPECT_EQ(Do({"INCR", "x"}, {.timeout_ms = 60}).status.code, RedisCode::kUnreachable);
  connection_->Close();
  RedisConnectionOptions options = At(nobody);
  options.fail_fast = true;
  Open(options);
  EXPECT_EQ(Do({"INCR", "x"}, {.timeout_ms = 9000}).status.code, RedisCode::kUnreachable);
}

TEST_F(RedisConnectionTest, NoAnswerInTimeIsATimeoutAndEndsTheConnection) {
  RedisServer server;
  Open(At(server.address()));
  ASSERT_TRUE(Do({"PING"}).status.ok());
  const uint64_t link = connection_->link();
  server.Signal(SIGSTOP);
  std::optional<RedisResult> behind;
  std::optional<RedisResult> first;
  connection_->Command({"INCR", "x"}, {.timeout_ms = 40}, [&](RedisResult result) { first = std::move(result); });
  connection_->Command({"INCR", "x"}, {.timeout_ms = 9000}, [&](RedisResult result) { behind = std::move(result); });
  loop_.RunUntil([&] { return first && behind; });
  EXPECT_EQ(first->status.code, RedisCode::kTimeout);
  EXPECT_TRUE(behind->status.unknown());
  server.Signal(SIGCONT);
  EXPECT_TRUE(Do({"PING"}).status.ok());
  EXPECT_NE(connection_->link(), link);
}

TEST_F(RedisConnectionTest, RefusesWhatIsTooMuch) {
  RedisServer server;
  RedisConnectionOptions options = At(server.address());
  options.max_commands = 3;
  options.max_bytes = 1000;
  Open(options);
  ASSERT_TRUE(Do({"PING"}).status.ok());
  int answered = 0;
  int refused = 0;
  for (int i = 0; i < 5; ++i) {
    connection_->Command({"PING"}, {}, [&](RedisResult result) {
      ++answered;
      refused += result.status.code == RedisCode::kQueueFull ? 1 : 0;
    });
  }
  EXPECT_EQ(refused, 2);
  EXPECT_EQ(Do({"SET", "x", std::string(2000, 'x')}).status.code, RedisCode::kQueueFull);
  loop_.RunUntil([&] { return answered == 5; });
  EXPECT_TRUE(Do({"PING"}).status.ok());
}

TEST_F(RedisConnectionTest, ClosingAnswersEverything) {
  RedisServer server;
  Open(At(server.address()));
  ASSERT_TRUE(Do({"PING"}).status.ok());
  std::vector<RedisCode> codes;
  connection_->Command({"PING"}, {}, [&](RedisResult result) { codes.push_back(result.status.code); });
  connection_->Close();
  connection_->Command({"PING"}, {}, [&](RedisResult result) { codes.push_back(result.status.code); });
  EXPECT_EQ(codes, (std::vector<RedisCode>{RedisCode::kClosed, RedisCode::kClosed}));
}

TEST_F(RedisConnectionTest, HearsAChannel) {
  RedisServer server;
  Open(At(server.address()));
  std::string heard;
  connection_->OnPush([&](std::string_view kind, std::string_view channel, std::string_view payload) {
    heard = std::string(kind) + " " + std::string(channel) + " " + std::string(payload);
  });
  ASSERT_TRUE(Do({"SSUBSCRIBE", "bell"}).status.ok());
  Ask(server.address(), {"SPUBLISH", "bell", "rings"});
  loop_.RunUntil([&] { return !heard.empty(); });
  EXPECT_EQ(heard, "smessage bell rings");
}

// --- what no Redis says ---

TEST_F(RedisConnectionTest, AnAnswerThatReadsLikeAPushIsAnAnswer) {
  RedisServer server;
  Open(At(server.address()));
  for (const char* kind : {"message", "smessage", "sunsubscribe"}) {
    const RedisResult result = Do({"EVAL", "return ARGV", "0", kind, "channel", "text"});
    ASSERT_EQ(result.reply.elements.size(), 3u) << kind;
    EXPECT_EQ(result.reply.elements[0].text, kind);
  }
  EXPECT_EQ(Do({"PING"}).reply.text, "PONG");
}

TEST_F(RedisConnectionTest, NoRedisAtAll) {
  FakeServer web(loop_.get(), [](const std::string&) { return "HTTP/1.1 400 Bad Request\r\n\r\n"; });
  RedisConnectionOptions options = At(web.address());
  options.fail_fast = true;
  Open(options);
  EXPECT_EQ(Do({"PING"}, {.timeout_ms = 9000}).status.code, RedisCode::kProtocol);
}

TEST_F(RedisConnectionTest, HalfAReplyThenSilence) {
  FakeServer half(loop_.get(), [](const std::string& bytes) {
    return FakeServer::Greeting(bytes) +
           (bytes.find("GET") != std::string::npos && bytes.find("SETNAME") == std::string::npos ? "$10\r\nabc" : "");
  });
  Open(At(half.address()));
  EXPECT_EQ(Do({"GET", "x"}, {.timeout_ms = 40}).status.code, RedisCode::kTimeout);
}

TEST_F(RedisConnectionTest, AReplyThatNobodyAskedFor) {
  FakeServer chatty(loop_.get(), [](const std::string& bytes) { return FakeServer::Greeting(bytes) + "+MORE\r\n"; });
  Open(At(chatty.address()));
  const RedisResult result = Do({"PING"}, {.timeout_ms = 100});
  EXPECT_FALSE(result.status.ok());
  EXPECT_GT(chatty.accepted(), 1);
}

TEST_F(RedisConnectionTest, AServerThatNeverGreets) {
  FakeServer mute(loop_.get(), [](const std::string&) { return ""; });
  RedisConnectionOptions options = At(mute.address());
  options.connect_timeout_ms = 30;
  options.fail_fast = true;
  Open(options);
  EXPECT_EQ(Do({"PING"}, {.timeout_ms = 9000}).status.code, RedisCode::kUnreachable);
}

TEST_F(RedisConnectionTest, AReplyWithoutAnEnd) {
  FakeServer endless(loop_.get(), [](const std::string& bytes) {
    return FakeServer::Greeting(bytes) +
           (bytes.find("GET") != std::string::npos && bytes.find("SETNAME") == std::string::npos
                ? "$999999\r\n" + std::string(9000, 'x')
                : "");
  });
  RedisConnectionOptions options = At(endless.address());
  options.max_reply_bytes = 5000;
  Open(options);
  const RedisResult result = Do({"GET", "x"}, {.timeout_ms = 9000});
  EXPECT_EQ(result.status.code, RedisCode::kUnknown);
  EXPECT_NE(result.status.message.find("5000"), std::string::npos);
}

}  // namespace
}  // namespace everyonce::test
