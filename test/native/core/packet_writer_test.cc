#include "core/packet_writer.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "core/json_check.h"
#include "core/json_writer.h"
#include "support/seed.h"

namespace everyonce {
namespace {

constexpr uint64_t kMaxUint64 = std::numeric_limits<uint64_t>::max();

// What a Write appends, behind something that must stay.
template <typename Write, typename... Arguments>
std::string Written(Write write, const Arguments&... arguments) {
  std::string out = "before";
  write(arguments..., &out);
  EXPECT_TRUE(out.starts_with("before"));
  return out.substr(6);
}

Message SomeMessage() {
  Message message;
  message.conv = "dm:alice:bob";
  message.epoch = 1740000000000512;
  message.seq = 7;
  message.mid = kMaxUint64;
  message.from = "alice";
  message.device = "phone";
  message.n = 3;
  message.id = "0123abcd";
  message.type = "text";
  message.body = R"({"text": "\ud800"})";
  message.at_ms = 1740000000000;
  return message;
}
constexpr std::string_view kSomeMessage =
    R"({"t":"msg","conv":"dm:alice:bob","epoch":1740000000000512,"seq":7,"mid":"18446744073709551615","from":"alice",)"
    R"("device":"phone","id":"0123abcd","type":"text","body":{"text": "\ud800"},"at":1740000000000})";

ConversationView SomeView() {
  ConversationView view;
  view.conv = "g:team";
  view.epoch = 1;
  view.head = 5;
  view.got = 4;
  view.read = 3;
  view.unread = 2;
  return view;
}
#define SOME_VIEW R"({"conv":"g:team","epoch":1,"head":5,"got":4,"read":3,"unread":2)"

TEST(WriteJsonString, EscapesWhatMustBeEscapedAndNothingElse) {
  const auto quoted = [](std::string_view text) { return Written(WriteJsonString, text); };
  EXPECT_EQ(quoted(""), R"("")");
  EXPECT_EQ(quoted("a\"b\\c/d"), R"("a\"b\\c/d")");
  EXPECT_EQ(quoted(std::string_view("\0\x01\x1f\b\f\n\r\t\x7f", 9)),
            "\"\\u0000\\u0001\\u001f\\u0008\\u000c\\n\\r\\t\x7f\"");
  EXPECT_EQ(quoted("é€😀\u2028"), "\"é€😀\u2028\"");
}

TEST(WriteJsonString, ReadsBackAsTheSameText) {
  const uint64_t seed = test::FromEnvironment("EVERYONCE_SEED", 11);
  SCOPED_TRACE("EVERYONCE_SEED=" + std::to_string(seed));
  test::Random random(seed);
  for (int run = 0; run < 5000; ++run) {
    std::string text;
    for (uint64_t bytes = random.Below(40), i = 0; i < bytes; ++i) text += static_cast<char>(random.Below(128));
    const std::string json = Written(WriteJsonString, text);
    ASSERT_TRUE(CheckJson(json, 0).ok) << json;
    std::string back;
    ASSERT_TRUE(UnescapeJsonString(json, &back));
    ASSERT_EQ(back, text);
  }
}

TEST(PacketWriter, Welcome) {
  ConversationEntry truncated{ResumeView{SomeView(), Resume::kTruncated, 4}};
  ConversationEntry reset{ResumeView{SomeView(), Resume::kReset, 4}};
  ConversationEntry ok{ResumeView{SomeView(), Resume::kOk, 4}};
  const std::vector<ConversationEntry> convs = {ConversationEntry(SomeView()), ok, truncated, reset};
  WelcomePacket welcome;
  welcome.user = "alice";
  welcome.device = "phone";
  welcome.node = "n-1";
  welcome.now_ms = 99;
  welcome.convs = convs;
  const std::string start = R"({"t":"welcome","v":1,"user":"alice","device":"phone","node":"n-1","now":99,)"
                            R"("limits":{"frame":65536,"body":16384,"window":256,"page":200,"rate":100},"convs":[)";
  EXPECT_EQ(Written(WriteWelcome, welcome), start + SOME_VIEW "}," SOME_VIEW R"(,"resume":"ok"},)" SOME_VIEW
                                                              R"(,"resume":"truncated","keep":4},)" SOME_VIEW
                                                              R"(,"resume":"reset"}]})");
  welcome.convs = {};
  welcome.more = true;
  EXPECT_EQ(Written(WriteWelcome, welcome), start + R"(],"more":true})");
  const std::string_view rid = "\"r\"";
  EXPECT_EQ(Written(WriteResume, rid, std::span<const ConversationEntry>(&ok, 1)),
            R"({"t":"resume","rid":"r","convs":[)" SOME_VIEW R"(,"resume":"ok"}]})");
}

TEST(PacketWriter, Ack) {
  AckPacket ack;
  ack.conv = "g:team";
  ack.id = "0123abcd";
  ack.n = 2;
  ack.seq = 9;
  ack.epoch = 4;
  ack.mid = 77;
  ack.at_ms = 5;
  ack.safe = Safe::kDisk;
  EXPECT_EQ(Written(WriteAck, ack),
            R"({"t":"ack","conv":"g:team","id":"0123abcd","n":2,"seq":9,"epoch":4,"mid":"77","at":5,"safe":"disk"})");
  ack.n = 0;
  ack.duplicate = true;
  ack.safe = Safe::kReplicated;
  EXPECT_EQ(Written(WriteAck, ack), R"({"t":"ack","conv":"g:team","id":"0123abcd","seq":9,"epoch":4,"mid":"77","at":5,)"
                                    R"("safe":"replicated","dup":true})");
  ack.safe = Safe::kMemory;
  EXPECT_NE(Written(WriteAck, ack).find(R"("safe":"memory")"), std::string::npos);
}

TEST(PacketWriter, NackAndError) {
  NackPacket nack;
  nack.conv = "g:team";
  nack.id = "0123abcd";
  nack.code = Code::kForbidden;
  nack.message = "Not \"you\".";
  EXPECT_EQ(Written(WriteNack, nack),
            R"({"t":"nack","conv":"g:team","id":"0123abcd","code":"forbidden","message":"Not \"you\"."})");
  nack.n = 5;
  nack.code = Code::kGap;
  nack.expected = 3;
  nack.retry_ms = 0;
  EXPECT_EQ(Written(WriteNack, nack), R"({"t":"nack","conv":"g:team","id":"0123abcd","n":5,"code":"gap",)"
                                      R"("message":"Not \"you\".","expected":3,"retry":0})");
  ErrorPacket error;
  error.message = "No.";
  EXPECT_EQ(Written(WriteError, error), R"({"t":"error","code":"bad_request","message":"No."})");
  error.code = Code::kStaleDevice;
  error.rid_json = "12";
  error.retry_ms = 100;
  error.pe = 8;
  EXPECT_EQ(Written(WriteError, error),
            R"({"t":"error","code":"stale_device","message":"No.","rid":12,"retry":100,"pe":8})");
}

