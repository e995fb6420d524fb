// What test/vectors can't say: bytes that are no text, bounds over a whole frame, and frames made at random.

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/identifiers.h"
#include "core/json_check.h"
#include "core/packet.h"
#include "support/seed.h"

namespace everyonce {
namespace {

std::string Send(std::string_view body) {
  return R"({"t":"send","conv":"dm:alice:bob","id":"0123abcd","n":1,"body":)" + std::string(body) + "}";
}

std::string Join(const std::vector<std::string>& packets) {
  std::string frame = "[";
  for (const std::string& packet : packets) frame += (frame.size() > 1 ? "," : "") + packet;
  return frame + "]";
}

TEST(FrameDecoder, RefusesWhatIsNotUtf8) {
  FrameDecoder decoder;
  std::vector<DecodedPacket> decoded;
  for (const std::string_view bytes : {"\xff", "\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82"}) {
    EXPECT_EQ(decoder.Decode(Send("\"" + std::string(bytes) + "\""), Limits(), &decoded).code, Code::kBadRequest);
    EXPECT_TRUE(decoded.empty());
  }
}

TEST(FrameDecoder, KeepsTheOperatorsBodyLimit) {
  FrameDecoder decoder;
  std::vector<DecodedPacket> decoded;
  Limits limits;
  limits.body_bytes = 4;
  ASSERT_TRUE(decoder.Decode(Join({Send("1234"), Send("12345"), Send("  1  ")}), limits, &decoded).ok());
  ASSERT_EQ(decoded.size(), 3U);
  EXPECT_FALSE(decoded[0].error);
  ASSERT_TRUE(decoded[1].error);
  EXPECT_EQ(decoded[1].error->status.code, Code::kTooLarge);
  EXPECT_EQ(decoded[1].error->n, 1U);
  EXPECT_FALSE(decoded[2].error) << "white space around the body is not the body";
  EXPECT_EQ(decoded[2].packet.body, "1");
}

TEST(FrameDecoder, ForgetsTheFrameBefore) {
  FrameDecoder decoder;
  std::vector<DecodedPacket> decoded;
  ASSERT_TRUE(decoder.Decode(Join({Send("1"), R"({"t":"send"})", R"({"t":"ping"})"}), Limits(), &decoded).ok());
  ASSERT_TRUE(decoder.Decode(R"({"t":"send"})", Limits(), &decoded).ok());
  ASSERT_EQ(decoded.size(), 4U);
  for (const size_t i : {size_t{1}, size_t{3}}) {
    ASSERT_TRUE(decoded[i].error);
    EXPECT_EQ(decoded[i].error->status.field, "conv");
    EXPECT_EQ(decoded[i].error->id, "");
    EXPECT_FALSE(decoded[i].error->n);
  }
  EXPECT_TRUE(decoded[2].packet.conv.empty());
}

TEST(FrameDecoder, DoesNotKeepTheFrame) {
  FrameDecoder decoder;
  std::vector<DecodedPacket> decoded;
  auto frame = std::make_unique<std::string>(Send("\"the body of a message\""));
  ASSERT_TRUE(decoder.Decode(*frame, Limits(), &decoded).ok());
  frame.reset();
  ASSERT_TRUE(decoder.Decode("{}", Limits(), &decoded).ok());
  EXPECT_EQ(decoded[0].packet.body, "\"the body of a message\"");
}

TEST(FrameDecoder, StopsAtTheBadPacketThatClosesButStillReadsTheFrame) {
  FrameDecoder decoder;
  std::vector<DecodedPacket> decoded;
  const std::vector<std::string> bad(1000, "0");
  ASSERT_TRUE(decoder.Decode(Join(bad), Limits(), &decoded).ok());
  EXPECT_EQ(decoded.size(), kBadPacketsToClose);
  decoded.clear();
  EXPECT_FALSE(decoder.Decode(Join(bad) + "x", Limits(), &decoded).ok());
  EXPECT_FALSE(decoder.Decode("[" + Join(bad) + ",]", Limits(), &decoded).ok());
  EXPECT_TRUE(decoded.empty());
}

TEST(FrameDecoder, SaysWhichByteIsWrong) {
  FrameDecoder decoder;
  std::vector<DecodedPacket> decoded;
  EXPECT_EQ(decoder.Decode("{\"t\":ping}", Limits(), &decoded).message, "The frame is not JSON, at byte 5.");
}

// Whatever comes out of a frame, its promises hold: the engine relies on each of these without looking again.
void ExpectPromises(const std::string& frame, const DecodedPacket& decoded) {
  const Packet& packet = decoded.packet;
  if (!packet.rid_json.empty()) {
    EXPECT_TRUE(CheckJson(packet.rid_json, 0).ok) << frame;
  }
  EXPECT_LE(packet.type_name.size(), 64U);
  if (decoded.error) {
    EXPECT_FALSE(decoded.error->status.ok());
    EXPECT_FALSE(decoded.error->status.message.empty());
    EXPECT_TRUE(decoded.error->conv.empty() || IsConversation(decoded.error->conv));
    EXPECT_TRUE(decoded.error->id.empty() || IsMessageId(decoded.error->id));
    return;
  }
  EXPECT_TRUE(packet.conv.empty() || IsConversation(packet.conv)) << frame;
  for (const std::optional<uint64_t>& value : {packet.n, packet.epoch, packet.seq, packet.from, packet.to, packet.limit,
                                               packet.before, packet.after, packet.count, packet.at}) {
    EXPECT_LE(value.value_or(0), kMaxInteger) << frame;
  }
  if (packet.type == PacketType::kSend) {
    EXPECT_TRUE(IsConversation(packet.conv) && IsMessageId(packet.id) && IsMessageType(packet.message_type)) << frame;
    EXPECT_TRUE(CheckJson(packet.body, kMaxBodyDepth).ok) << frame;
    EXPECT_NE(frame.find(packet.body), std::string::npos) << "byte for byte";
    EXPECT_GE(packet.n.value_or(1), 1U);
  }
  if (packet.type == PacketType::kHello) {
    EXPECT_TRUE(IsDevice(packet.device) && packet.pe >= 1) << frame;
    EXPECT_LE(packet.positions.size(), kMaxPositionsPerPacket);
  }
}

TEST(FrameDecoder, KeepsItsPromisesForAnyBytes) {
  const uint64_t seed = test::FromEnvironment("EVERYONCE_SEED", 7);
  const uint64_t runs = test::FromEnvironment("EVERYONCE_RUNS", 40000);
  SCOPED_TRACE("EVERYONCE_SEED=" + std::to_string(seed));
  const std::vector<std::string> samples = {
      Send(R"({"text":"h\u00e9 \ud83d\ude00","list":[1,-2.5e3,null]})"),
      R"({"t":"hello","v":1,"device":"phone","pe":3,"token":"x","at":{"g:team":[5,6]},"live":false})",
      R"({"t":"send","conv":"g:team","id":"0123abcd","n":2,"pkg":{"id":"P","i":0,"total":2},"body":[]})",
      R"({"t":"got","conv":"g:team","epoch":1,"from":1,"to":9})",
      R"({"t":"pull","rid":"r","conv":"g:team","limit":10,"order":"newest","next":"abc","hold":true})",
      R"({"t":"status","rid":1,"conv":"g:team","ids":["aaaaaaaa","bbbbbbbb"]})",
      R"({"t":"create","rid":1,"conv":"g:team","members":["alice","bob"],"history":"all"})",
  };
  static constexpr std::string_view kBytes = "{}[]:,\"\\u0123456789-.eatnri \xc3\xa9\xff";
  test::Random random(seed);
  FrameDecoder decoder;
  std::vector<DecodedPacket> decoded;
  uint64_t good = 0;
  uint64_t bad = 0;
  uint64_t refused = 0;
  for (uint64_t run = 0; run < runs; ++run) {
    std::string frame = random.Pick(samples);
    if (random.OneIn(3)) frame = Join({frame, random.Pick(samples)});
    for (uint64_t changes = random.Below(4), i = 0; i < changes; ++i) {
      const size_t at = random.Below(frame.size());
      if (random.OneIn(2)) {
        frame[at] = kBytes[random.Below(kBytes.size())];
      } else if (random.OneIn(2)) {
        frame.erase(at, 1);
      } else {
        frame.insert(at, frame.substr(random.Below(frame.size()), random.Below(12)));
      }
      if (frame.empty()) break;
    }
    decoded.clear();
    // An exact copy on the heap, so that a read behind its end is seen by AddressSanitizer.
    const std::vector<char> bytes(frame.begin(), frame.end());
    const bool ok = decoder.Decode({bytes.data(), bytes.size()}, Limits(), &decoded).ok();
    if (!ok) {
      EXPECT_TRUE(decoded.empty());
      ++refused;
    } else {
      EXPECT_TRUE(CheckJson(frame, kMaxJsonDepth).ok) << frame;
    }
    for (const DecodedPacket& packet : decoded) {
      ExpectPromises(frame, packet);
      ++(packet.error ? bad : good);
    }
    if (HasFailure()) return;
  }
  EXPECT_GT(good, runs / 20);
  EXPECT_GT(bad, runs / 20);
  EXPECT_GT(refused, runs / 20);
}

}  // namespace
}  // namespace everyonce
