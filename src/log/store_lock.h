#pragma once

#include <memory>
#include <string>

#include "core/status.h"

namespace everyonce {

// Exclusive use of a data directory, held by an advisory lock on DIR/everyonce.lock, which also holds the owner's
// process id for a person to read. The system drops the lock when the process ends, however it ends; the file stays.
class StoreLock {
 public:
  // kStoreLocked, naming the process, where another holds it, be it this process itself; kStoreUnwritable where the
  // file can't be made. REQUIRES: `dir` exists.
  static Status Acquire(const std::string& dir, std::unique_ptr<StoreLock>* lock);
  ~StoreLock();
  StoreLock(const StoreLock&) = delete;
  StoreLock& operator=(const StoreLock&) = delete;

 private:
  explicit StoreLock(int file) : file_(file) {}
  int file_;
};

}  // namespace everyonce
