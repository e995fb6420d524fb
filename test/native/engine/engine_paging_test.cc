#include <gtest/gtest.h>
#include <simdjson.h>

#include <algorithm>
#include <map>
#include <set>

#include "engine/engine_harness.h"
#include "support/seed.h"

namespace everyonce {
namespace {

constexpr const char* kConv = "dm:alice:bob";

void SendMany(EngineHarness* harness, uint32_t id, uint64_t from, uint64_t to, const char* conv = kConv) {
  for (uint64_t n = from; n <= to; ++n) {
    harness->Receive(id, EngineHarness::Send(conv, n, "message-" + std::to_string(n)));
  }
  harness->Take(id);
}

struct PageSeen {
  std::vector<std::pair<std::string, uint64_t>> items;  // conv, seq
  std::vector<Span> covers;
  std::string next;  // JSON text
  std::vector<uint64_t> seqs() const {
    std::vector<uint64_t> all;
    for (const auto& [conv, seq] : items) all.push_back(seq);
    return all;
  }
};

PageSeen Parse(const EngineHarness::Received& packet) {
  PageSeen page;
  EXPECT_EQ(packet.t, "page") << packet.json;
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  simdjson::dom::array items;
  simdjson::dom::array covers;
  if (parser.parse(packet.json).get(root) != simdjson::SUCCESS || root["items"].get(items) != simdjson::SUCCESS ||
      root["covers"].get(covers) != simdjson::SUCCESS) {
    ADD_FAILURE() << packet.json;
    return page;
  }
  for (const simdjson::dom::element item : items) {
    std::string_view conv;
    uint64_t seq = 0;
    EXPECT_EQ(item["conv"].get(conv), simdjson::SUCCESS);
    EXPECT_EQ(item["seq"].get(seq), simdjson::SUCCESS);
    page.items.emplace_back(conv, seq);
  }
  for (const simdjson::dom::element each : covers) {
    Span span;
    std::string_view conv;
    EXPECT_EQ(each.at(0).get(conv), simdjson::SUCCESS);
    EXPECT_EQ(each.at(1).get(span.epoch), simdjson::SUCCESS);
    EXPECT_EQ(each.at(2).get(span.from), simdjson::SUCCESS);
    EXPECT_EQ(each.at(3).get(span.to), simdjson::SUCCESS);
    span.conv = conv;
    page.covers.push_back(span);
  }
  page.next = packet["next"];
  return page;
}

std::string PullPacket(const std::string& conv, const char* order, uint64_t limit, const std::string& next, bool hold) {
  std::string packet =
      R"({"t":"pull","rid":1,"order":")" + std::string(order) + R"(","limit":)" + std::to_string(limit);
  if (!conv.empty()) packet += R"(,"conv":")" + conv + '"';
  if (!next.empty()) packet += ",\"next\":" + next;
  if (hold) packet += ",\"hold\":true";
  return packet + "}";
}

PageSeen Pull(EngineHarness* harness, uint32_t id, const std::string& conv, const char* order, uint64_t limit,
              const std::string& next = "", bool hold = false) {
  harness->Take(id);
  harness->Receive(id, PullPacket(conv, order, limit, next, hold));
  for (const auto& packet : harness->Take(id)) {
    if (packet.t != "receipt") return Parse(packet);
  }
  ADD_FAILURE() << "no page";
  return {};
}

using Seqs = std::vector<uint64_t>;

TEST(EnginePaging, NewestFirstGoesDownInPagesAndOneMoreRequest) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  SendMany(&harness, 1, 1, 7);
  harness.Connect(2, "bob", "b1");
  PageSeen page = Pull(&harness, 2, kConv, "newest", 3);
  EXPECT_EQ(page.seqs(), (Seqs{7, 6, 5}));
  page = Pull(&harness, 2, kConv, "newest", 3, page.next);
  EXPECT_EQ(page.seqs(), (Seqs{4, 3, 2}));
  // Below its page, whatever has arrived; which was pushed.
  harness.Receive(1, EngineHarness::Send(kConv, 8, "message-8"));
  EXPECT_EQ(harness.TakeOne(2).integer("seq"), 8u);
  page = Pull(&harness, 2, kConv, "newest", 3, page.next);
  EXPECT_EQ(page.seqs(), (Seqs{1}));
  page = Pull(&harness, 2, kConv, "newest", 3, page.next);
  EXPECT_TRUE(page.items.empty());
  EXPECT_TRUE(page.next.empty());
  EXPECT_EQ(Pull(&harness, 2, kConv, "newest", 3).seqs(), (Seqs{8}));  // a pull with no next begins anew
}

