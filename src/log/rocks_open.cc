#include "log/rocks_open.h"

#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/table_properties_collectors.h>

#include <algorithm>
#include <utility>

#include "log/store_directory.h"

namespace everyonce {
namespace {

constexpr std::array<const char*, kSpaceCount> kSpaceNames = {"log",    "conversations", "marks",      "producers",
                                                              "window", "tokens",        "primitives", "default"};

constexpr size_t kNeighbours = 1000;

rocksdb::CompressionType FastCompression() {
  const std::vector<rocksdb::CompressionType> supported = rocksdb::GetSupportedCompressions();
  const bool has_lz4 = std::find(supported.begin(), supported.end(), rocksdb::kLZ4Compression) != supported.end();
  return has_lz4 ? rocksdb::kLZ4Compression : rocksdb::kNoCompression;
}

rocksdb::DBOptions DatabaseOptions(const RocksOptions& options, bool create,
                                   const std::shared_ptr<rocksdb::Statistics>& statistics) {
  rocksdb::DBOptions result;
  result.create_if_missing = create;
  result.create_missing_column_families = create;
  result.paranoid_checks = true;
  result.statistics = statistics;

  // A log whose last record was torn by a crash is the normal case and opens; one broken before its end is refused,
  // since RocksDB's own default (point in time) would drop acked messages behind the break in silence.
  // kAbsoluteConsistency would refuse the normal case.
  result.wal_recovery_mode = options.allow_point_in_time ? rocksdb::WALRecoveryMode::kPointInTimeRecovery
                                                         : rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  // A write-ahead log that was synced and complete, and is missing or short now, is found when the store opens.
  result.track_and_verify_wals_in_manifest = true;
  // What recovery read may be only in the system's cache, after a sync that failed. Flushing it into synced tables
  // before the store answers makes what is readable durable, as Kv::Recover promises. So this must stay false.
  result.avoid_flush_during_recovery = false;
  // Everything is in the write-ahead log already; closing need not wait for tables.
  result.avoid_flush_during_shutdown = true;
  // Only Recover() takes a store back into use. RocksDB would otherwise resume by itself behind our back, with what
  // we answered `unknown` readable.
  result.max_bgerror_resume_count = 0;

  result.db_write_buffer_size = options.write_buffer_bytes;
  result.max_total_wal_size = options.max_wal_bytes;
  result.max_manifest_file_size = uint64_t{16} << 20;
  // Two cores, one of them busy with sockets: one flush and one compaction at a time.
  result.max_background_jobs = 2;
  result.max_open_files = 512;
  // Two threads write (the log's and the primitives'), each in large batches; the machinery for many at once costs time
  // on each write.
  result.allow_concurrent_memtable_write = false;
  result.enable_write_thread_adaptive_yield = false;
  // No thread that wakes up to print or keep statistics, and a short diary.
  result.stats_dump_period_sec = 0;
  result.stats_persist_period_sec = 0;
  result.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;
  result.max_log_file_size = size_t{1} << 20;
  result.keep_log_file_num = 3;
  return result;
}

// A log record's key without its seq: the conversation. Appends of one conversation are neighbours in the memtable, so
// the place of the last one is a hint for the next: a third of the engine's CPU went into finding it from the top.
class ConversationOfKey final : public rocksdb::SliceTransform {
 public:
  const char* Name() const override { return "everyonce.ConversationOfKey"; }
  rocksdb::Slice Transform(const rocksdb::Slice& key) const override { return {key.data(), key.size() - kSeqBytes}; }
  bool InDomain(const rocksdb::Slice& key) const override { return key.size() > kSeqBytes; }

