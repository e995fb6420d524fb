#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "core/status.h"
#include "log/kv.h"

namespace everyonce {

struct RocksOptions {
  std::string dir;
  // False: writes reach the operating system but are not waited for; durable() is false and acks say `memory`.
  bool fsync = true;
  // Go on with the longest readable beginning where the write-ahead log is broken before its end. That may drop acked
  // messages, so it is only right together with new epochs for every log; off until the log does that.
  bool allow_point_in_time = false;
  size_t block_cache_bytes = size_t{64} << 20;
  size_t write_buffer_bytes = size_t{64} << 20;  // memtables of all spaces together
  size_t max_wal_bytes = size_t{256} << 20;      // bounds the time to open the store again
};

struct RocksStats {
  uint64_t disk_bytes = 0;  // tables, without the write-ahead log
  uint64_t wal_bytes = 0;
  uint64_t keys_estimate = 0;
  uint64_t memtable_bytes = 0;
  uint64_t block_cache_bytes = 0;
  uint64_t wal_syncs = 0;  // as RocksDB counted them in this process
};

// The embedded store: one RocksDB in one directory, one column family per Space.
class RocksKv final : public Kv {
 public:
  // The directory layout and record format that this build writes. A store of a newer one is refused, unchanged.
  static constexpr uint32_t kFormatVersion = 1;

  // Opens the store in options.dir, creating it (and the directory) where there is none. Errors, each saying what to
  // do: kStoreLocked (open elsewhere, also in this process), kStoreUnwritable (directory), kStoreVersion (written by a
  // newer version, or not a store of everyonce), kStoreCorrupt (the data), kUnavailable (anything else, such as a full
  // disk).
  static Status Open(const RocksOptions& options, std::unique_ptr<RocksKv>* store);
  // The same for those who need only the contract.
  static Status Open(const RocksOptions& options, std::unique_ptr<Kv>* store);

  ~RocksKv() override;  // closes the store; everything synced stays
  RocksKv(const RocksKv&) = delete;
  RocksKv& operator=(const RocksKv&) = delete;

  Status Write(const WriteBatch& batch, bool sync) override;
  Status Recover() override;
  Status Get(Space space, std::string_view key, std::string* value, bool* found) override;
  // An empty `to` means the end of the space.
  Status Scan(Space space, std::string_view from, std::string_view to, bool reverse, const Visitor& visit) override;
  void GiveBack(Space space) override;
  bool stale() const override;
  bool durable() const override;
  uint64_t syncs() const override;

  // Whether this is a copy whose logs still need new epochs (EmbeddedLogOptions.new_epochs), and the end of that:
  // everything written before the call is on the disk when the mark is gone. Any other answer leaves the mark.
  bool restored() const;
  Status ForgetRestored();

  // Makes a store of its own in `dir`, as of now and marked as restored: tables are linked, the write-ahead log is
  // copied, everything is synced, and what makes it a store is written last. The time it takes grows with the
  // write-ahead log (max_wal_bytes), not with the store. Errors: kStoreUnwritable where `dir` exists already or can't
  // be made, kUnavailable. What a failure leaves behind is no store.
  // REQUIRES: `dir` is on the store's own file system.
  Status Checkpoint(const std::string& dir);

  // Rewrites the tables of all spaces without what was removed. Waits for it: minutes on a large store.
  Status Compact();

  // What tells this state of this store from every other one: as long as nobody writes, it stays the same, also when
  // the store is closed and opened.
  Status Fingerprint(std::string* text) const;

  RocksStats stats() const;
  const std::string& dir() const;

 private:
  struct Impl;
  explicit RocksKv(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace everyonce
