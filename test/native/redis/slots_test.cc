#include "redis/slots.h"

#include <gtest/gtest.h>

#include <iostream>

#include "support/seed.h"

namespace everyonce::test {
namespace {

using Type = RedisReply::Type;

RedisReply Text(std::string text) {
  RedisReply reply;
  reply.type = Type::kText;
  reply.text = std::move(text);
  return reply;
}
RedisReply Number(int64_t number) {
  RedisReply reply;
  reply.type = Type::kInteger;
  reply.integer = number;
  return reply;
}
RedisReply Array(std::vector<RedisReply> elements) {
  RedisReply reply;
  reply.type = Type::kArray;
  reply.elements = std::move(elements);
  return reply;
}
RedisReply Error(std::string text) {
  RedisReply reply = Text(std::move(text));
  reply.type = Type::kError;
  return reply;
}

// The check value of CRC-16/XMODEM, and slots as `CLUSTER KEYSLOT` gives them.
TEST(RedisSlots, AreTheClusters) {
  EXPECT_EQ(Crc16("123456789"), 0x31c3);
  EXPECT_EQ(SlotOfKey("foo"), 12182);
  EXPECT_EQ(SlotOfKey("{foo}.x"), 12182);
  EXPECT_EQ(SlotOfKey("eo:{foo}:{bar}"), 12182);
  EXPECT_EQ(SlotOfKey("{}foo"), Crc16("{}foo") % kRedisSlots);
  EXPECT_EQ(SlotOfKey("{foo"), Crc16("{foo") % kRedisSlots);
}

TEST(RedisSlots, ReadsTheTopology) {
  const RedisReply reply = Array({Array({Number(0), Number(9), Array({Text("10.0.0.1"), Number(7000), Text("id")})}),
                                  Array({Number(11), Number(16383), Array({Text(""), Number(7001), Text("id")}),
                                         Array({Text("10.0.0.9"), Number(7009), Text("replica")})})});
  SlotMap map;
  ASSERT_TRUE(ParseClusterSlots(reply, "asked", &map));
  EXPECT_EQ(map.masters.size(), 2u);
  EXPECT_EQ(map.covered, 16383u);
  EXPECT_EQ(map.Of(9)->host, "10.0.0.1");
  EXPECT_EQ(map.Of(10), nullptr);
  EXPECT_EQ(map.Of(11)->host, "asked");
  map.Set(10, {"asked", 7001});
  EXPECT_EQ(map.masters.size(), 2u);
  EXPECT_EQ(map.covered, 16384u);
}

TEST(RedisSlots, RefusesWhatIsNone) {
  SlotMap map;
  map.Set(3, {"kept", 1});
  const RedisReply node = Array({Text("h"), Number(7000)});
  for (const RedisReply& reply :
       {Text("x"), Error("ERR"), Array({Text("x")}), Array({Array({Number(0), Number(1)})}),
        Array({Array({Number(2), Number(1), node})}), Array({Array({Number(0), Number(16384), node})}),
        Array({Array({Number(-1), Number(3), node})}), Array({Array({Number(0), Number(3), Text("h:1")})}),
        Array({Array({Number(0), Number(3), Array({Text("h"), Number(65536)})})})}) {
    EXPECT_FALSE(ParseClusterSlots(reply, "asked", &map));
    ASSERT_NE(map.Of(3), nullptr);
    EXPECT_EQ(map.Of(3)->host, "kept");
  }
}

TEST(RedisSlots, ReadsRedirects) {
  Redirect redirect;
  ASSERT_TRUE(ParseRedirect(Error("MOVED 3999 10.0.0.1:6381"), "asked", &redirect));
  EXPECT_FALSE(redirect.ask);
  EXPECT_EQ(redirect.slot, 3999);
  EXPECT_EQ(redirect.node.host, "10.0.0.1");
  EXPECT_EQ(redirect.node.port, 6381);
  ASSERT_TRUE(ParseRedirect(Error("ASK 7 :6381"), "asked", &redirect));
  EXPECT_TRUE(redirect.ask);
  EXPECT_EQ(redirect.node.host, "asked");
  for (const char* text : {"MOVED", "MOVED 1", "MOVED x h:1", "MOVED 16384 h:1", "MOVED 1 h", "MOVED 1 h:0",
                           "MOVEDX 1 h:1", "ASK  1 h:1", "ERR MOVED 1 h:1"}) {
    EXPECT_FALSE(ParseRedirect(Error(text), "asked", &redirect)) << text;
  }
}

TEST(RedisSlots, ReadsInfo) {
  ServerInfo info;
  ASSERT_TRUE(
      ParseServerInfo("# Server\r\nredis_version:7.0.15\r\n\r\nrole:slave\r\nmaster_host:h\r\nmaster_port:7\r\n"
                      "cluster_enabled:0\r\naof_enabled:1\r\nmaxmemory_policy:allkeys-lru\r\nmaster_replid:abc",
                      &info));
  EXPECT_EQ(info.major_version, 7u);
  EXPECT_FALSE(info.primary);
  EXPECT_EQ(info.master.port, 7);
  EXPECT_TRUE(info.aof);
  EXPECT_EQ(info.maxmemory_policy, "allkeys-lru");
  EXPECT_EQ(info.replication_id, "abc");
  EXPECT_FALSE(ParseServerInfo("hello", &info));
}

// A tree of replies as hostile as they come: read or refused, never more nodes than slots, never an owner without a
// node.
RedisReply AnyReply(Random* random, int depth) {
  switch (random->Below(depth > 0 ? 6 : 4)) {
    case 0:
      return Number(static_cast<int64_t>(random->Below(40000)) - 10);
    case 1:
      return Text(random->OneIn(2) ? std::to_string(random->Below(20000)) : "h");
    case 2:
      return Error("MOVED " + std::to_string(random->Below(20000)) + " h:" + std::to_string(random->Below(70000)));
    case 3:
      return {};
    default: {
      std::vector<RedisReply> elements;
      for (uint64_t size = random->Below(5); size > 0; --size) elements.push_back(AnyReply(random, depth - 1));
      return Array(std::move(elements));
    }
  }
}

TEST(RedisSlots, TakesAnyReply) {
  const uint64_t seed = FromEnvironment("EVERYONCE_SEED", 7);
  std::cout << "seed " << seed << "\n";
  Random random(seed);
  for (int i = 0; i < 20000; ++i) {
    RedisReply reply = AnyReply(&random, 3);
    if (random.OneIn(2)) {
      // Nearly right, so that more of it is read.
      reply = Array(
          {Array({Number(static_cast<int64_t>(random.Below(16400))), Number(static_cast<int64_t>(random.Below(16400))),
                  Array({Text("h"), AnyReply(&random, 0)}), AnyReply(&random, 1)})});
    }
    SlotMap map;
    Redirect redirect;
    (void)ParseRedirect(reply, "asked", &redirect);
    if (!ParseClusterSlots(reply, "asked", &map)) continue;
    for (uint16_t slot = 0; slot < kRedisSlots; ++slot) {
      if (map.owner[slot] != SlotMap::kNone) {
        ASSERT_LT(map.owner[slot], map.masters.size());
      }
    }
  }
}

}  // namespace
}  // namespace everyonce::test
