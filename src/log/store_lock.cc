#include "log/store_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "log/store_directory.h"

namespace everyonce {
namespace {

Status Locked(const std::string& dir, int file) {
  char text[32] = {};
  const ssize_t size = ::pread(file, text, sizeof(text) - 1, 0);
  const long owner = size > 0 ? std::strtol(text, nullptr, 10) : 0;
  std::string who = "another process";
  if (owner == ::getpid()) {
    who = "this process (" + std::to_string(owner) + ")";
  } else if (owner > 0) {
    who = "process " + std::to_string(owner);
  }
  const char* advice = owner == ::getpid() ? "; close it first or choose another data directory"
                                           : "; stop it or choose another data directory";
  return Status::Error(Code::kStoreLocked, dir + " is open in " + who + advice);
}

}  // namespace

Status StoreLock::Acquire(const std::string& dir, std::unique_ptr<StoreLock>* lock) {
  const std::string path = dir + "/" + kLockFileName;
  // Not inherited by programs that this process starts, which would keep the directory locked after its end.
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (file < 0) return StoreUnwritable(dir, "can't create " + path, errno);
  // flock, not fcntl: it belongs to this open file, so a second open in the same process is refused as well.
  if (::flock(file, LOCK_EX | LOCK_NB) != 0) {
    const int error = errno;
    Status status = error == EWOULDBLOCK ? Locked(dir, file) : StoreUnwritable(dir, "can't lock " + path, error);
    ::close(file);
    return status;
  }
  const std::string owner = std::to_string(::getpid()) + "\n";
  if (::ftruncate(file, 0) != 0 ||
      ::pwrite(file, owner.data(), owner.size(), 0) != static_cast<ssize_t>(owner.size())) {
    Status status = StoreUnwritable(dir, "can't write " + path, errno);
    ::close(file);
    return status;
  }
  lock->reset(new StoreLock(file));
  return Status::Ok();
}

StoreLock::~StoreLock() {
  // Emptied, not removed: removing a lock file lets two processes each lock a file of that name.
  [[maybe_unused]] const int ignored = ::ftruncate(file_, 0);
  ::close(file_);
}

}  // namespace everyonce
