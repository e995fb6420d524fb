#include "redis/redis_url.h"

#include <gtest/gtest.h>

#include <iostream>

#include "support/seed.h"

namespace everyonce::test {
namespace {

TEST(RedisUrl, ReadsAllParts) {
  RedisAddress address;
  ASSERT_TRUE(ParseRedisUrl("redis://bob:p%40ss%3A%2f@[::1]:6380/3", &address).ok());
  EXPECT_EQ(address.host, "::1");
  EXPECT_EQ(address.port, 6380);
  EXPECT_EQ(address.user, "bob");
  EXPECT_EQ(address.password, "p@ss:/");
  EXPECT_EQ(address.database, 3u);
  EXPECT_EQ(address.Name(), "[::1]:6380");
  ASSERT_TRUE(ParseRedisUrl("redis://:secret@cache", &address).ok());
  EXPECT_EQ(address.Name(), "cache:6379");
  EXPECT_EQ(address.user, "");
  EXPECT_EQ(address.password, "secret");
  EXPECT_TRUE(ParseRedisUrl("redis://localhost/", &address).ok());
}

TEST(RedisUrl, SaysWhatIsWrongWithoutThePassword) {
  for (const char* url : {"",
                          "localhost",
                          "http://localhost",
                          "redis://",
                          "redis://:1",
                          "redis://host:",
                          "redis://host:0",
                          "redis://host:65536",
                          "redis://host:12x",
                          "redis://host/one",
                          "redis://host/-1",
                          "redis://hunter2@host",
                          "redis://:hunter2%@host",
                          "redis://:hunter2%zz@host",
                          "redis://a b",
                          "redis://[::1",
                          "redis://[::1]x",
                          "redis://:hunter2@",
                          "redis://:hunter2@host?x=1",
                          "redis://:hunter2@host:99999"}) {
    RedisAddress address;
    const RedisStatus status = ParseRedisUrl(url, &address);
    EXPECT_EQ(status.code, RedisCode::kBadUrl) << url;
    EXPECT_EQ(status.message.find("hunter2"), std::string::npos) << url;
  }
  RedisAddress address;
  ASSERT_TRUE(ParseRedisUrl("rediss://:hunter2@host:6380/3", &address).ok());
  EXPECT_TRUE(address.tls);
  EXPECT_EQ(address.Name() + " " + address.password, "host:6380 hunter2");
  ASSERT_TRUE(ParseRedisUrl("redis://host", &address).ok());
  EXPECT_FALSE(address.tls);
  EXPECT_EQ(RedisCodeName(RedisCode::kTlsUnavailable), "TLS_UNAVAILABLE");
}

TEST(RedisUrl, TakesAnyBytes) {
  const uint64_t seed = FromEnvironment("EVERYONCE_SEED", 5);
  std::cout << "seed " << seed << "\n";
  Random random(seed);
  const std::string alphabet = "redis://%:@[]/09af?#\xff\x01 ";
  for (int i = 0; i < 20000; ++i) {
    std::string url = random.OneIn(2) ? "redis://" : "";
    for (uint64_t size = random.Below(24); size > 0; --size) url.push_back(alphabet[random.Below(alphabet.size())]);
    RedisAddress address;
    if (!ParseRedisUrl(url, &address).ok()) continue;
    EXPECT_FALSE(address.host.empty()) << url;
    EXPECT_NE(address.port, 0) << url;
    std::string host;
    uint16_t port = 0;
    EXPECT_TRUE(ParseRedisNode(address.Name(), &host, &port)) << url;
    EXPECT_EQ(port, address.port) << url;
  }
}

}  // namespace
}  // namespace everyonce::test
