#pragma once

#include <rocksdb/db.h>
#include <rocksdb/statistics.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "core/status.h"
#include "log/kv.h"
#include "log/rocks_kv.h"

namespace everyonce {

// How RocksDB is set up and opened, apart from how it is used. Internal to rocks_kv.cc.

// An open database with its column families, by Space. Closing it (destroying this) syncs nothing further.
struct RocksDatabase {
  std::unique_ptr<rocksdb::DB> db;
  std::array<rocksdb::ColumnFamilyHandle*, kSpaceCount> families{};
  RocksDatabase() = default;
  RocksDatabase(const RocksDatabase&) = delete;
  RocksDatabase& operator=(const RocksDatabase&) = delete;
  ~RocksDatabase();
};

// What a Space is called in the store and in messages: the column family's name. kMeta is RocksDB's own "default".
const char* SpaceName(Space space);

// Opens the database in DIR/rocksdb; `create` allows there to be none yet. `statistics` counts over re-opens.
Status OpenRocksDatabase(const RocksOptions& options, bool create,
                         const std::shared_ptr<rocksdb::Statistics>& statistics,
                         std::unique_ptr<RocksDatabase>* database);

// RocksDB's words in ours. `doing` completes "… while <doing>".
Status FromRocksStatus(const rocksdb::Status& status, const std::string& dir, const std::string& doing);

}  // namespace everyonce