TEST(PacketWriter, MessagesAndPages) {
  const Hole hole{{"g:team", 3, 4, 5}, "expired"};
  const std::string hole_json = R"({"t":"hole","conv":"g:team","epoch":3,"from":4,"to":5,"reason":"expired"})";
  EXPECT_EQ(Written(WriteMsg, SomeMessage()), kSomeMessage);
  EXPECT_EQ(Written(WriteHole, hole), hole_json);

  std::vector<PageItem> items(2);
  items[0].message = SomeMessage();
  items[1].hole = hole;
  const std::vector<Span> covers = {{"g:team", 3, 1, 5}, {"dm:a:b", 4, 6, 7}};
  const std::string_view rid = "-3";
  const std::string page = R"({"t":"page","rid":-3,"items":[)" + std::string(kSomeMessage) + "," + hole_json + "]";
  const auto write_page = [&](std::string_view next, std::string* out) { WritePage(rid, items, covers, next, out); };
  EXPECT_EQ(Written(write_page, std::string_view("a+/=")),
            page + R"(,"covers":[["g:team",3,1,5],["dm:a:b",4,6,7]],"next":"a+/="})");
  EXPECT_EQ(Written(write_page, std::string_view()), page + R"(,"covers":[["g:team",3,1,5],["dm:a:b",4,6,7]]})");
  const auto write_history = [&](bool more, std::string* out) { WriteHistoryPage(rid, items, more, out); };
  EXPECT_EQ(Written(write_history, false), page + R"(,"more":false})");
  EXPECT_EQ(Written(write_history, true), page + R"(,"more":true})");
}

