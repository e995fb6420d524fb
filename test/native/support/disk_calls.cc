#include "support/disk_calls.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <mutex>
#include <string_view>
#include <utility>

namespace everyonce::test {
namespace {

struct Watched {
  std::string folder;
  std::string suffix;
  uint64_t syncs = 0;
  uint64_t unsynced_writes = 0;
  int sync_error = 0;
  int write_error = 0;
};

std::atomic<bool> watching{false};
std::mutex guard;
Watched watched;

// True where `file` is one of those watched. REQUIRES: guard is held.
bool IsWatched(int file) {
  char link[32] = "/proc/self/fd/";
  char digits[12];
  int count = 0;
  for (int rest = file; count == 0 || rest > 0; rest /= 10) digits[count++] = static_cast<char>('0' + rest % 10);
  for (size_t at = 14; count > 0; ++at) link[at] = digits[--count];
  char path[PATH_MAX];
  const ssize_t size = ::readlink(link, path, sizeof(path));
  if (size <= 0) return false;
  const std::string_view name(path, static_cast<size_t>(size));
  return name.ends_with(watched.suffix) && name.find(watched.folder) != std::string_view::npos;
}

int Sync(long call, int file) {
  if (!watching.load(std::memory_order_relaxed) || file < 0) return static_cast<int>(::syscall(call, file));
  const std::lock_guard<std::mutex> lock(guard);
  if (!IsWatched(file)) return static_cast<int>(::syscall(call, file));
  if (watched.sync_error != 0) {
    errno = std::exchange(watched.sync_error, 0);
    return -1;
  }
  const int result = static_cast<int>(::syscall(call, file));
  if (result == 0) {
    ++watched.syncs;
    watched.unsynced_writes = 0;
  }
  return result;
}

}  // namespace

DiskWatch::DiskWatch(const std::string& folder, const std::string& suffix) {
  const std::lock_guard<std::mutex> lock(guard);
  watched = {.folder = folder, .suffix = suffix};
  watching = true;
}

DiskWatch::~DiskWatch() { watching = false; }

uint64_t DiskWatch::syncs() const {
  const std::lock_guard<std::mutex> lock(guard);
  return watched.syncs;
}

uint64_t DiskWatch::unsynced_writes() const {
  const std::lock_guard<std::mutex> lock(guard);
  return watched.unsynced_writes;
}

void DiskWatch::FailNextSync(int error) {
  const std::lock_guard<std::mutex> lock(guard);
  watched.sync_error = error;
}

void DiskWatch::FailNextWrite(int error) {
  const std::lock_guard<std::mutex> lock(guard);
  watched.write_error = error;
}

// Called by the functions below.
int SyncData(int file) { return Sync(SYS_fdatasync, file); }
int SyncAll(int file) { return Sync(SYS_fsync, file); }

ssize_t Write(int file, const void* bytes, size_t size) {
  if (!watching.load(std::memory_order_relaxed)) return ::syscall(SYS_write, file, bytes, size);
  const std::lock_guard<std::mutex> lock(guard);
  if (!IsWatched(file)) return ::syscall(SYS_write, file, bytes, size);
  if (watched.write_error != 0) {
    errno = std::exchange(watched.write_error, 0);
    return -1;
  }
  ++watched.unsynced_writes;
  return ::syscall(SYS_write, file, bytes, size);
}

}  // namespace everyonce::test

#define EVERYONCE_BEFORE_LIBC extern "C" __attribute__((visibility("default"), used))
EVERYONCE_BEFORE_LIBC int fdatasync(int file) { return everyonce::test::SyncData(file); }
EVERYONCE_BEFORE_LIBC int fsync(int file) { return everyonce::test::SyncAll(file); }
EVERYONCE_BEFORE_LIBC ssize_t write(int file, const void* bytes, size_t size) {
  return everyonce::test::Write(file, bytes, size);
}
