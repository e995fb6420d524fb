#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "log/embedded_log.h"
#include "log/rocks_kv.h"
#include "support/temp_dir.h"

// A power cut may tear the write of a package at any byte: all of its parts are there afterwards, or none.

namespace everyonce {
namespace {

constexpr int64_t kNowMs = 1790000000000;
constexpr const char* kConv = "dm:ann:bob";
constexpr uint64_t kBefore = 3;
constexpr size_t kParts = 4;

std::unique_ptr<Log> OpenLog(const std::string& dir) {
  std::unique_ptr<Kv> kv;
  Status status = RocksKv::Open({.dir = dir, .block_cache_bytes = 1 << 20, .write_buffer_bytes = 4 << 20}, &kv);
  EXPECT_TRUE(status.ok()) << status.message;
  if (!status.ok()) return nullptr;
  EmbeddedLogOptions options;
  options.random = [] { return 7; };
  options.now_ms = kNowMs;
  return OpenEmbeddedLog(std::move(kv), std::move(options), &status);
}

Command Send(uint64_t n, size_t parts = 0) {
  Command command;
  command.kind = CommandKind::kSend;
  command.conv = kConv;
  command.user = "ann";
  command.device = "phone";
  command.pe = 1;
  command.n = n;
  command.type = "text";
  command.id = "message-" + std::to_string(n);
  command.body = "1";
  if (parts > 0) command.package_id = "package";
  for (size_t i = 0; i < parts; ++i) command.parts.push_back({"part-of-it-" + std::to_string(i), "text", "2"});
  return command;
}

Outcome Commit(Log* log, const Command& command) {
  Outcome outcome;
  log->Commit({command}, kNowMs, [&](std::vector<Outcome> outcomes) { outcome = std::move(outcomes.at(0)); });
  return outcome;
}

uint64_t HeadOf(Log* log) {
  uint64_t head = 0;
  log->View("bob", "reader", kConv, [&](const Status& status, const ConversationView& view) {
    EXPECT_TRUE(status.ok()) << status.message;
    head = view.head;
  });
  return head;
}

std::string Wal(const std::string& dir) {
  const std::vector<std::string> logs = test::FilesEndingWith(dir + "/rocksdb", ".log");
  EXPECT_EQ(logs.size(), 1u);
  return dir + "/rocksdb/" + logs.back();
}

TEST(WalTailPackage, CutAtEveryByteOfThePackage) {
  const test::TempDir dir{test::TempDir::Place::kMemory};
  std::unique_ptr<Log> log = OpenLog(dir / "data");
  ASSERT_NE(log, nullptr);
  for (uint64_t n = 1; n <= kBefore; ++n) ASSERT_EQ(Commit(log.get(), Send(n)).code, Code::kOk);
  const size_t start = test::ReadFile(Wal(dir / "data")).size();
  const Outcome acked = Commit(log.get(), Send(kBefore + 1, kParts));
  ASSERT_EQ(acked.code, Code::kOk);
  log.reset();
  const std::string wal = test::ReadFile(Wal(dir / "data"));
  ASSERT_GT(wal.size(), start + 100);
  for (size_t size = start; size <= wal.size(); ++size) {
    SCOPED_TRACE("cut at byte " + std::to_string(size - start) + " of " + std::to_string(wal.size() - start));
    const std::string copy = dir / "copy";
    test::RemoveDirectory(copy);
    test::CopyDirectory(dir / "data", copy);
    test::WriteFile(Wal(copy), wal.substr(0, size));
    std::unique_ptr<Log> cut = OpenLog(copy);
    ASSERT_NE(cut, nullptr);
    const bool kept = size == wal.size();
    ASSERT_EQ(HeadOf(cut.get()), kBefore + (kept ? kParts : 0)) << "all parts or none";
    const Outcome again = Commit(cut.get(), Send(kBefore + 1, kParts));
    ASSERT_EQ(again.code, Code::kOk) << again.message;
    ASSERT_EQ(again.duplicate, kept);
    ASSERT_EQ(again.seq, acked.seq);
    if (kept) {
      ASSERT_EQ(again.mids, acked.mids);
    }
    ASSERT_EQ(Commit(cut.get(), Send(kBefore + 2)).seq, kBefore + kParts + 1) << "the package was one n";
  }
}

}  // namespace
}  // namespace everyonce
