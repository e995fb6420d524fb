#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "log/kv.h"

namespace everyonce {

// The space of the primitives with the changes of one group on top: each operation of a group sees what those before it
// have changed, and all of it is one write at the end.
class StagedTable {
 public:
  explicit StagedTable(Kv* kv) : kv_(kv) {}

  void Put(std::string key, std::string value);
  void Remove(std::string key);
  Status Get(std::string_view key, std::string* value, bool* found) const;
  // Visits [from, to) ascending or descending until `visit` returns false. `visit` must not change the table.
  Status Scan(std::string_view from, std::string_view to, bool reverse, const Kv::Visitor& visit) const;

  // Number of changes so far: tells an operation that changed something.
  uint64_t changes() const { return changes_; }
  size_t bytes() const { return bytes_; }
  bool empty() const { return staged_.empty(); }
  Status Write(bool sync);
  // Forgets the group.
  void Clear();

 private:
  Kv* kv_;
  std::map<std::string, std::optional<std::string>, std::less<>> staged_;  // nullopt: removed
  uint64_t changes_ = 0;
  size_t bytes_ = 0;
};

// Keys of the space, one kind a letter; what follows is free bytes unless it has a length in front:
//   c key                       claim                     d key       the same, of Dedup
//   f                           the fence counter
//   q key                       sequence                  g tag       segments of ids
//   w worker (2 bytes)          worker of a Snowflake
//   o …                         offline store, see offline_table.h
//   x time (8 bytes) key        `key` is to be removed at that time: whatever expires has one, moved along with it
namespace key {

std::string Of(char kind, std::string_view rest);
// The bytes of `number`, big-endian, so that keys sort by it.
void AppendNumber(uint64_t number, std::string* key);
// `part` with its length in front: nothing that follows can be taken for it.
void AppendPart(std::string_view part, std::string* key);
// The first key behind all that begin with `prefix`; empty: there is none.
std::string Behind(std::string prefix);

}  // namespace key

// Keeps the expiry entry of `key` in step with its record. 0: had none, or is to have none.
void MoveExpiry(StagedTable* table, std::string_view key, int64_t from_ms, int64_t to_ms);
// Removes at most `limit` records that expire from `from_ms` to `now_ms`, oldest first. `removed` counts them, and
// `next_ms` tells when the next one does (INT64_MAX: there is none).
Status RemoveExpired(StagedTable* table, int64_t from_ms, int64_t now_ms, size_t limit, size_t* removed,
                     int64_t* next_ms);

}  // namespace everyonce
