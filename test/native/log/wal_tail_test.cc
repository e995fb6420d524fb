#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "log/embedded_log.h"
#include "log/rocks_kv.h"
#include "support/seed.h"
#include "support/temp_dir.h"

// A power cut may tear the last write of the write-ahead log at any byte. Whatever is left, the log opens, holds every
// group before it whole, and that one whole or not at all; and what it says of the senders agrees with what it holds.

namespace everyonce {
namespace {

using test::TempDir;

constexpr int64_t kNowMs = 1790000000000;
constexpr const char* kDirect = "dm:ann:bob";
constexpr const char* kGroup = "g:room";

std::unique_ptr<Log> OpenLog(const std::string& dir, Status* status) {
  std::unique_ptr<Kv> kv;
  *status = RocksKv::Open({.dir = dir, .block_cache_bytes = 1 << 20, .write_buffer_bytes = 4 << 20}, &kv);
  if (!status->ok()) return nullptr;
  EmbeddedLogOptions options;
  options.random = [] { return 7; };
  options.now_ms = kNowMs;
  return OpenEmbeddedLog(std::move(kv), std::move(options), status);
}

Command Send(const std::string& conv, const std::string& user, uint64_t n) {
  Command command;
  command.kind = CommandKind::kSend;
  command.conv = conv;
  command.user = user;
  command.device = "phone";
  command.pe = 1;
  command.n = n;
  command.id = user + "-message-" + std::to_string(n);
  command.type = "text";
  command.body = "\"" + user + " says " + std::to_string(n) + "\"";
  return command;
}

std::vector<Outcome> Commit(Log* log, const std::vector<Command>& group) {
  std::vector<Outcome> answers;
  log->Commit(group, kNowMs, [&](std::vector<Outcome> outcomes) { answers = std::move(outcomes); });
  return answers;
}

// Every message of `conv`, as `user`'s new device sees it; checks that it is dense.
std::vector<Message> ReadAll(Log* log, const std::string& conv, const std::string& user) {
  std::vector<Message> messages;
  PullQuery query;
  query.user = user;
  query.device = "reader";
  query.conv = conv;
  query.limit = 1000;
  log->Pull(query, [&](const Status& status, const Page& page) {
    EXPECT_TRUE(status.ok()) << status.message;
    for (const PageItem& item : page.items) {
      EXPECT_FALSE(item.is_hole());
      EXPECT_EQ(item.message.seq, messages.size() + 1) << "the log is dense";
      messages.push_back(item.message);
    }
  });
  return messages;
}

// Group i: one message of ann to bob, one of bob to ann, one of ann to the group. Three conversations' states, one act.
std::vector<Command> Group(uint64_t i) {
  return {Send(kDirect, "ann", i), Send(kDirect, "bob", i), Send(kGroup, "ann", i)};
}

// A store with `kGroups` groups, each synced, and the size of its write-ahead log before and after the last of them.
class WalTail : public testing::Test {
 protected:
  static constexpr uint64_t kGroups = 6;

  void SetUp() override {
    Status status;
    std::unique_ptr<Log> log = OpenLog(dir_ / "data", &status);
    ASSERT_NE(log, nullptr) << status.message;
    Command create;
    create.kind = CommandKind::kMembers;
    create.action = MembersAction::kCreate;
    create.conv = kGroup;
    create.user = "ann";
    create.members = {"bob"};
    ASSERT_EQ(Commit(log.get(), {create}).at(0).code, Code::kOk);
    for (uint64_t i = 1; i <= kGroups; ++i) {
      if (i == kGroups) start_ = test::ReadFile(Wal(dir_ / "data")).size();
      acked_.push_back(Commit(log.get(), Group(i)));
      for (const Outcome& outcome : acked_.back()) ASSERT_EQ(outcome.code, Code::kOk) << outcome.message;
    }
    log.reset();
    wal_ = test::ReadFile(Wal(dir_ / "data"));
    ASSERT_GT(wal_.size(), start_ + 100);
  }

  static std::string Wal(const std::string& dir) {
    const std::vector<std::string> logs = test::FilesEndingWith(dir + "/rocksdb", ".log");
    EXPECT_EQ(logs.size(), 1u);
    return dir + "/rocksdb/" + logs.back();
  }

  // A copy of the store whose write-ahead log is `wal`.
  std::string CopyWith(const std::string& wal) {
    const std::string copy = dir_ / "copy";
    test::RemoveDirectory(copy);
    test::CopyDirectory(dir_ / "data", copy);
    test::WriteFile(Wal(copy), wal);
    return copy;
  }

