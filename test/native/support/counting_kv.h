#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "log/kv.h"

namespace everyonce::test {

// Passes everything on and counts it, for tests that bound the work of an operation.
class CountingKv final : public Kv {
 public:
  struct Counts {
    uint64_t writes = 0;
    uint64_t synced_writes = 0;
    uint64_t operations = 0;  // puts and removes in those writes
    uint64_t gets = 0;
    uint64_t scans = 0;
    uint64_t visited = 0;  // keys that scans showed
  };

  explicit CountingKv(std::unique_ptr<Kv> kv) : kv_(std::move(kv)) {}
  const Counts& counts() const { return counts_; }
  void ResetCounts() { counts_ = {}; }

  Status Write(const WriteBatch& batch, bool sync) override {
    ++counts_.writes;
    if (sync) ++counts_.synced_writes;
    counts_.operations += batch.operations().size();
    return kv_->Write(batch, sync);
  }
  Status Recover() override { return kv_->Recover(); }
  Status Get(Space space, std::string_view key, std::string* value, bool* found) override {
    ++counts_.gets;
    return kv_->Get(space, key, value, found);
  }
  Status Scan(Space space, std::string_view from, std::string_view to, bool reverse, const Visitor& visit) override {
    ++counts_.scans;
    return kv_->Scan(space, from, to, reverse, [&](std::string_view key, std::string_view value) {
      ++counts_.visited;
      return visit(key, value);
    });
  }
  bool stale() const override { return kv_->stale(); }
  bool durable() const override { return kv_->durable(); }
  uint64_t syncs() const override { return kv_->syncs(); }

 private:
  std::unique_ptr<Kv> kv_;
  Counts counts_;
};

}  // namespace everyonce::test
