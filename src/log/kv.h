#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace everyonce {

// The spaces of the embedded store: RocksDB column families, or maps in memory. Keys are raw bytes in unsigned byte
// order.
enum class Space : uint8_t { kLog = 0, kConversations, kMarks, kProducers, kWindow, kTokens, kPrimitives, kMeta };
inline constexpr size_t kSpaceCount = 8;

// A write batch: applied whole and in order, or not at all.
class WriteBatch {
 public:
  struct Operation {
    Space space;
    bool remove;
    std::string key;
    std::string value;
  };
  void Put(Space space, std::string key, std::string value) {
    bytes_ += key.size() + value.size();
    operations_.push_back({space, false, std::move(key), std::move(value)});
  }
  void Remove(Space space, std::string key) {
    bytes_ += key.size();
    operations_.push_back({space, true, std::move(key), {}});
  }
  const std::vector<Operation>& operations() const { return operations_; }
  bool empty() const { return operations_.empty(); }
  size_t bytes() const { return bytes_; }
  void Clear() {
    operations_.clear();
    bytes_ = 0;
  }

 private:
  std::vector<Operation> operations_;
  size_t bytes_ = 0;
};

// A small ordered store under the embedded log: what RocksDB gives, and memory can. One thread at a time, unless it is
// shared (shared_kv.h).
class Kv {
 public:
  virtual ~Kv() = default;

  // Applies `batch` atomically. With `sync`, returns ok only after the batch and everything written before it is on the
  // disk (fdatasync). Any other answer means unknown: the batch may or may not be there after the store is opened
  // again, so the caller must forget what it derived from it. A store whose write failed refuses writes (kUnavailable)
  // until Recover() succeeded.
  virtual Status Write(const WriteBatch& batch, bool sync) = 0;

  // Closes and opens the store again after a failed write. After ok, what is readable is what is durable, and the
  // caller must drop every cached value.
  virtual Status Recover() = 0;

  // kOk with *found telling; kStoreCorrupt (checksum) or kUnavailable otherwise.
  virtual Status Get(Space space, std::string_view key, std::string* value, bool* found) = 0;

  // Visits keys in [from, to) ascending (or descending with `reverse`) until `visit` returns false. Views are valid
  // only during the visit. `visit` must not write.
  using Visitor = std::function<bool(std::string_view key, std::string_view value)>;
  virtual Status Scan(Space space, std::string_view from, std::string_view to, bool reverse, const Visitor& visit) = 0;

  // Much was removed from `space`: gives its room back soon, in the background. A hint; returns at once.
  virtual void GiveBack(Space space) { (void)space; }

  // True after a write that has failed, until Recover(); where several use one store (shared_kv.h), also when another
  // of them has failed to write or has opened it again. What this user has cached may then be gone, and everything but
  // Recover() is refused (kUnavailable).
  virtual bool stale() const { return false; }

  // What an ack may claim after Write(sync = true): true for disk, false for memory.
  virtual bool durable() const = 0;

  // Number of synced writes so far, for stats and tests.
  virtual uint64_t syncs() const = 0;
};

}  // namespace everyonce
