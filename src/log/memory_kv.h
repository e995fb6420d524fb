#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>

#include "log/kv.h"

namespace everyonce {

// A Kv in ordered maps: the store of `everyonce` without a data directory, and the reference in tests. Nothing survives
// the process, so durable() is false and acks say `memory`. Never fails.
class MemoryKv final : public Kv {
 public:
  Status Write(const WriteBatch& batch, bool sync) override;
  Status Recover() override { return Status::Ok(); }
  Status Get(Space space, std::string_view key, std::string* value, bool* found) override;
  // An empty `to` means the end of the space.
  Status Scan(Space space, std::string_view from, std::string_view to, bool reverse, const Visitor& visit) override;
  bool durable() const override { return false; }
  uint64_t syncs() const override { return syncs_; }

  // A second, independent store with the same content.
  std::unique_ptr<MemoryKv> Clone() const { return std::make_unique<MemoryKv>(*this); }
  // Number of keys in all spaces.
  size_t size() const;

 private:
  // std::string compares as unsigned bytes, as the contract of Kv asks.
  using Map = std::map<std::string, std::string, std::less<>>;
  std::array<Map, kSpaceCount> maps_;
  uint64_t syncs_ = 0;
};

}  // namespace everyonce