TEST(EnginePaging, AnOlderPageIsNeverAckedByANewerOne) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  SendMany(&harness, 1, 1, 9);
  harness.Connect(2, "bob", "b1");
  PageSeen page = Pull(&harness, 2, kConv, "newest", 3);
  page = Pull(&harness, 2, kConv, "newest", 3, page.next);  // acks 9..7, brings 6..4
  harness.engine().Close(2);
  const auto welcome = harness.Connect(2, "bob", "b1", 2);
  EXPECT_NE(welcome["convs"].find("\"head\":9,\"got\":0"), std::string::npos);
  EXPECT_EQ(Pull(&harness, 2, kConv, "oldest", 9).seqs(), (Seqs{1, 2, 3, 4, 5, 6}));
  // Over the new connection, what was below is what comes again.
  EXPECT_EQ(Pull(&harness, 2, kConv, "newest", 3, page.next).seqs(), (Seqs{3, 2, 1}));
}

TEST(EnginePaging, AHeldPageIsNotAckedAndIsLookedBehind) {
  for (const char* order : {"oldest", "newest"}) {
    EngineHarness harness;
    harness.Connect(1, "alice", "a1");
    SendMany(&harness, 1, 1, 5);
    harness.Connect(2, "bob", "b1");
    const bool newest = std::string(order) == "newest";
    const PageSeen first = Pull(&harness, 2, kConv, order, 2);
    EXPECT_EQ(first.seqs(), newest ? (Seqs{5, 4}) : (Seqs{1, 2}));
    const PageSeen second = Pull(&harness, 2, kConv, order, 2, first.next, true);
    EXPECT_EQ(second.seqs(), newest ? (Seqs{3, 2}) : (Seqs{3, 4}));
    const PageSeen third = Pull(&harness, 2, kConv, order, 2, second.next, true);
    EXPECT_EQ(third.seqs(), newest ? (Seqs{1}) : (Seqs{5}));
    EXPECT_TRUE(Pull(&harness, 2, kConv, order, 2, third.next, true).items.empty());
    EXPECT_EQ(Pull(&harness, 2, kConv, order, 9).seqs().size(), 5u);  // nothing is acked
    harness.Receive(2, R"({"t":"got","conv":"dm:alice:bob","from":2,"to":3})");
    EXPECT_EQ(Pull(&harness, 2, kConv, order, 9).seqs(), newest ? (Seqs{5, 4, 1}) : (Seqs{1, 4, 5}));
  }
}

TEST(EnginePaging, NewestFirstOverAllConversationsOneAfterTheOther) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  harness.Connect(3, "carl", "c1");
  SendMany(&harness, 1, 1, 3);
  SendMany(&harness, 3, 1, 3, "dm:bob:carl");
  harness.Connect(2, "bob", "b1");
  std::vector<std::pair<std::string, uint64_t>> all;
  PageSeen page;
  int pages = 0;
  do {
    page = Pull(&harness, 2, "", "newest", 2, page.next);
    ++pages;
    all.insert(all.end(), page.items.begin(), page.items.end());
  } while (!page.next.empty());
  const std::string carl = "dm:bob:carl";
  const std::vector<std::pair<std::string, uint64_t>> expected = {{kConv, 3}, {kConv, 2}, {kConv, 1},
                                                                  {carl, 3},  {carl, 2},  {carl, 1}};
  EXPECT_EQ(all, expected);
  EXPECT_EQ(pages, 4);
}

TEST(EnginePaging, ANextOfTheOtherOrderIsRefused) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  SendMany(&harness, 1, 1, 3);
  harness.Connect(2, "bob", "b1");
  const PageSeen page = Pull(&harness, 2, kConv, "newest", 2);
  harness.Receive(2, PullPacket(kConv, "oldest", 2, page.next, false));
  EXPECT_EQ(harness.TakeOne(2)["code"], "\"bad_request\"");
  harness.Receive(2, PullPacket("", "newest", 2, page.next, false));
  EXPECT_EQ(harness.TakeOne(2)["code"], "\"bad_request\"");
}