 private:
  static constexpr size_t kSeqBytes = 8;
};

rocksdb::ColumnFamilyOptions FamilyOptions(const RocksOptions& options, Space space,
                                           const std::shared_ptr<rocksdb::Cache>& cache,
                                           const std::shared_ptr<const rocksdb::FilterPolicy>& bloom) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.format_version = 5;
  table.cache_index_and_filter_blocks = true;  // memory stays within the cache's bound
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  if (space == Space::kLog) {
    // Read by ranges; keys that share a conversation's name are stored once per block by RocksDB's prefix coding.
    table.block_size = 16 << 10;
  } else {
    // Read by exact key, often for a key that is not there (a new producer, a new conversation).
    table.block_size = 4 << 10;
    table.filter_policy = bloom;
  }
  rocksdb::ColumnFamilyOptions result;
  result.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  result.compression = FastCompression();
  // The bound over all is db_write_buffer_size; one space may take at most half of it before it flushes by itself.
  result.write_buffer_size = std::max<size_t>(options.write_buffer_bytes / 2, size_t{1} << 20);
  result.max_write_buffer_number = 3;
  if (space == Space::kLog) {
    result.memtable_insert_with_hint_prefix_extractor = std::make_shared<const ConversationOfKey>();
  }
  if (space == Space::kLog || space == Space::kWindow) {
    // Removed in runs, by retention and when their window is over: a table with half of a thousand neighbours removed
    // is compacted soon, which gives their room back.
    result.table_properties_collector_factories.push_back(
        rocksdb::NewCompactOnDeletionCollectorFactory(kNeighbours, kNeighbours / 2));
  }
  result.level_compaction_dynamic_level_bytes = true;
  result.force_consistency_checks = true;
  return result;
}

// A store of before there were primitives gets their family when it is opened. Any other one that is missing is damage,
// and must not be made up for by an empty one.
bool LacksPrimitivesOnly(const rocksdb::DBOptions& how, const std::string& path) {
  std::vector<std::string> present;
  if (!rocksdb::DB::ListColumnFamilies(how, path, &present).ok()) return false;  // opening it tells why
  const auto has = [&](const char* name) { return std::find(present.begin(), present.end(), name) != present.end(); };
  for (size_t i = 0; i < kSpaceCount; ++i) {
    if (has(kSpaceNames[i]) == (static_cast<Space>(i) == Space::kPrimitives)) return false;
  }
  return true;
}

}  // namespace

RocksDatabase::~RocksDatabase() {
  if (!db) return;
  for (rocksdb::ColumnFamilyHandle* family : families) {
    if (family != nullptr) db->DestroyColumnFamilyHandle(family).PermitUncheckedError();
  }
  db->Close().PermitUncheckedError();
}

const char* SpaceName(Space space) { return space == Space::kMeta ? "meta" : kSpaceNames[static_cast<size_t>(space)]; }

Status OpenRocksDatabase(const RocksOptions& options, bool create,
                         const std::shared_ptr<rocksdb::Statistics>& statistics,
                         std::unique_ptr<RocksDatabase>* database) {
  const std::shared_ptr<rocksdb::Cache> cache = rocksdb::NewLRUCache(options.block_cache_bytes);
  const std::shared_ptr<const rocksdb::FilterPolicy> bloom(rocksdb::NewBloomFilterPolicy(10));
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  for (size_t i = 0; i < kSpaceCount; ++i) {
    descriptors.emplace_back(kSpaceNames[i], FamilyOptions(options, static_cast<Space>(i), cache, bloom));
  }
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  const std::string path = options.dir + "/" + kRocksFolderName;
  rocksdb::DBOptions how = DatabaseOptions(options, create, statistics);
  if (!create) how.create_missing_column_families = LacksPrimitivesOnly(how, path);
  const rocksdb::Status opened = rocksdb::DB::Open(how, path, descriptors, &handles, &db);
  if (!opened.ok()) return FromRocksStatus(opened, options.dir, "opening the store");
  auto result = std::make_unique<RocksDatabase>();
  result->db.reset(db);
  std::copy(handles.begin(), handles.end(), result->families.begin());
  *database = std::move(result);
  return Status::Ok();
}

Status FromRocksStatus(const rocksdb::Status& status, const std::string& dir, const std::string& doing) {
  if (status.ok()) return Status::Ok();
  const std::string what = "the store in " + dir + " failed while " + doing + ": " + status.ToString();
  if (status.IsCorruption()) {
    return Status::Error(Code::kStoreCorrupt, what +
                                                  "; nothing was dropped: restore a backup of the directory, or keep a "
                                                  "copy of it and ask for help before anything is removed from it");
  }
  if (status.IsNotSupported()) {
    return Status::Error(Code::kStoreVersion, what + "; it was written by a newer RocksDB: upgrade everyonce");
  }
  if (status.IsNoSpace()) return Status::Error(Code::kUnavailable, what + "; make room on the disk");
  return Status::Error(Code::kUnavailable, what);
}

}  // namespace everyonce
