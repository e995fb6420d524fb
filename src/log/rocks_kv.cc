#include "log/rocks_kv.h"

#include <rocksdb/iterator.h>
#include <rocksdb/transaction_log.h>
#include <rocksdb/write_batch.h>

#include <atomic>
#include <utility>

#include "log/rocks_checkpoint.h"
#include "log/rocks_open.h"
#include "log/store_directory.h"
#include "log/store_lock.h"

namespace everyonce {
namespace {

rocksdb::Slice SliceOf(std::string_view bytes) { return {bytes.data(), bytes.size()}; }
std::string_view ViewOf(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

// A family's number and the lengths, as RocksDB writes them; a little too much costs nothing.
constexpr size_t kBatchOverheadBytes = 64;
constexpr size_t kOperationOverheadBytes = 24;

}  // namespace

struct RocksKv::Impl {
  RocksOptions options;
  std::unique_ptr<StoreLock> lock;  // released last
  std::shared_ptr<rocksdb::Statistics> statistics;
  std::unique_ptr<RocksDatabase> database;  // null after a Recover that failed
  std::atomic<bool> failed{false};          // a write's outcome is unknown: nothing may be read or written
  bool restored = false;                    // as the store file says
  std::atomic<uint64_t> syncs{0};

  rocksdb::ColumnFamilyHandle* Family(Space space) const { return database->families[static_cast<size_t>(space)]; }

