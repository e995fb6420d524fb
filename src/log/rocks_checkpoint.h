#pragma once

#include <rocksdb/db.h>

#include <cstdint>
#include <string>

#include "core/status.h"

namespace everyonce {

// RocksKv::Checkpoint. `data` is the store's own directory, for what is said; `dir` becomes the copy. Internal to
// rocks_kv.cc.
Status CheckpointRocks(rocksdb::DB* db, const std::string& data, const std::string& dir, uint32_t format);

}  // namespace everyonce
