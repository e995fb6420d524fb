#include "support/fault_kv.h"

#include <algorithm>
#include <utility>

namespace everyonce::test {
namespace {

void Apply(const WriteBatch& batch, MemoryKv* kv) { (void)kv->Write(batch, false).ok(); }

}  // namespace

void FaultKv::Disk::Crash(size_t kept) {
  for (size_t i = 0; i < std::min(kept, unsynced.size()); ++i) Apply(unsynced[i], &synced);
  unsynced.clear();
}

FaultKv::FaultKv(std::shared_ptr<Disk> disk) : disk_(std::move(disk)), readable_(disk_->synced) {
  for (const WriteBatch& batch : disk_->unsynced) Apply(batch, &readable_);
}

Status FaultKv::Usable() const {
  return failed_ ? Status::Error(Code::kUnavailable, "the store is closed after a failed write") : Status::Ok();
}

Status FaultKv::Write(const WriteBatch& batch, bool sync) {
  if (Status status = Usable(); !status.ok()) return status;
  ++disk_->writes;
  if (disk_->fail_in > 0 && --disk_->fail_in == 0) {
    if (disk_->fail_fate == Fate::kKept) disk_->unsynced.push_back(batch);
    failed_ = true;
    return Status::Error(Code::kUnavailable, "the disk failed, as the test asked");
  }
  disk_->unsynced.push_back(batch);
  Apply(batch, &readable_);
  if (sync) {
    disk_->Crash(disk_->unsynced.size());
    ++disk_->syncs;
  }
  return Status::Ok();
}

Status FaultKv::Recover() {
  ++disk_->recovers;
  if (disk_->failing_recovers > 0) {
    --disk_->failing_recovers;
    return Status::Error(Code::kUnavailable, "the disk still fails, as the test asked");
  }
  // What is readable from here on is durable.
  disk_->Crash(disk_->unsynced.size());
  readable_ = disk_->synced;
  failed_ = false;
  return Status::Ok();
}

Status FaultKv::Get(Space space, std::string_view key, std::string* value, bool* found) {
  *found = false;
  if (Status status = Usable(); !status.ok()) return status;
  if (disk_->read_fault != Code::kOk) return Status::Error(disk_->read_fault, "a read failed, as the test asked");
  return readable_.Get(space, key, value, found);
}

Status FaultKv::Scan(Space space, std::string_view from, std::string_view to, bool reverse, const Visitor& visit) {
  if (Status status = Usable(); !status.ok()) return status;
  if (disk_->read_fault != Code::kOk) return Status::Error(disk_->read_fault, "a read failed, as the test asked");
  return readable_.Scan(space, from, to, reverse, visit);
}

}  // namespace everyonce::test