  Status Usable() const {
    if (!failed && database != nullptr) return Status::Ok();
    return Status::Error(Code::kUnavailable,
                         "the store in " + options.dir + " is closed after a failed write until it is opened again");
  }
};

RocksKv::RocksKv(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RocksKv::~RocksKv() = default;

Status RocksKv::Open(const RocksOptions& options, std::unique_ptr<RocksKv>* store) {
  auto impl = std::make_unique<Impl>();
  impl->options = options;
  std::string& dir = impl->options.dir;
  while (dir.size() > 1 && dir.back() == '/') dir.pop_back();
  if (dir.empty()) return Status::Error(Code::kStoreUnwritable, "the data directory has no name");

  // Looked at before anything is written there: a directory that is not ours must stay as it is.
  DirectoryState state = DirectoryState::kMissing;
  StoreFile file;
  if (Status status = InspectDirectory(dir, kFormatVersion, &state, &file); !status.ok()) return status;
  if (state == DirectoryState::kMissing) {
    if (Status status = CreateDirectory(dir); !status.ok()) return status;
  }
  if (Status status = StoreLock::Acquire(dir, &impl->lock); !status.ok()) return status;
  // And again as the only one: another process may have created the store meanwhile.
  if (Status status = InspectDirectory(dir, kFormatVersion, &state, &file); !status.ok()) return status;
  if (state != DirectoryState::kStore) {
    file = {.format = kFormatVersion, .ready = false};
    if (Status status = WriteStoreFile(dir, file); !status.ok()) return status;
  }

  impl->statistics = rocksdb::CreateDBStatistics();
  impl->statistics->set_stats_level(rocksdb::StatsLevel::kExceptHistogramOrTimers);
  if (Status status = OpenRocksDatabase(impl->options, !file.ready, impl->statistics, &impl->database); !status.ok()) {
    return status;
  }
  if (!file.ready) {
    file.ready = true;
    if (Status status = WriteStoreFile(dir, file); !status.ok()) return status;
  }
  impl->restored = file.restored;
  store->reset(new RocksKv(std::move(impl)));
  return Status::Ok();
}

Status RocksKv::Open(const RocksOptions& options, std::unique_ptr<Kv>* store) {
  std::unique_ptr<RocksKv> opened;
  Status status = Open(options, &opened);
  if (status.ok()) *store = std::move(opened);
  return status;
}

Status RocksKv::Write(const WriteBatch& batch, bool sync) {
  if (Status status = impl_->Usable(); !status.ok()) return status;
  rocksdb::WriteBatch writes(kBatchOverheadBytes + batch.bytes() + batch.operations().size() * kOperationOverheadBytes);
  rocksdb::Status added;
  for (const WriteBatch::Operation& operation : batch.operations()) {
    added = operation.remove ? writes.Delete(impl_->Family(operation.space), operation.key)
                             : writes.Put(impl_->Family(operation.space), operation.key, operation.value);
    // Nothing was written yet, so the store stays in use.
    if (!added.ok()) return FromRocksStatus(added, impl_->options.dir, "preparing a write");
  }
  rocksdb::WriteOptions how;
  how.sync = sync && impl_->options.fsync;
  const rocksdb::Status written = impl_->database->db->Write(how, &writes);
  if (!written.ok()) {
    impl_->failed = true;
    Status status = FromRocksStatus(written, impl_->options.dir, "writing");
    status.code = Code::kUnavailable;  // unknown, whatever the reason; the reason is in the message
    return status;
  }
  if (how.sync) ++impl_->syncs;
  return Status::Ok();
}

Status RocksKv::Recover() {
  impl_->database.reset();  // the directory stays locked
  Status status = OpenRocksDatabase(impl_->options, false, impl_->statistics, &impl_->database);
  if (status.ok()) impl_->failed = false;
  return status;
}

Status RocksKv::Get(Space space, std::string_view key, std::string* value, bool* found) {
  *found = false;
  if (Status status = impl_->Usable(); !status.ok()) return status;
  const rocksdb::Status read =
      impl_->database->db->Get(rocksdb::ReadOptions(), impl_->Family(space), SliceOf(key), value);
  if (read.IsNotFound()) return Status::Ok();
  *found = read.ok();
  return FromRocksStatus(read, impl_->options.dir, std::string("reading from ") + SpaceName(space));
}

Status RocksKv::Scan(Space space, std::string_view from, std::string_view to, bool reverse, const Visitor& visit) {
  if (Status status = impl_->Usable(); !status.ok()) return status;
  if (!to.empty() && to <= from) return Status::Ok();
  const rocksdb::Slice lower = SliceOf(from);
  const rocksdb::Slice upper = SliceOf(to);
  rocksdb::ReadOptions how;
  how.iterate_lower_bound = &lower;
  if (!to.empty()) how.iterate_upper_bound = &upper;
  const std::unique_ptr<rocksdb::Iterator> iterator(impl_->database->db->NewIterator(how, impl_->Family(space)));
  if (reverse) {
    for (iterator->SeekToLast(); iterator->Valid(); iterator->Prev()) {
      if (!visit(ViewOf(iterator->key()), ViewOf(iterator->value()))) return Status::Ok();
    }
  } else {
    for (iterator->Seek(lower); iterator->Valid(); iterator->Next()) {
      if (!visit(ViewOf(iterator->key()), ViewOf(iterator->value()))) return Status::Ok();
    }
  }
  return FromRocksStatus(iterator->status(), impl_->options.dir, std::string("reading from ") + SpaceName(space));
}

// Removals take room themselves until they meet what they remove. In tables, many of them together call for a
// compaction (FamilyOptions); in memory nobody looks at them, so they are written out.
void RocksKv::GiveBack(Space space) {
  if (!impl_->Usable().ok()) return;
  rocksdb::FlushOptions how;
  how.wait = false;
  how.allow_write_stall = true;  // the other way waits
  impl_->database->db->Flush(how, impl_->Family(space)).PermitUncheckedError();
}

Status RocksKv::Compact() {
  if (Status status = impl_->Usable(); !status.ok()) return status;
  rocksdb::CompactRangeOptions how;
  how.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
  for (rocksdb::ColumnFamilyHandle* family : impl_->database->families) {
    const rocksdb::Status done = impl_->database->db->CompactRange(how, family, nullptr, nullptr);
    if (!done.ok()) return FromRocksStatus(done, impl_->options.dir, "compacting");
  }
  return Status::Ok();
}

bool RocksKv::restored() const { return impl_->restored; }

Status RocksKv::ForgetRestored() {
  if (Status status = impl_->Usable(); !status.ok()) return status;
  // Also where commits are not synced: the mark must not go before what replaces it has come.
  const rocksdb::Status synced = impl_->database->db->FlushWAL(true);
  if (!synced.ok()) return FromRocksStatus(synced, impl_->options.dir, "syncing");
  if (Status status = WriteStoreFile(impl_->options.dir, {.format = kFormatVersion, .ready = true}); !status.ok()) {
    return status;
  }
  impl_->restored = false;
  return Status::Ok();
}

Status RocksKv::Checkpoint(const std::string& dir) {
  if (Status status = impl_->Usable(); !status.ok()) return status;
  return CheckpointRocks(impl_->database->db.get(), impl_->options.dir, dir, kFormatVersion);
}

Status RocksKv::Fingerprint(std::string* text) const {
  if (Status status = impl_->Usable(); !status.ok()) return status;
  const rocksdb::Status read = impl_->database->db->GetDbIdentity(*text);
  text->append("-").append(std::to_string(impl_->database->db->GetLatestSequenceNumber()));
  return FromRocksStatus(read, impl_->options.dir, "reading its name");
}

bool RocksKv::stale() const { return !impl_->Usable().ok(); }
bool RocksKv::durable() const { return impl_->options.fsync; }
uint64_t RocksKv::syncs() const { return impl_->syncs; }
const std::string& RocksKv::dir() const { return impl_->options.dir; }

RocksStats RocksKv::stats() const {
  RocksStats stats;
  stats.wal_syncs = impl_->statistics->getTickerCount(rocksdb::WAL_FILE_SYNCED);
  if (!impl_->Usable().ok()) return stats;
  rocksdb::DB* db = impl_->database->db.get();
  db->GetAggregatedIntProperty(rocksdb::DB::Properties::kTotalSstFilesSize, &stats.disk_bytes);
  db->GetAggregatedIntProperty(rocksdb::DB::Properties::kEstimateNumKeys, &stats.keys_estimate);
  db->GetAggregatedIntProperty(rocksdb::DB::Properties::kCurSizeAllMemTables, &stats.memtable_bytes);
  db->GetIntProperty(rocksdb::DB::Properties::kBlockCacheUsage, &stats.block_cache_bytes);
  rocksdb::VectorLogPtr logs;
  if (db->GetSortedWalFiles(logs).ok()) {
    for (const auto& log : logs) stats.wal_bytes += log->SizeFileBytes();
  }
  return stats;
}

}  // namespace everyonce