TEST(EnginePaging, ANextReadsNothingThatIsNotTheReaders) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  SendMany(&harness, 1, 1, 3);
  harness.Connect(2, "bob", "b1");
  harness.Connect(3, "carl", "c1");
  const PageSeen one = Pull(&harness, 2, kConv, "newest", 2);
  harness.Receive(3, PullPacket(kConv, "newest", 2, one.next, false));
  EXPECT_EQ(harness.TakeOne(3)["code"], "\"unknown_conv\"");
  const PageSeen all = Pull(&harness, 2, "", "newest", 2);
  EXPECT_TRUE(Pull(&harness, 3, "", "newest", 2, all.next).items.empty());
}

// 64 ranges are full: the oldest hole comes, in the order of newest first, and all is had in the end.
TEST(EnginePaging, AFullSetOfRangesServesTheOldestHole) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  SendMany(&harness, 1, 1, 300);
  harness.Connect(2, "bob", "b1");
  auto ack = [&](uint64_t from, uint64_t to) {
    harness.Receive(2, R"({"t":"got","conv":"dm:alice:bob","from":)" + std::to_string(from) +
                           ",\"to\":" + std::to_string(to) + "}");
  };
  for (uint64_t i = 0; i < 64; ++i) ack(4 * i + 4, 4 * i + 4);
  ack(300, 300);  // does not fit
  EXPECT_EQ(Pull(&harness, 2, kConv, "newest", 2, "", true).seqs(), (Seqs{300, 299}));
  PageSeen page = Pull(&harness, 2, kConv, "newest", 2);
  EXPECT_EQ(page.seqs(), (Seqs{2, 1}));
  page = Pull(&harness, 2, kConv, "newest", 2, page.next);
  EXPECT_EQ(page.seqs(), (Seqs{3}));
  page = Pull(&harness, 2, kConv, "newest", 2, page.next);
  EXPECT_EQ(page.seqs(), (Seqs{6, 5}));  // still 64: 1..4 and 63 more
  std::set<uint64_t> had = {1, 2, 3, 5, 6};
  for (int requests = 0; !page.next.empty(); ++requests) {
    ASSERT_LT(requests, 300);
    page = Pull(&harness, 2, kConv, "newest", 2, page.next);
    for (const uint64_t seq : page.seqs()) EXPECT_TRUE(had.insert(seq).second) << seq;
  }
  EXPECT_EQ(had.size(), 300u - 64u);
  EXPECT_TRUE(Pull(&harness, 2, kConv, "oldest", 2).items.empty());
}

TEST(EnginePaging, AnAckThatDoesNotFitStopsRedeliveryHereAndIsNotKept) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  harness.Connect(2, "bob", "b1");
  SendMany(&harness, 1, 1, 132);
  for (uint64_t seq = 2; seq <= 130; seq += 2) {  // 65 ranges
    harness.Receive(2, R"({"t":"got","conv":"dm:alice:bob","from":)" + std::to_string(seq) +
                           ",\"to\":" + std::to_string(seq) + "}");
  }
  harness.Take(2);
  harness.Advance(10'000);
  std::set<uint64_t> again;
  for (const auto& packet : harness.Take(2)) {
    if (packet.t == "msg") again.insert(packet.integer("seq"));
  }
  EXPECT_EQ(again.size(), 132u - 65u);
  EXPECT_FALSE(again.contains(130));
  EXPECT_EQ(Pull(&harness, 2, kConv, "newest", 3, "", true).seqs(), (Seqs{132, 131, 130}));
}

