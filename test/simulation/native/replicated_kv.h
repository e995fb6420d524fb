#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "log/kv.h"
#include "log/memory_kv.h"

namespace everyonce::simulation {

// A primary in memory and its replica, which has all writes but the newest, in their order.
class ReplicatedKv final : public Kv {
 public:
  struct Copies {
    MemoryKv primary;
    MemoryKv replica;
    std::deque<WriteBatch> behind;  // not yet at the replica
    uint64_t written = 0;

    uint64_t replicated() const { return written - behind.size(); }
    void Replicate(size_t batches) {
      for (size_t i = 0; i < batches && !behind.empty(); ++i) {
        (void)replica.Write(behind.front(), false).ok();
        behind.pop_front();
      }
    }
    // The replica is the primary now; what it had not got is lost.
    void Promote() {
      written -= behind.size();
      behind.clear();
      primary = replica;
    }
  };

  // `copies` outlives it. `safe`: an answer waits for the replica, so that it may claim so.
  ReplicatedKv(Copies* copies, bool safe) : copies_(copies), safe_(safe) {}

  Status Write(const WriteBatch& batch, bool sync) override {
    if (sync) ++syncs_;
    copies_->behind.push_back(batch);
    ++copies_->written;
    return copies_->primary.Write(batch, sync);
  }
  Status Recover() override { return Status::Ok(); }
  Status Get(Space space, std::string_view key, std::string* value, bool* found) override {
    return copies_->primary.Get(space, key, value, found);
  }
  Status Scan(Space space, std::string_view from, std::string_view to, bool reverse, const Visitor& visit) override {
    return copies_->primary.Scan(space, from, to, reverse, visit);
  }
  bool durable() const override { return safe_; }
  uint64_t syncs() const override { return syncs_; }

 private:
  Copies* copies_;
  bool safe_;
  uint64_t syncs_ = 0;
};

}  // namespace everyonce::simulation