  // Opens the copy and judges it. Returns whether the last group is there, or nothing where the store was refused.
  void Judge(const std::string& dir, bool may_be_refused, bool* opened, bool* kept) {
    Status status;
    std::unique_ptr<Log> log = OpenLog(dir, &status);
    *opened = log != nullptr;
    if (log == nullptr) {
      EXPECT_TRUE(may_be_refused) << status.message;
      EXPECT_EQ(status.code, Code::kStoreCorrupt) << status.message;
      return;
    }
    const std::vector<Message> direct = ReadAll(log.get(), kDirect, "bob");
    const std::vector<Message> by_bob = ReadAll(log.get(), kDirect, "ann");
    const std::vector<Message> group = ReadAll(log.get(), kGroup, "bob");
    *kept = direct.size() == 2 * kGroups;
    const uint64_t groups = *kept ? kGroups : kGroups - 1;
    ASSERT_EQ(direct.size(), 2 * groups) << "every acked group before the last is whole, the last whole or not at all";
    ASSERT_EQ(by_bob.size(), 2 * groups);
    ASSERT_EQ(group.size(), groups + 1) << "the conversations of one group agree";
    for (uint64_t i = 1; i <= groups; ++i) {
      const std::array<const Message*, 3> messages = {&direct[2 * i - 2], &direct[2 * i - 1], &group[i]};
      for (size_t j = 0; j < messages.size(); ++j) {
        const Command sent = Group(i)[j];
        const Outcome& acked = acked_[i - 1][j];
        EXPECT_EQ(messages[j]->id, sent.id);
        EXPECT_EQ(messages[j]->body, sent.body);
        EXPECT_EQ(messages[j]->mid, acked.mid);
        EXPECT_EQ(messages[j]->seq, acked.seq);
        EXPECT_EQ(messages[j]->epoch, acked.epoch);
      }
    }
    // The senders heard nothing of the last group: they send the same again, twice, and go on.
    for (const uint64_t i : {kGroups - 1, kGroups, kGroups, kGroups + 1}) {
      const bool stored = i < kGroups || (i == kGroups && *kept);
      if (i == kGroups) *kept = true;
      const std::vector<Outcome> again = Commit(log.get(), Group(i));
      for (size_t j = 0; j < again.size(); ++j) {
        ASSERT_EQ(again[j].code, Code::kOk) << again[j].message;
        EXPECT_EQ(again[j].duplicate, stored);
        if (i <= kGroups) {
          EXPECT_EQ(again[j].seq, acked_[i - 1][j].seq);
        }
        if (stored && (i < kGroups || groups == kGroups)) {
          EXPECT_EQ(again[j].mid, acked_[i - 1][j].mid);
        }
      }
    }
    *kept = groups == kGroups;
    EXPECT_EQ(ReadAll(log.get(), kDirect, "bob").size(), 2 * (kGroups + 1)) << "each exactly once";
    EXPECT_EQ(ReadAll(log.get(), kGroup, "bob").size(), kGroups + 2);
  }

  TempDir dir_{TempDir::Place::kMemory};
  std::string wal_;
  size_t start_ = 0;  // where the last group's record begins
  std::vector<std::vector<Outcome>> acked_;
};

TEST_F(WalTail, CutAtEveryByteOfTheLastGroup) {
  for (size_t size = start_; size <= wal_.size(); ++size) {
    SCOPED_TRACE("cut at byte " + std::to_string(size - start_) + " of " + std::to_string(wal_.size() - start_));
    bool opened = false;
    bool kept = false;
    Judge(CopyWith(wal_.substr(0, size)), false, &opened, &kept);
    EXPECT_EQ(kept, size == wal_.size());
    if (HasFailure()) return;
  }
}

// What a power cut can leave behind the last synced write: blocks that were allocated and never written, or written
// with what lay on the disk before.
TEST_F(WalTail, ZerosOrGarbageBehindTheEnd) {
  test::Random random(5);
  for (const size_t size : {1, 6, 7, 8, 100, 5000, 40000}) {
    for (const bool zeros : {true, false}) {
      SCOPED_TRACE((zeros ? "zeros, " : "garbage, ") + std::to_string(size));
      std::string tail(size, '\0');
      for (char& byte : tail) byte = zeros ? '\0' : static_cast<char>(random.Below(256));
      bool opened = false;
      bool kept = false;
      Judge(CopyWith(wal_ + tail), !zeros, &opened, &kept);
      EXPECT_TRUE(!opened || kept);
    }
  }
}

// A flipped bit in the last group: found, and refused or cut off; never a message with other bytes.
TEST_F(WalTail, FlippedAtEveryByteOfTheLastGroup) {
  size_t refused = 0;
  for (size_t at = start_; at < wal_.size(); ++at) {
    SCOPED_TRACE("flipped in byte " + std::to_string(at - start_) + " of " + std::to_string(wal_.size() - start_));
    std::string wal = wal_;
    wal[at] = static_cast<char>(wal[at] ^ (1 << (at % 8)));
    bool opened = false;
    bool kept = false;
    Judge(CopyWith(wal), true, &opened, &kept);
    EXPECT_FALSE(opened && kept) << "a broken record was believed";
    if (!opened) ++refused;
    if (HasFailure()) return;
  }
  EXPECT_GT(refused, 0u);
}

}  // namespace
}  // namespace everyonce
