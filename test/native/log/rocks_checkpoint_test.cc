#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "log/rocks_kv.h"
#include "support/temp_dir.h"

namespace everyonce {
namespace {

using test::TempDir;
using testing::HasSubstr;

void Put(RocksKv* kv, const std::string& key, const std::string& value, bool sync = true) {
  WriteBatch batch;
  batch.Put(Space::kLog, key, value);
  batch.Put(Space::kMarks, key, value);
  const Status status = kv->Write(batch, sync);
  ASSERT_TRUE(status.ok()) << status.message;
}

// The value in both spaces; "torn" where they differ.
std::string Get(RocksKv* kv, const std::string& key) {
  std::string log = "-";
  std::string mark = "-";
  bool found = false;
  EXPECT_TRUE(kv->Get(Space::kLog, key, &log, &found).ok());
  if (!found) log = "-";
  EXPECT_TRUE(kv->Get(Space::kMarks, key, &mark, &found).ok());
  if (!found) mark = "-";
  return log == mark ? log : "torn";
}

std::unique_ptr<RocksKv> MustOpen(const std::string& dir, bool fsync = true) {
  std::unique_ptr<RocksKv> kv;
  const Status status = RocksKv::Open({.dir = dir, .fsync = fsync}, &kv);
  EXPECT_TRUE(status.ok()) << status.message;
  return kv;
}

TEST(RocksCheckpoint, HoldsAllThatWasWrittenBeforeItAndNothingAfter) {
  const TempDir dir;
  auto store = MustOpen(dir / "data");
  // Some in tables, by a reopening; some in the write-ahead log only; some not even synced.
  Put(store.get(), "old", "1");
  store.reset();
  store = MustOpen(dir / "data");
  Put(store.get(), "logged", "2");
  Put(store.get(), "unsynced", "3", false);
  ASSERT_TRUE(store->Checkpoint(dir / "copy").ok());
  Put(store.get(), "old", "later");
  Put(store.get(), "later", "4");

  auto copy = MustOpen(dir / "copy");
  EXPECT_EQ(Get(copy.get(), "old"), "1");
  EXPECT_EQ(Get(copy.get(), "logged"), "2");
  EXPECT_EQ(Get(copy.get(), "unsynced"), "3");
  EXPECT_EQ(Get(copy.get(), "later"), "-");
  // They go their own ways, though they share tables.
  Put(copy.get(), "old", "of the copy");
  EXPECT_EQ(Get(store.get(), "old"), "later");
  store.reset();
  store = MustOpen(dir / "data");
  EXPECT_EQ(Get(store.get(), "old"), "later");
  EXPECT_EQ(Get(copy.get(), "old"), "of the copy");
}

TEST(RocksCheckpoint, IsMarkedUntilTheMarkIsForgottenAndTheStoreItselfIsNot) {
  const TempDir dir;
  auto store = MustOpen(dir / "data");
  Put(store.get(), "key", "1");
  ASSERT_TRUE(store->Checkpoint(dir / "copy").ok());
  EXPECT_FALSE(store->restored());
  for (int round = 0; round < 2; ++round) EXPECT_TRUE(MustOpen(dir / "copy")->restored());
  // A copy of a copy is one, too.
  auto copy = MustOpen(dir / "copy");
  ASSERT_TRUE(copy->Checkpoint(dir / "second").ok());
  ASSERT_TRUE(copy->ForgetRestored().ok());
  EXPECT_FALSE(copy->restored());
  copy.reset();
  EXPECT_FALSE(MustOpen(dir / "copy")->restored());
  EXPECT_TRUE(MustOpen(dir / "second")->restored());
}

TEST(RocksCheckpoint, IsRefusedWhereSomethingIsAndLeavesThatAlone) {
  const TempDir dir;
  auto store = MustOpen(dir / "data");
  Put(store.get(), "key", "1");
  ASSERT_TRUE(store->Checkpoint(dir / "copy").ok());
  for (const std::string& place : {dir / "copy", dir / "no/such/place"}) {
    const Status status = store->Checkpoint(place);
    EXPECT_EQ(status.code, Code::kStoreUnwritable);
    EXPECT_THAT(status.message, HasSubstr(place));
  }
  Put(store.get(), "key", "2");
  EXPECT_EQ(Get(MustOpen(dir / "copy").get(), "key"), "1");
}

// What takes the mark's place is on the disk first, also where commits wait for no disk.
TEST(RocksCheckpoint, ForgettingSyncsWhatWasWrittenBefore) {
  const TempDir dir;
  {
    auto store = MustOpen(dir / "data");
    Put(store.get(), "key", "1");
    ASSERT_TRUE(store->Checkpoint(dir / "copy").ok());
  }
  auto copy = MustOpen(dir / "copy", false);
  Put(copy.get(), "generation", "1");
  const uint64_t before = copy->stats().wal_syncs;
  ASSERT_TRUE(copy->ForgetRestored().ok());
  EXPECT_EQ(copy->stats().wal_syncs, before + 1);
}

}  // namespace
}  // namespace everyonce
