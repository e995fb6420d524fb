#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <shared_mutex>
#include <utility>

#include "log/kv.h"

namespace everyonce {

// One Kv for several users on several threads, each with a handle of its own (a Kv again, for one thread at a time).
//
// A write that failed makes the store unusable for all until one of them recovers it, and what a user had derived from
// unsynced writes may be gone after that. So each handle remembers as of which recovery its user has read: where
// another one was since, all but Recover() is refused, which then only takes note of it. No group is ever written that
// was decided on what was read before a recovery.
class SharedKv {
 public:
  // `exclusive_writes`: the Kv can't be read beside a write (MemoryKv); RocksDB can, and writes beside one another.
  SharedKv(std::unique_ptr<Kv> kv, bool exclusive_writes) : kv_(std::move(kv)), exclusive_writes_(exclusive_writes) {}

  // `owner` lives as long as the handle. With `fsync` false, this user's writes are never synced and durable() is
  // false.
  static std::unique_ptr<Kv> Open(std::shared_ptr<SharedKv> shared, bool fsync, std::shared_ptr<void> owner = nullptr);

  // Runs `use` on the Kv itself while nobody recovers it; kUnavailable where a write has failed since the last time.
  template <typename Use>
  Status With(const Use& use) {
    const std::shared_lock lock(mutex_);
    if (failed_) return Failed();
    return use(kv_.get());
  }

 private:
  class Handle;
  static Status Failed() { return Status::Error(Code::kUnavailable, "the store has failed and is being recovered"); }

  const std::unique_ptr<Kv> kv_;
  const bool exclusive_writes_;
  mutable std::shared_mutex mutex_;  // alone: recovering, and writing where that must not go beside reading
  std::atomic<bool> failed_{false};
  std::atomic<uint64_t> recoveries_{0};
};

}  // namespace everyonce