TEST(EnginePaging, RedeliversWhatWasPushedWhileOlderOnesAreStillToBePulled) {
  EngineHarness harness;
  harness.Connect(1, "alice", "a1");
  SendMany(&harness, 1, 1, 50);
  harness.Connect(2, "bob", "b1");
  Pull(&harness, 2, kConv, "newest", 1);
  SendMany(&harness, 1, 51, 52);
  ASSERT_EQ(harness.Take(2).size(), 2u);
  harness.Advance(10'000);
  auto again = harness.Take(2);
  std::erase_if(again, [](const EngineHarness::Received& packet) { return packet.t != "msg"; });
  ASSERT_EQ(again.size(), 2u);
  EXPECT_EQ(again[0].integer("seq"), 51u);
  EXPECT_EQ(again[1].integer("seq"), 52u);
}

// Random schedules. A device notes what it was delivered, and acks nothing else; answers get lost and requests are
// repeated; connections break. Then: every message came to every device, by push or page, and nothing is left unacked.
class Schedule {
 public:
  explicit Schedule(uint64_t seed) : random_(seed), harness_(Options()) {
    for (uint32_t i = 0; i < 3; ++i) devices_.push_back({.id = 10 + i, .name = "b" + std::to_string(i)});
    harness_.Connect(1, "alice", "a1");
    harness_.Connect(2, "carl", "c1");
  }

  void Run(int steps) {
    for (int step = 0; step < steps && !testing::Test::HasFailure(); ++step) Step();
    for (Device& device : devices_) Finish(device);
  }

 private:
  using Held = std::map<std::string, std::set<uint64_t>>;
  struct Device {
    uint32_t id = 0;
    std::string name{};
    uint64_t pe = 0;
    bool connected = false;
    uint64_t n = 0;
    Held had{};   // delivered to it and noted, or its own
    Held told{};  // the highest seqs that it knows of
    std::string conv{}, order{}, next{};
    bool hold = false;
  };

  static EngineOptions Options() {
    EngineOptions options;
    options.limits.window = 5;
    options.limits.page = 9;
    options.limits.rate = 0;
    return options;
  }

  void Step() {
    Device& device = random_.Pick(devices_);
    switch (random_.Below(10)) {
      case 0:
      case 1:
      case 2:
        return Send();
      case 3:
        return device.connected ? (random_.OneIn(3) ? Disconnect(device) : SendOwn(device)) : Connect(device);
      case 4:
        harness_.Advance(static_cast<int64_t>(random_.Below(3000)));
        for (Device& each : devices_) TakePushes(each);
        return;
      case 5:
        return Ack(device);
      case 6:
        if (device.connected && random_.OneIn(2)) device.next.clear();
        return PullOne(device);
      default:
        return PullOne(device);
    }
  }

  void Send() {
    for (uint64_t count = random_.Between(1, 4); count > 0; --count) {
      const bool alice = random_.OneIn(2);
      const std::string conv = alice ? kConv : "dm:bob:carl";
      harness_.Queue(alice ? 1 : 2, EngineHarness::Send(conv, ++n_[conv], "random-" + std::to_string(n_[conv])));
      ++head_[conv];
    }
    harness_.Step();
    harness_.Take(1);
    harness_.Take(2);
    for (Device& each : devices_) TakePushes(each);
  }

  void SendOwn(Device& device) {
    ++device.n;
    harness_.Receive(device.id, EngineHarness::Send(kConv, device.n, device.name + "-own-" + std::to_string(device.n)));
    device.had[kConv].insert(++head_[kConv]);
    for (Device& each : devices_) TakePushes(each);
    harness_.Receive(1, R"({"t":"got","conv":"dm:alice:bob","seq":)" + std::to_string(head_[kConv]) + "}");
    harness_.Take(1);
  }

  void Connect(Device& device) {
    device.id += 10;  // never used again: what was closed stays closed
    const auto welcome = harness_.Connect(device.id, "bob", device.name, ++device.pe);
    EXPECT_EQ(welcome.t, "welcome") << welcome.json;
    device.connected = true;
    for (const auto& [conv, head] : head_) device.told[conv].insert(head);
  }

  void Disconnect(Device& device) {
    harness_.engine().Close(device.id);
    harness_.Step();
    harness_.Take(device.id);
    device.connected = false;
  }

  // Pushes, heads and whatever else came; gives back the last page among them.
  std::optional<PageSeen> TakePushes(Device& device, bool lost = false) {
    std::optional<PageSeen> page;
    for (const auto& packet : harness_.Take(device.id)) {
      if (packet.t == "msg" || packet.t == "head" || packet.t == "ack") {
        const std::string conv = packet["conv"].substr(1, packet["conv"].size() - 2);
        const uint64_t seq = packet.integer(packet.t == "head" ? "head" : "seq");
        device.told[conv].insert(seq);
        if (packet.t == "msg") device.had[conv].insert(seq);
      } else if (packet.t == "page") {
        page = Parse(packet);
      } else {
        EXPECT_NE(packet.t, "error") << packet.json;
      }
    }
    uint32_t code = 0;
    if (device.connected && harness_.closed(device.id, &code)) device.connected = false;
    if (page && !lost) Note(device, *page);
    return page;
  }

  void Note(Device& device, const PageSeen& page) {
    std::map<std::string, uint64_t> last;
    for (const auto& [conv, seq] : page.items) {
      const bool newest = device.order == "newest";
      EXPECT_TRUE(last.count(conv) == 0 || (newest ? seq < last[conv] : seq > last[conv])) << "out of order";
      last[conv] = seq;
      device.had[conv].insert(seq);
      device.told[conv].insert(seq);
    }
    for (const Span& span : page.covers) {
      for (uint64_t seq = span.from; seq <= span.to; ++seq) {
        EXPECT_TRUE(device.had[span.conv].contains(seq)) << device.name << ": covered, never delivered: " << seq;
      }
    }
  }

  void PullOne(Device& device) {
    if (!device.connected) return;
    if (device.next.empty()) {
      device.conv = random_.OneIn(2) ? "" : random_.OneIn(2) ? kConv : "dm:bob:carl";
      device.order = random_.OneIn(2) ? "newest" : "oldest";
    }
    device.hold = random_.OneIn(4);
    const std::string packet =
        PullPacket(device.conv, device.order.c_str(), random_.Between(1, 12), device.next, device.hold);
    harness_.Receive(device.id, packet);
    const bool lost = random_.OneIn(4);
    std::optional<PageSeen> page = TakePushes(device, lost);
    ASSERT_TRUE(page) << packet;
    if (random_.OneIn(3)) {
      // Nothing happened in between: the same again is the same page.
      harness_.Receive(device.id, packet);
      const std::optional<PageSeen> again = TakePushes(device, lost);
      ASSERT_TRUE(again);
      EXPECT_EQ(again->items, page->items);
      EXPECT_EQ(again->next, page->next);
    }
    if (lost) return Disconnect(device);  // the next pull is this one again, over another connection
    device.next = page->next;
  }

  void Ack(Device& device) {
    if (!device.connected) return;
    for (auto& [conv, had] : device.had) {
      if (had.empty() || random_.OneIn(3)) continue;
      uint64_t prefix = 0;
      while (had.contains(prefix + 1)) ++prefix;
      std::string range = R"("seq":)" + std::to_string(prefix);
      if (random_.OneIn(2)) {
        auto from = had.lower_bound(random_.Between(1, *had.rbegin()));
        auto to = from;
        while (std::next(to) != had.end() && *std::next(to) == *to + 1 && !random_.OneIn(4)) ++to;
        range = R"("from":)" + std::to_string(*from) + R"(,"to":)" + std::to_string(*to);
      }
      harness_.Receive(device.id, R"({"t":"got","conv":")" + conv + "\"," + range + "}");
    }
    TakePushes(device);
  }

  // It comes to rest: what it was told of reaches every head, and paging to the end leaves nothing out.
  void Finish(Device& device) {
    harness_.Advance(1500);
    TakePushes(device);
    if (device.connected) {
      for (const auto& [conv, head] : head_) {
        ASSERT_FALSE(device.told[conv].empty()) << conv;
        EXPECT_EQ(*device.told[conv].rbegin(), head) << device.name << " was not told of news in " << conv;
      }
    } else {
      Connect(device);
    }
    device.order = random_.OneIn(2) ? "newest" : "oldest";
    PageSeen page;
    do {
      harness_.Receive(device.id, PullPacket("", device.order.c_str(), 9, page.next, false));
      const std::optional<PageSeen> taken = TakePushes(device);
      ASSERT_TRUE(taken);
      page = *taken;
    } while (!page.next.empty());
    for (const auto& [conv, head] : head_) {
      EXPECT_EQ(device.had[conv].size(), head) << device.name << " misses some of " << conv;
    }
    EXPECT_TRUE(Pull(&harness_, device.id, "", "oldest", 9).items.empty());
  }

  test::Random random_;
  EngineHarness harness_;
  std::vector<Device> devices_;
  std::map<std::string, uint64_t> n_;
  std::map<std::string, uint64_t> head_;
};

TEST(EnginePaging, DeliversEveryMessageToEveryDeviceWhateverTheSchedule) {
  const uint64_t seed = test::FromEnvironment("EVERYONCE_SEED", 20261122);
  const uint64_t runs = test::FromEnvironment("EVERYONCE_RUNS", 150);
  for (uint64_t run = 0; run < runs && !HasFailure(); ++run) {
    SCOPED_TRACE("repeat with EVERYONCE_RUNS=1 EVERYONCE_SEED=" + std::to_string(seed + run));
    Schedule(seed + run).Run(250);
  }
}

}  // namespace
}  // namespace everyonce
