#include "log/shared_kv.h"

#include <mutex>

namespace everyonce {

class SharedKv::Handle final : public Kv {
 public:
  Handle(std::shared_ptr<SharedKv> shared, bool fsync, std::shared_ptr<void> owner)
      : owner_(std::move(owner)), shared_(std::move(shared)), fsync_(fsync), seen_(shared_->recoveries_.load()) {}

  Status Write(const WriteBatch& batch, bool sync) override {
    if (shared_->exclusive_writes_) {
      const std::unique_lock lock(shared_->mutex_);
      return WriteLocked(batch, sync && fsync_);
    }
    const std::shared_lock lock(shared_->mutex_);
    return WriteLocked(batch, sync && fsync_);
  }

  Status Recover() override {
    const std::unique_lock lock(shared_->mutex_);
    if (!shared_->failed_ && seen_ != shared_->recoveries_) {
      seen_ = shared_->recoveries_;  // another user has done it
      return Status::Ok();
    }
    shared_->failed_ = true;
    Status status = shared_->kv_->Recover();
    if (!status.ok()) return status;
    shared_->failed_ = false;
    seen_ = ++shared_->recoveries_;
    return status;
  }

  Status Get(Space space, std::string_view key, std::string* value, bool* found) override {
    const std::shared_lock lock(shared_->mutex_);
    *found = false;
    if (stale()) return Failed();
    return shared_->kv_->Get(space, key, value, found);
  }

  Status Scan(Space space, std::string_view from, std::string_view to, bool reverse, const Visitor& visit) override {
    const std::shared_lock lock(shared_->mutex_);
    if (stale()) return Failed();
    return shared_->kv_->Scan(space, from, to, reverse, visit);
  }

  void GiveBack(Space space) override {
    const std::shared_lock lock(shared_->mutex_);
    if (!stale()) shared_->kv_->GiveBack(space);
  }

  bool stale() const override { return shared_->failed_ || seen_ != shared_->recoveries_; }
  bool durable() const override { return fsync_ && shared_->kv_->durable(); }
  uint64_t syncs() const override { return syncs_; }

 private:
  Status WriteLocked(const WriteBatch& batch, bool sync) {
    if (stale()) return Failed();
    Status status = shared_->kv_->Write(batch, sync);
    if (!status.ok()) {
      shared_->failed_ = true;
    } else if (sync) {
      ++syncs_;
    }
    return status;
  }

  const std::shared_ptr<void> owner_;  // released last
  const std::shared_ptr<SharedKv> shared_;
  const bool fsync_;
  uint64_t seen_;  // recovery as of which the user has read
  uint64_t syncs_ = 0;
};

std::unique_ptr<Kv> SharedKv::Open(std::shared_ptr<SharedKv> shared, bool fsync, std::shared_ptr<void> owner) {
  return std::make_unique<Handle>(std::move(shared), fsync, std::move(owner));
}

}  // namespace everyonce
