#include "log/rocks_kv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rocksdb/db.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "log/store_lock.h"
#include "support/disk_calls.h"
#include "support/temp_dir.h"

namespace everyonce {
namespace {

using test::DiskWatch;
using test::TempDir;
using testing::HasSubstr;

WriteBatch One(const std::string& key, const std::string& value = "v", Space space = Space::kLog) {
  WriteBatch batch;
  batch.Put(space, key, value);
  return batch;
}

std::string Get(Kv* kv, const std::string& key, Space space = Space::kLog) {
  std::string value;
  bool found = false;
  const Status status = kv->Get(space, key, &value, &found);
  EXPECT_TRUE(status.ok()) << status.message;
  return found ? value : "-";
}

std::unique_ptr<RocksKv> MustOpen(const RocksOptions& options) {
  std::unique_ptr<RocksKv> kv;
  const Status status = RocksKv::Open(options, &kv);
  EXPECT_TRUE(status.ok()) << status.message;
  return kv;
}

Status TryOpen(const RocksOptions& options) {
  std::unique_ptr<RocksKv> kv;
  return RocksKv::Open(options, &kv);
}

// The newest write-ahead log of the store in `dir`.
std::string NewestWal(const std::string& dir) {
  const std::vector<std::string> logs = test::FilesEndingWith(dir + "/rocksdb", ".log");
  EXPECT_FALSE(logs.empty());
  return logs.empty() ? "" : dir + "/rocksdb/" + logs.back();
}

// --- the directory ---

TEST(RocksKvOpen, CreatesTheDirectoryWithItsParentsAndKeepsWhatIsWritten) {
  TempDir temp;
  const RocksOptions options{.dir = temp / "a/b/data/"};
  MustOpen(options)->Write(One("k"), true).ok();
  EXPECT_EQ(Get(MustOpen(options).get(), "k"), "v");
  EXPECT_EQ(test::ReadFile(temp / "a/b/data/everyonce.store"), "everyonce store\nformat 1\nstate ready\n");
}

TEST(RocksKvOpen, ADirectoryThatCannotBeMadeIsNamedWithTheReason) {
  TempDir temp;
  test::WriteFile(temp / "file", "");
  for (const std::string& dir : {temp / "file", temp / "file/data"}) {
    const Status status = TryOpen({.dir = dir});
    EXPECT_EQ(status.code, Code::kStoreUnwritable);
    EXPECT_THAT(status.message, HasSubstr(dir));
    EXPECT_THAT(status.message, HasSubstr("errno 20"));  // ENOTDIR
    EXPECT_THAT(status.message, HasSubstr("choose another data directory"));
  }
  EXPECT_EQ(TryOpen({.dir = ""}).code, Code::kStoreUnwritable);
}

TEST(RocksKvOpen, RefusesADirectoryOfSomethingElseAndLeavesItAlone) {
  TempDir temp;
  test::WriteFile(temp / "thesis.txt", "important");
  const Status status = TryOpen({.dir = temp.path()});
  EXPECT_EQ(status.code, Code::kStoreVersion);
  EXPECT_THAT(status.message, HasSubstr("holds no everyonce store"));
  EXPECT_THAT(status.message, HasSubstr("thesis.txt"));
  EXPECT_EQ(test::FilesEndingWith(temp.path(), ""), std::vector<std::string>{"thesis.txt"});
}

TEST(RocksKvOpen, RefusesANewerFormatAndLeavesItAlone) {
  TempDir temp;
  const std::string dir = temp / "data";
  MustOpen({.dir = dir});
  test::WriteFile(dir + "/everyonce.store", "everyonce store\nformat 2\nstate ready\nlater keys\n");
  const std::vector<std::string> before = test::FilesEndingWith(dir + "/rocksdb", "");
  const Status status = TryOpen({.dir = dir});
  EXPECT_EQ(status.code, Code::kStoreVersion);
  EXPECT_THAT(status.message,
              HasSubstr(dir + " was written by a newer version (format 2, this build reads 1); upgrade everyonce"));
  EXPECT_EQ(test::FilesEndingWith(dir + "/rocksdb", ""), before);
}

TEST(RocksKvOpen, NeverBeginsAnewWhereAStoreWas) {
  TempDir temp;
  const std::string dir = temp / "data";
  MustOpen({.dir = dir})->Write(One("k"), true).ok();
  test::RemoveDirectory(dir + "/rocksdb");
  const Status status = TryOpen({.dir = dir});
  EXPECT_FALSE(status.ok()) << "an empty store would number again what this one had acked";
  EXPECT_THAT(status.message, HasSubstr(dir));

  test::WriteFile(dir + "/everyonce.store", "");
  EXPECT_EQ(TryOpen({.dir = dir}).code, Code::kStoreCorrupt);
}

TEST(RocksKvOpen, GoesOnWhereTheFirstCreationWasCutShort) {
  TempDir temp;
  const std::string dir = temp / "data";
  ASSERT_EQ(::mkdir(dir.c_str(), 0755), 0);
  test::WriteFile(dir + "/everyonce.store.new", "every");  // died while writing it
  MustOpen({.dir = dir});
  test::RemoveDirectory(dir);
  ASSERT_EQ(::mkdir(dir.c_str(), 0755), 0);
  test::WriteFile(dir + "/everyonce.store", "everyonce store\nformat 1\nstate new\n");  // died before the data
  MustOpen({.dir = dir})->Write(One("k"), true).ok();
  EXPECT_EQ(Get(MustOpen({.dir = dir}).get(), "k"), "v");
}

// Takes a family out of a store that is closed, as if it had been written by a version that had none.
void DropFamily(const std::string& dir, const std::string& name) {
  const std::string path = dir + "/rocksdb";
  std::vector<std::string> names;
  ASSERT_TRUE(rocksdb::DB::ListColumnFamilies({}, path, &names).ok());
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  for (const std::string& one : names) descriptors.emplace_back(one, rocksdb::ColumnFamilyOptions());
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  ASSERT_TRUE(rocksdb::DB::Open({}, path, descriptors, &handles, &db).ok());
  for (rocksdb::ColumnFamilyHandle* handle : handles) {
    if (handle->GetName() == name) EXPECT_TRUE(db->DropColumnFamily(handle).ok());
    EXPECT_TRUE(db->DestroyColumnFamilyHandle(handle).ok());
  }
  EXPECT_TRUE(db->Close().ok());
  delete db;
}

TEST(RocksKvOpen, AStoreOfBeforeThePrimitivesGetsTheirSpaceAndKeepsTheRest) {
  TempDir temp;
  const std::string dir = temp / "data";
  MustOpen({.dir = dir})->Write(One("k"), true).ok();
  DropFamily(dir, "primitives");
  {
    const auto kv = MustOpen({.dir = dir});
    EXPECT_EQ(Get(kv.get(), "k"), "v");
    EXPECT_TRUE(kv->Write(One("p", "w", Space::kPrimitives), true).ok());
  }
  EXPECT_EQ(Get(MustOpen({.dir = dir}).get(), "p", Space::kPrimitives), "w");
}

TEST(RocksKvOpen, AnyOtherSpaceThatIsMissingIsDamageAndNotMadeAnew) {
  for (const char* name : {"log", "producers", "marks"}) {
    TempDir temp;
    const std::string dir = temp / "data";
    MustOpen({.dir = dir})->Write(One("k"), true).ok();
    DropFamily(dir, name);
    EXPECT_FALSE(TryOpen({.dir = dir}).ok()) << name;
    std::vector<std::string> names;
    ASSERT_TRUE(rocksdb::DB::ListColumnFamilies({}, dir + "/rocksdb", &names).ok());
    EXPECT_EQ(std::count(names.begin(), names.end(), name), 0) << "it was made";
  }
}

// --- one owner ---

TEST(RocksKvLock, ASecondOpenInTheSameProcessIsRefusedAndNamesIt) {
  TempDir temp;
  const std::string dir = temp / "data";
  auto kv = MustOpen({.dir = dir});
  const Status status = TryOpen({.dir = dir});
  EXPECT_EQ(status.code, Code::kStoreLocked);
  EXPECT_THAT(status.message, HasSubstr(dir + " is open in this process (" + std::to_string(::getpid()) + ")"));
  EXPECT_TRUE(kv->Write(One("k"), true).ok()) << "the first is not disturbed";
  kv.reset();
  MustOpen({.dir = dir});
}

TEST(RocksKvLock, AnotherProcessIsNamedAndItsDeathFreesTheStore) {
  TempDir temp;
  const std::string dir = temp / "data";
  MustOpen({.dir = dir});
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {  // holds the lock alone: RocksDB's threads do not live on in a forked process
    std::unique_ptr<StoreLock> lock;
    const char byte = StoreLock::Acquire(dir, &lock).ok() ? 'y' : 'n';
    if (::write(ready[1], &byte, 1) == 1) ::pause();
    ::_exit(1);
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_EQ(byte, 'y');
  const Status status = TryOpen({.dir = dir});
  EXPECT_EQ(status.code, Code::kStoreLocked);
  EXPECT_THAT(status.message, HasSubstr(dir + " is open in process " + std::to_string(child) +
                                        "; stop it or choose another data directory"));
  ASSERT_EQ(::kill(child, SIGKILL), 0);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  MustOpen({.dir = dir});
  for (const int end : ready) ::close(end);
}

// --- what an ack may claim ---

TEST(RocksKvSync, EverySyncedWriteReachesTheDiskBeforeItReturns) {
  TempDir temp;
  const std::string dir = temp / "data";
  auto kv = MustOpen({.dir = dir});
  EXPECT_TRUE(kv->durable());
  DiskWatch disk(dir, ".log");
  const uint64_t counted = kv->stats().wal_syncs;
  for (uint64_t i = 1; i <= 20; ++i) {
    ASSERT_TRUE(kv->Write(One("unsynced"), false).ok());
    EXPECT_EQ(disk.syncs(), i - 1);
    EXPECT_GT(disk.unsynced_writes(), 0u);
    ASSERT_TRUE(kv->Write(One("k" + std::to_string(i)), true).ok());
    ASSERT_EQ(disk.syncs(), i);
    ASSERT_EQ(disk.unsynced_writes(), 0u);
    ASSERT_EQ(kv->syncs(), i);
    ASSERT_EQ(kv->stats().wal_syncs - counted, i);
  }
  ASSERT_TRUE(kv->Write(WriteBatch(), true).ok());
  EXPECT_EQ(disk.unsynced_writes(), 0u);
}

TEST(RocksKvSync, WithoutFsyncNothingClaimsTheDisk) {
  TempDir temp;
  const std::string dir = temp / "data";
  auto kv = MustOpen({.dir = dir, .fsync = false});
  EXPECT_FALSE(kv->durable());
  DiskWatch disk(dir, ".log");
  ASSERT_TRUE(kv->Write(One("k"), true).ok());
  EXPECT_EQ(disk.syncs(), 0u);
  EXPECT_EQ(kv->syncs(), 0u);
  kv.reset();
  EXPECT_EQ(Get(MustOpen({.dir = dir}).get(), "k"), "v") << "the end of a process loses nothing";
}

TEST(RocksKvSync, AfterAFailedSyncEverythingIsRefusedUntilRecovered) {
  TempDir temp;
  const std::string dir = temp / "data";
  auto kv = MustOpen({.dir = dir});
  ASSERT_TRUE(kv->Write(One("before"), true).ok());
  DiskWatch disk(dir, ".log");
  disk.FailNextSync(EIO);
  const Status failed = kv->Write(One("unknown"), true);
  EXPECT_EQ(failed.code, Code::kUnavailable);
  EXPECT_THAT(failed.message, HasSubstr(dir));
  EXPECT_EQ(kv->syncs(), 1u);

  EXPECT_EQ(kv->Write(One("refused"), true).code, Code::kUnavailable);
  std::string value;
  bool found = true;
  EXPECT_EQ(kv->Get(Space::kLog, "before", &value, &found).code, Code::kUnavailable);
  EXPECT_FALSE(found);
  EXPECT_EQ(kv->Scan(Space::kLog, "", "", false, [](auto, auto) { return true; }).code, Code::kUnavailable);
  EXPECT_EQ(kv->stats().keys_estimate, 0u);

  ASSERT_TRUE(kv->Recover().ok());
  EXPECT_EQ(Get(kv.get(), "before"), "v");
  EXPECT_EQ(Get(kv.get(), "refused"), "-");
  // The write is there although its sync failed. So that no power cut can take it back from whoever reads it now, it
  // must have left the log that was not synced for a table that was.
  const std::string unknown = Get(kv.get(), "unknown");
  EXPECT_EQ(unknown, "v");
  EXPECT_EQ(kv->stats().wal_bytes, 0u);
  EXPECT_GT(kv->stats().disk_bytes, 0u);
  ASSERT_TRUE(kv->Write(One("after"), true).ok());
  kv.reset();
  kv = MustOpen({.dir = dir});
  EXPECT_EQ(Get(kv.get(), "unknown"), unknown);
  EXPECT_EQ(Get(kv.get(), "after"), "v");
}

TEST(RocksKvSync, AFullDiskIsSaidAndRecoveredFrom) {
  TempDir temp;
  const std::string dir = temp / "data";
  auto kv = MustOpen({.dir = dir});
  DiskWatch disk(dir, ".log");
  disk.FailNextWrite(ENOSPC);
  const Status failed = kv->Write(One("unknown"), true);
  EXPECT_EQ(failed.code, Code::kUnavailable);
  EXPECT_THAT(failed.message, HasSubstr("make room on the disk"));
  EXPECT_EQ(kv->Write(One("refused"), true).code, Code::kUnavailable);
  ASSERT_TRUE(kv->Recover().ok());
  EXPECT_EQ(Get(kv.get(), "unknown"), "-");
  ASSERT_TRUE(kv->Write(One("after"), true).ok());
  EXPECT_EQ(Get(kv.get(), "after"), "v");
}

TEST(RocksKvSync, ARecoverThatFailsMayBeRepeated) {
  TempDir temp;
  const std::string dir = temp / "data";
  auto kv = MustOpen({.dir = dir});
  ASSERT_TRUE(kv->Write(One("before"), true).ok());
  ASSERT_EQ(::rename((dir + "/rocksdb").c_str(), (dir + "/away").c_str()), 0);
  EXPECT_FALSE(kv->Recover().ok());
  EXPECT_EQ(kv->Write(One("refused"), true).code, Code::kUnavailable);
  EXPECT_EQ(TryOpen({.dir = dir}).code, Code::kStoreLocked) << "still ours";
  test::RemoveDirectory(dir + "/rocksdb");
  ASSERT_EQ(::rename((dir + "/away").c_str(), (dir + "/rocksdb").c_str()), 0);
  ASSERT_TRUE(kv->Recover().ok());
  EXPECT_EQ(Get(kv.get(), "before"), "v");
}

// --- damage ---

// A store with 20 synced writes, closed; then `damage` changes its newest write-ahead log.
template <typename Damage>
void WithDamagedWal(const std::string& dir, Damage damage) {
  {
    auto kv = MustOpen({.dir = dir});
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(kv->Write(One("k" + std::to_string(i), std::string(200, 'v')), true).ok());
  }
  const std::string wal = NewestWal(dir);
  std::string bytes = test::ReadFile(wal);
  ASSERT_GT(bytes.size(), 4000u);
  damage(&bytes);
  test::WriteFile(wal, bytes);
}

TEST(RocksKvDamage, ATornLastWriteIsDroppedAndTheRestKept) {
  TempDir temp;
  const std::string dir = temp / "data";
  WithDamagedWal(dir, [](std::string* bytes) { bytes->resize(bytes->size() - 100); });
  auto kv = MustOpen({.dir = dir});
  EXPECT_EQ(Get(kv.get(), "k18"), std::string(200, 'v'));
  EXPECT_EQ(Get(kv.get(), "k19"), "-");
}

TEST(RocksKvDamage, ABreakBeforeTheEndIsRefusedAndSaysHowToGoOn) {
  TempDir temp;
  const std::string dir = temp / "data";
  WithDamagedWal(dir, [](std::string* bytes) { (*bytes)[bytes->size() / 2] ^= 1; });
  const std::string before = test::ReadFile(NewestWal(dir));
  const Status status = TryOpen({.dir = dir});
  EXPECT_EQ(status.code, Code::kStoreCorrupt);
  EXPECT_THAT(status.message, HasSubstr(dir));
  EXPECT_THAT(status.message, HasSubstr("restore a backup"));
  EXPECT_EQ(test::ReadFile(NewestWal(dir)), before) << "what can be saved is still there";
  // Only who asks for it gets the beginning alone.
  auto kv = MustOpen({.dir = dir, .allow_point_in_time = true});
  EXPECT_NE(Get(kv.get(), "k1"), "-");
  EXPECT_EQ(Get(kv.get(), "k19"), "-");
}

TEST(RocksKvDamage, AFlippedBitInATableIsAnErrorAndNeverAValue) {
  TempDir temp;
  const std::string dir = temp / "data";
  const auto value = [](int i) { return std::to_string(i) + std::string(100, 'x'); };
  {
    auto kv = MustOpen({.dir = dir});
    WriteBatch batch;
    for (int i = 0; i < 2000; ++i) batch.Put(Space::kLog, "k" + std::to_string(10000 + i), value(i));
    ASSERT_TRUE(kv->Write(batch, true).ok());
  }
  MustOpen({.dir = dir});  // recovery turns the log into tables
  const std::vector<std::string> tables = test::FilesEndingWith(dir + "/rocksdb", ".sst");
  ASSERT_EQ(tables.size(), 1u);
  const std::string table = dir + "/rocksdb/" + tables[0];
  std::string bytes = test::ReadFile(table);
  bytes[100] ^= 4;  // in the first data block
  test::WriteFile(table, bytes);
  auto kv = MustOpen({.dir = dir});
  std::string read;
  bool found = true;
  const Status status = kv->Get(Space::kLog, "k10000", &read, &found);
  EXPECT_EQ(status.code, Code::kStoreCorrupt);
  EXPECT_THAT(status.message, HasSubstr("reading from log"));
  EXPECT_FALSE(found);
  int visited = 0;
  EXPECT_EQ(kv->Scan(Space::kLog, "", "", false, [&](auto, auto) { return ++visited > 0; }).code, Code::kStoreCorrupt);
  EXPECT_EQ(Get(kv.get(), "k11999"), value(1999)) << "what is whole stays readable";
}

TEST(RocksKvDamage, AMissingTableIsFoundWhenTheStoreOpens) {
  TempDir temp;
  const std::string dir = temp / "data";
  MustOpen({.dir = dir})->Write(One("k"), true).ok();
  MustOpen({.dir = dir});
  for (const std::string& table : test::FilesEndingWith(dir + "/rocksdb", ".sst")) {
    ASSERT_EQ(::unlink((dir + "/rocksdb/" + table).c_str()), 0);
  }
  EXPECT_EQ(TryOpen({.dir = dir}).code, Code::kStoreCorrupt);
}

TEST(RocksKvStats, TellWhatIsHeld) {
  TempDir temp;
  auto kv = MustOpen({.dir = temp / "data"});
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(kv->Write(One("k" + std::to_string(i), std::string(1000, 'v')), true).ok());
  const RocksStats stats = kv->stats();
  EXPECT_EQ(stats.keys_estimate, 100u);
  EXPECT_GT(stats.memtable_bytes, 100'000u);
  EXPECT_GT(stats.wal_bytes, 100'000u);
  EXPECT_EQ(stats.wal_syncs, 100u);
}

}  // namespace
}  // namespace everyonce
