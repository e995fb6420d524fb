#include "redis/reply.h"

#include <gtest/gtest.h>

#include <iostream>

#include "support/seed.h"

namespace everyonce::test {
namespace {

using Type = RedisReply::Type;
constexpr char kNestedBytes[] = "*4\r\n$3\r\na\0b\r\n:-7\r\n$-1\r\n*2\r\n+OK\r\n-NO way\r\n";
const std::string kNested(kNestedBytes, sizeof(kNestedBytes) - 1);

void ExpectNested(const RedisReply& reply) {
  ASSERT_EQ(reply.type, Type::kArray);
  ASSERT_EQ(reply.elements.size(), 4u);
  EXPECT_EQ(reply.elements[0].text, std::string("a\0b", 3));
  EXPECT_EQ(reply.elements[1].integer, -7);
  EXPECT_EQ(reply.elements[2].type, Type::kNil);
  ASSERT_EQ(reply.elements[3].elements.size(), 2u);
  EXPECT_EQ(reply.elements[3].elements[0].type, Type::kStatus);
  EXPECT_TRUE(reply.elements[3].elements[1].HasErrorCode("NO"));
  EXPECT_FALSE(reply.elements[3].elements[1].HasErrorCode("N"));
}

TEST(RedisParser, ReadsRepliesHoweverTheyAreCut) {
  for (size_t cut = 0; cut <= kNested.size(); ++cut) {
    RedisParser parser(1000);
    RedisReply reply;
    ASSERT_TRUE(parser.Feed(kNested.data(), cut));
    ASSERT_EQ(parser.Next(&reply), cut == kNested.size()) << cut;
    if (cut < kNested.size()) {
      ASSERT_TRUE(parser.Feed(kNested.data() + cut, kNested.size() - cut));
      ASSERT_TRUE(parser.Next(&reply)) << cut;
    }
    ExpectNested(reply);
    EXPECT_FALSE(parser.Next(&reply));
    EXPECT_EQ(parser.error(), "");
  }
}

TEST(RedisParser, EndsAtAReplyThatIsTooLarge) {
  RedisParser parser(100);
  RedisReply reply;
  const std::string head = "$1000\r\n" + std::string(60, 'x');
  parser.Feed(head.data(), head.size());
  EXPECT_FALSE(parser.Next(&reply));
  EXPECT_EQ(parser.error(), "");
  parser.Feed(head.data(), head.size());
  EXPECT_FALSE(parser.Next(&reply));
  EXPECT_NE(parser.error(), "");
  EXPECT_FALSE(parser.Feed("+OK\r\n", 5));
}

TEST(RedisParser, ManySmallRepliesAreNotALargeOne) {
  RedisParser parser(100);
  RedisReply reply;
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(parser.Feed("+OK\r\n+OK\r\n$2", 12));
    ASSERT_TRUE(parser.Next(&reply));
    ASSERT_TRUE(parser.Next(&reply));
    ASSERT_FALSE(parser.Next(&reply));
    ASSERT_TRUE(parser.Feed("\r\nab\r\n", 6));
    ASSERT_TRUE(parser.Next(&reply));
    EXPECT_EQ(reply.text, "ab");
  }
}

TEST(RedisParser, TakesAnyBytes) {
  const uint64_t seed = FromEnvironment("EVERYONCE_SEED", 6);
  std::cout << "seed " << seed << "\n";
  Random random(seed);
  const std::string alphabet = "*$+-:\r\n0123456789aZ\xff";
  for (int i = 0; i < 5000; ++i) {
    std::string bytes = kNested;
    for (uint64_t changes = random.Between(1, 4); changes > 0; --changes) {
      bytes[random.Below(bytes.size())] = alphabet[random.Below(alphabet.size())];
    }
    RedisParser parser(1 << 16);
    RedisReply reply;
    for (int piece = 0; piece < 3; ++piece) {
      if (!parser.Feed(bytes.data(), bytes.size())) break;
      while (parser.Next(&reply)) {
      }
    }
  }
}

TEST(RedisCommand, IsWrittenInTheProtocolsForm) {
  std::string out;
  AppendRedisCommand(std::vector<std::string>{"SET", "", "a\r\n"}, &out);
  EXPECT_EQ(out, "*3\r\n$3\r\nSET\r\n$0\r\n\r\n$3\r\na\r\n\r\n");
}

}  // namespace
}  // namespace everyonce::test
