#include "log/rocks_checkpoint.h"

#include <rocksdb/utilities/checkpoint.h>
#include <sys/stat.h>

#include <cerrno>
#include <limits>
#include <memory>

#include "log/rocks_open.h"
#include "log/store_directory.h"

namespace everyonce {
namespace {

// Never flush for a checkpoint: a flush rewrites up to a whole write buffer while nobody is answered; the write-ahead
// log, which holds the same, is copied as it is.
constexpr uint64_t kNeverFlush = std::numeric_limits<uint64_t>::max();

}  // namespace

Status CheckpointRocks(rocksdb::DB* db, const std::string& data, const std::string& dir, uint32_t format) {
  if (::mkdir(dir.c_str(), 0700) != 0) return StoreUnwritable(dir, "can't create it", errno);
  rocksdb::Checkpoint* made = nullptr;
  rocksdb::Status status = rocksdb::Checkpoint::Create(db, &made);
  const std::unique_ptr<rocksdb::Checkpoint> checkpoint(made);
  if (status.ok()) status = checkpoint->CreateCheckpoint(dir + "/" + kRocksFolderName, kNeverFlush);
  if (!status.ok()) return FromRocksStatus(status, data, "being copied to " + dir);
  return WriteStoreFile(dir, {.format = format, .ready = true, .restored = true});
}

}  // namespace everyonce
