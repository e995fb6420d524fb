// What retention removes from the embedded store gives its room on the disk back.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "log/embedded_log.h"
#include "log/rocks_kv.h"
#include "support/seed.h"
#include "support/temp_dir.h"

namespace everyonce::test {
namespace {

constexpr uint64_t kMessages = 20000;
constexpr int64_t kNowMs = 1790000000000;

TEST(RocksRetention, RoomOnTheDiskIsGivenBack) {
  TempDir dir(TempDir::Place::kMemory);
  std::unique_ptr<RocksKv> kv;
  ASSERT_TRUE(RocksKv::Open({.dir = dir / "data", .fsync = false, .write_buffer_bytes = 4 << 20}, &kv).ok());
  RocksKv* rocks = kv.get();
  EmbeddedLogOptions options;
  options.retention.messages = 100;
  options.retention.give_back_bytes = 1;
  Status status;
  const std::unique_ptr<Log> log = OpenEmbeddedLog(std::move(kv), std::move(options), &status);
  ASSERT_NE(log, nullptr) << status.message;
  Random random(7);
  std::vector<Command> group;
  for (uint64_t n = 1; n <= kMessages; ++n) {
    Command command;
    command.conv = "dm:ann:bob";
    command.user = "ann";
    command.device = "phone";
    command.n = n;
    command.id = "message-" + std::to_string(n);
    command.type = "text";
    command.body = "\"";
    for (int i = 0; i < 60; ++i) command.body += std::to_string(random.Below(1'000'000));
    command.body += "\"";
    group.push_back(std::move(command));
    if (group.size() < 1000) continue;
    log->Commit(group, kNowMs, [](const std::vector<Outcome>& outcomes) { EXPECT_EQ(outcomes[0].code, Code::kOk); });
    group.clear();
  }
  ASSERT_TRUE(rocks->Compact().ok());
  const uint64_t before = rocks->stats().disk_bytes;
  while (log->counters().retention_runs == 0) ASSERT_GE(log->Retain(kNowMs), 0);
  EXPECT_EQ(log->counters().removed_messages, kMessages - 100);
  EXPECT_GT(log->counters().removed_bytes, kMessages * 300);
  ASSERT_TRUE(rocks->Compact().ok());
  const uint64_t after = rocks->stats().disk_bytes;
  EXPECT_GT(before, kMessages * 100);
  EXPECT_LT(after, before / 4) << "the answers of old n alone are left, and of what there was " << before;
}

}  // namespace
}  // namespace everyonce::test