TEST(PacketWriter, AnswersToQuestions) {
  const std::string_view rid = "\"q\"";
  StatusAnswer answer;
  answer.found = {{"aaaaaaaa", 2, 3, 4, 5, 6}, {"bbbbbbbb", 0, 3, 4, 5, 6}};
  answer.unknown = {"cccccccc"};
  EXPECT_EQ(Written(WriteStatus, rid, std::string_view("g:team"), answer),
            R"({"t":"status","rid":"q","conv":"g:team","found":[{"id":"aaaaaaaa","n":2,"seq":3,"epoch":4,"mid":"5",)"
            R"("at":6},{"id":"bbbbbbbb","seq":3,"epoch":4,"mid":"5","at":6}],"unknown":["cccccccc"]})");
  const std::vector<ConversationView> views = {SomeView()};
  const auto write_counts = [&](bool more, std::string* out) { WriteCounts(rid, 2, views, more, out); };
  const std::string counts =
      R"({"t":"counts","rid":"q","total":2,"convs":[{"conv":"g:team","epoch":1,"unread":2,"head":5,"got":4}])";
  EXPECT_EQ(Written(write_counts, false), counts + "}");
  EXPECT_EQ(Written(write_counts, true), counts + R"(,"more":true})");
  const std::vector<std::string> tokens = {"a", "b"};
  EXPECT_EQ(Written(WriteTokens, rid, std::span<const std::string>(tokens)),
            R"({"t":"tokens","rid":"q","tokens":["a","b"]})");
  EXPECT_EQ(Written(WriteOk, rid), R"({"t":"ok","rid":"q"})");
}

TEST(PacketWriter, Notices) {
  const std::string_view conv = "g:team";
  const auto number = [](uint64_t value) { return value; };
  EXPECT_EQ(Written(WriteHead, conv, number(1), number(2), number(3)),
            R"({"t":"head","conv":"g:team","epoch":1,"head":2,"got":3})");
  EXPECT_EQ(Written(WriteEpoch, conv, number(1), number(2)), R"({"t":"epoch","conv":"g:team","epoch":1,"keep":2})");
  EXPECT_EQ(Written(WriteReceipt, conv, number(1), std::string_view("bob"), number(2), number(3)),
            R"({"t":"receipt","conv":"g:team","epoch":1,"user":"bob","got":2,"read":3})");
  EXPECT_EQ(Written(WriteSignal, conv, std::string_view("bob"), std::string_view("[1, 2]")),
            R"({"t":"signal","conv":"g:team","from":"bob","body":[1, 2]})");
  EXPECT_EQ(Written(WritePong), R"({"t":"pong"})");
  EXPECT_EQ(Written(WriteBye, std::string_view("drain"), int64_t{500}), R"({"t":"bye","code":"drain","after":500})");
}

TEST(FrameJoiner, SendsOnePacketBareAndSeveralAsAnArray) {
  FrameJoiner joiner;
  EXPECT_EQ(joiner.Finish(), "");
  for (int round = 0; round < 2; ++round) {
    WritePong(joiner.Next());
    EXPECT_EQ(joiner.Finish(), R"({"t":"pong"})");
    joiner.Clear();
    EXPECT_EQ(joiner.packets(), 0U);
    EXPECT_EQ(joiner.bytes(), 0U);
    WritePong(joiner.Next());
    WriteOk("1", joiner.Next());
    WritePong(joiner.Next());
    EXPECT_EQ(joiner.packets(), 3U);
    EXPECT_EQ(joiner.Finish(), R"([{"t":"pong"},{"t":"ok","rid":1},{"t":"pong"}])");
    joiner.Clear();
    EXPECT_EQ(joiner.Finish(), "");
  }
}

}  // namespace
}  // namespace everyonce
