#include "redis/bell_codec.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace everyonce {
namespace {

Bell MessageBell(uint64_t seq) {
  Bell bell;
  bell.kind = Bell::Kind::kMessage;
  bell.conv = "g:team";
  bell.epoch = 1ull << 52;
  bell.seq = seq;
  bell.user = "alice";
  bell.device = "phone";
  bell.packet = std::string("{\"t\":\"msg\"}\0x", 13);
  bell.added = {"bob", "carol"};
  bell.removed = {"dave"};
  return bell;
}

std::string Payload() {
  std::string payload;
  AppendBellHeader({UINT64_MAX, 7}, &payload);
  AppendBell(MessageBell(300), "12", &payload);
  Bell hello;
  hello.kind = Bell::Kind::kDevice;
  hello.user = "bob";
  hello.device = "laptop";
  hello.pe = 9;
  hello.hello_ms = INT64_MAX;
  AppendBell(hello, "", &payload);
  return payload;
}

TEST(BellCodec, ReadsWhatItWrote) {
  const std::string payload = Payload();
  BellReader reader(payload);
  BellHeader header;
  ASSERT_TRUE(reader.ReadHeader(&header));
  EXPECT_EQ(header.origin, UINT64_MAX);
  EXPECT_EQ(header.number, 7u);
  Bell bell;
  ASSERT_TRUE(reader.Next(&bell));
  const Bell sent = MessageBell(300);
  EXPECT_EQ(bell.kind, Bell::Kind::kMessage);
  EXPECT_EQ(bell.conv, sent.conv);
  EXPECT_EQ(bell.epoch, sent.epoch);
  EXPECT_EQ(bell.seq, 300u);
  EXPECT_EQ(bell.packet, sent.packet);
  EXPECT_EQ(bell.added, sent.added);
  EXPECT_EQ(bell.removed, sent.removed);
  EXPECT_EQ(bell.version, "12");
  ASSERT_TRUE(reader.Next(&bell));
  EXPECT_EQ(bell.kind, Bell::Kind::kDevice);
  EXPECT_EQ(bell.device, "laptop");
  EXPECT_EQ(bell.pe, 9u);
  EXPECT_EQ(bell.hello_ms, INT64_MAX);
  EXPECT_FALSE(reader.Next(&bell));
  EXPECT_FALSE(reader.broken());
}

TEST(BellCodec, EveryCutIsSeen) {
  const std::string payload = Payload();
  for (size_t size = 0; size < payload.size(); ++size) {
    const std::string cut = payload.substr(0, size);
    BellReader reader(cut);
    BellHeader header;
    Bell bell;
    int bells = 0;
    if (reader.ReadHeader(&header)) {
      while (reader.Next(&bell)) ++bells;
    }
    EXPECT_LT(bells, 2) << size;
    // What ends between two bells is whole; what ends anywhere else is not.
    EXPECT_TRUE(reader.broken() || bells == 1 || size < payload.size()) << size;
    if (bells == 0 && size > 0 && size < 12) {
      EXPECT_TRUE(reader.broken()) << size;
    }
  }
}

TEST(BellCodec, AnyBytesAreReadToTheirEnd) {
  const std::string payload = Payload();
  for (uint32_t seed = 1; seed <= 2000; ++seed) {
    std::mt19937 random(seed);
    std::string bytes = payload;
    for (int i = 0; i < 3; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
    BellReader reader(bytes);
    BellHeader header;
    Bell bell;
    int bells = 0;
    if (reader.ReadHeader(&header)) {
      while (reader.Next(&bell)) ++bells;
    }
    EXPECT_LE(bells, 20) << "seed " << seed;
  }
}

}  // namespace
}  // namespace everyonce
