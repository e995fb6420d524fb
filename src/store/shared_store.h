#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "log/rocks_kv.h"
#include "log/shared_kv.h"
#include "store/store_thread.h"

namespace everyonce {

// One store of this process, for everybody in it: a server's log and the primitives, in all threads. A data directory
// is opened once and closed by its last user; it is known by its real path.
class SharedStore : public std::enable_shared_from_this<SharedStore> {
 public:
  // Opens `dir`, or joins those who have it open. `restored`: begin a new generation whatever the store says; a copy
  // that `backup` made does so by itself, before anyone uses it. Errors: RocksKv::Open's; kStoreLocked also where
  // `restored` comes too late, since others in this process have used the store already.
  static Status Open(const std::string& dir, bool restored, std::shared_ptr<SharedStore>* store);
  static std::shared_ptr<SharedStore> InMemory();
  // The one in memory that all threads of this process share, while any uses it.
  static std::shared_ptr<SharedStore> OfProcess();
  // For tests: any Kv, locked as `exclusive_writes` asks (SharedKv).
  static std::shared_ptr<SharedStore> On(std::unique_ptr<Kv> kv, bool exclusive_writes);
  ~SharedStore();

  // The handle of a server's log, which keeps the store open. There is one at a time, since a log caches what it holds:
  // kStoreLocked otherwise. `fsync` as SharedKv::Open.
  Status OpenForLog(bool fsync, std::unique_ptr<Kv>* kv);
  // The thread of the primitives, started by the first call.
  StoreThread& thread();

  bool in_memory() const { return rocks_ == nullptr; }
  const std::string& dir() const { return dir_; }
  // RocksKv::Checkpoint; kUnsupported in memory. From any thread.
  Status Checkpoint(const std::string& to);

 private:
  SharedStore(std::unique_ptr<Kv> kv, RocksKv* rocks, std::string dir, bool exclusive_writes);

  std::string dir_;
  RocksKv* rocks_;  // shared_'s; null in memory
  std::shared_ptr<SharedKv> shared_;
  std::mutex mutex_;
  std::weak_ptr<void> log_;  // whoever holds the log's handle
  std::unique_ptr<StoreThread> thread_;
};

}  // namespace everyonce
