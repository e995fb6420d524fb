#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "log/kv.h"
#include "log/memory_kv.h"

namespace everyonce::test {

// A store in memory that fails as a disk does. What is written without sync is readable, and lost by a crash, from some
// write on; a write that fails may or may not be there after Recover; until then everything is refused.
//
// The content lives in a Disk, which outlives the FaultKv as a disk outlives a process:
//   auto disk = std::make_shared<FaultKv::Disk>();
//   auto kv = std::make_unique<FaultKv>(disk);   … crash: disk->Crash(0); a new FaultKv(disk)
class FaultKv final : public Kv {
 public:
  // What became of a write that was answered with an error.
  enum class Fate : uint8_t { kLost, kKept };

  struct Disk {
    MemoryKv synced;                   // survives a crash
    std::vector<WriteBatch> unsynced;  // since the last sync, in order
    bool durable = true;

    // The process or the machine dies: of what was not synced, the first `kept` batches survive.
    void Crash(size_t kept = 0);

    // Fails the `count`-th write from now on (1: the next), and then none until told again.
    void FailWrite(uint64_t count, Fate fate) {
      fail_in = count;
      fail_fate = fate;
    }
    // Get and Scan answer `code` while this is set; for damaged blocks and slow disks.
    Code read_fault = Code::kOk;
    // The next Recover calls that fail.
    uint64_t failing_recovers = 0;

    uint64_t writes = 0;
    uint64_t syncs = 0;
    uint64_t recovers = 0;
    uint64_t fail_in = 0;
    Fate fail_fate = Fate::kLost;
  };

  explicit FaultKv(std::shared_ptr<Disk> disk);

  Status Write(const WriteBatch& batch, bool sync) override;
  Status Recover() override;
  Status Get(Space space, std::string_view key, std::string* value, bool* found) override;
  Status Scan(Space space, std::string_view from, std::string_view to, bool reverse, const Visitor& visit) override;
  bool stale() const override { return failed_; }
  bool durable() const override { return disk_->durable; }
  uint64_t syncs() const override { return disk_->syncs; }

 private:
  Status Usable() const;
  std::shared_ptr<Disk> disk_;
  MemoryKv readable_;  // synced and unsynced
  bool failed_ = false;
};

}  // namespace everyonce::test
