#pragma once

#include <cstdint>
#include <string>

namespace everyonce::test {

// What this program asks of the disk, at the last point before the kernel: the test program's own write, fdatasync and
// fsync stand before the C library's, so that what a library says of itself need not be believed. Passes everything on,
// counted, unless told to fail.

// Watches files whose path contains `folder` and ends with `suffix`, until the end of its life. One at a time.
class DiskWatch {
 public:
  DiskWatch(const std::string& folder, const std::string& suffix);
  ~DiskWatch();
  DiskWatch(const DiskWatch&) = delete;
  DiskWatch& operator=(const DiskWatch&) = delete;

  uint64_t syncs() const;            // successful fdatasync and fsync
  uint64_t unsynced_writes() const;  // writes since the last of them
  // The next sync, or write, fails with `error` (an errno); what was asked is not done. Once.
  void FailNextSync(int error);
  void FailNextWrite(int error);
};

}  // namespace everyonce::test
