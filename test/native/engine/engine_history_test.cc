#include <gtest/gtest.h>

#include "engine/engine_harness.h"

namespace everyonce {
namespace {

// The seqs of a page's items in order, holes as "from-to".
std::string Seqs(const EngineHarness::Received& page) {
  std::string seqs;
  const std::string items = page["items"];
  for (size_t at = items.find("{\"t\":"); at != std::string::npos; at = items.find("{\"t\":", at + 1)) {
    const bool hole = items.compare(at, 11, "{\"t\":\"hole\"") == 0;
    auto number = [&](const char* key) {
      const size_t found = items.find(key, at) + std::string_view(key).size();
      return items.substr(found, items.find_first_of(",}", found) - found);
    };
    if (!seqs.empty()) seqs += ' ';
    seqs += hole ? number("\"from\":") + "-" + number("\"to\":") : number("\"seq\":");
  }
  return seqs;
}

std::string History(std::string_view conv, std::string_view more) {
  return R"({"t":"history","rid":1,"conv":")" + std::string(conv) + "\"" + std::string(more) + "}";
}

TEST(EngineHistory, ReadsBackFromEitherEndAndChangesNothing) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  for (uint64_t n = 1; n <= 10; ++n)
    harness.Receive(1, EngineHarness::Send("dm:alice:bob", n, "message-" + std::to_string(n)));
  harness.Take(1);
  harness.Connect(2, "bob", "b1");
  const std::pair<const char*, std::pair<const char*, const char*>> cases[] = {
      {R"(,"limit":3)", {"8 9 10", "true"}},
      {R"(,"limit":3,"before":8)", {"5 6 7", "true"}},
      {R"(,"limit":9,"before":4)", {"1 2 3", "false"}},
      {R"(,"limit":3,"after":0)", {"1 2 3", "true"}},
      {R"(,"limit":3,"after":8)", {"9 10", "false"}},
      {R"(,"limit":9,"after":3,"before":6)", {"4 5", "false"}},
      {R"(,"limit":2,"after":3,"before":9)", {"4 5", "true"}},
      {R"(,"limit":9,"before":1)", {"", "false"}},
      {R"(,"limit":9,"before":0)", {"", "false"}},
      {R"(,"limit":9,"after":99)", {"", "false"}},
  };
  for (const auto& [more, expected] : cases) {
    harness.Receive(2, History("dm:alice:bob", more));
    const auto page = harness.TakeOne(2);
    EXPECT_EQ(Seqs(page), expected.first) << more;
    EXPECT_EQ(page["more"], expected.second) << more;
  }
  harness.Receive(2, R"({"t":"counts","rid":2})");
  EXPECT_NE(harness.TakeOne(2)["convs"].find("\"head\":10,\"got\":0"), std::string::npos);
}

TEST(EngineHistory, ShowsAMemberWhatWasVisibleAndAStrangerNothing) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  harness.Connect(2, "bob", "b1");
  harness.Connect(3, "carl", "c1");
  harness.Receive(1, R"({"t":"create","rid":1,"conv":"g:team","members":["carl"]})");  // 1
  harness.Receive(1, EngineHarness::Send("g:team", 1, "before-bob"));                  // 2
  harness.Receive(1, R"({"t":"add","rid":2,"conv":"g:team","members":["bob"]})");      // 3
  harness.Receive(1, EngineHarness::Send("g:team", 2, "with-bob"));                    // 4
  harness.Receive(1, R"({"t":"remove","rid":3,"conv":"g:team","members":["bob"]})");   // 5
  harness.Receive(1, EngineHarness::Send("g:team", 3, "without-bob"));                 // 6
  harness.Take(2);
  harness.Receive(2, History("g:team", R"(,"limit":9,"after":0)"));
  EXPECT_EQ(Seqs(harness.TakeOne(2)), "3 4 5");
  harness.Receive(1, R"({"t":"add","rid":4,"conv":"g:team","members":["bob"]})");  // 7
  harness.Take(2);
  harness.Receive(2, History("g:team", R"(,"limit":9,"after":0)"));
  EXPECT_EQ(Seqs(harness.TakeOne(2)), "3 4 5 6-6 7");
  harness.Receive(2, History("g:team", R"(,"limit":3)"));
  EXPECT_EQ(Seqs(harness.TakeOne(2)), "5 6-6 7");
  harness.Connect(4, "mallory", "m1");
  harness.Receive(4, History("g:team", R"(,"limit":9)"));
  EXPECT_EQ(harness.TakeOne(4)["code"], "\"unknown_conv\"");
}

TEST(EngineHistory, CountsFirst) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  for (uint64_t n = 1; n <= 3; ++n)
    harness.Receive(1, EngineHarness::Send("dm:alice:bob", n, "bob-" + std::to_string(n)));
  for (uint64_t n = 1; n <= 2; ++n)
    harness.Receive(1, EngineHarness::Send("dm:alice:carl", n, "carl-" + std::to_string(n)));
  harness.Connect(2, "bob", "b1");
  harness.Receive(2, EngineHarness::Send("dm:bob:carl", 1, "from-bob"));
  harness.Take(2);
  harness.Receive(2, R"({"t":"counts","rid":"c"})");
  auto counts = harness.TakeOne(2);
  EXPECT_EQ(counts.integer("total"), 3u);
  EXPECT_NE(counts["convs"].find("\"unread\":3"), std::string::npos);
  EXPECT_NE(counts["convs"].find("dm:bob:carl"), std::string::npos);
  harness.Receive(2, R"({"t":"counts","rid":"c","after":"dm:alice:bob"})");
  counts = harness.TakeOne(2);
  EXPECT_EQ(counts.integer("total"), 3u);  // over all conversations
  EXPECT_EQ(counts["convs"].find("dm:alice:bob"), std::string::npos);
}

}  // namespace
}  // namespace everyonce
