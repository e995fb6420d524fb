#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "log/kv.h"

namespace everyonce {

// A Kv with the changes of one group on top: what the commands of the group write is gathered into one batch, and later
// commands of the same group see it. Log records are the exception: they go into the batch only, and the conversation
// that wrote them knows where they are (StagedValue), so that the common message costs no second map.
class StagedStore {
 public:
  explicit StagedStore(Kv* kv) : kv_(kv) {}

  void Put(Space space, std::string key, std::string value);
  // Of kLog, whose records are not staged: REQUIRES: nothing of the group reads it again.
  void Remove(Space space, std::string key);
  // Returns where the value lies, for StagedValue.
  size_t PutRecord(std::string key, std::string value);
  // Valid until the next Put.
  std::string_view StagedValue(size_t index) const { return batch_.operations()[index].value; }

  Status Get(Space space, std::string_view key, std::string* value, bool* found);
  // The highest key in [from, to). `found` tells whether there is one. REQUIRES: the group has removed none of them.
  Status GetLast(Space space, std::string_view from, std::string_view to, std::string* key, std::string* value,
                 bool* found);

  // Nothing durable may be told before the group is: sync the batch when it is written.
  void RequireSync() { sync_ = true; }
  bool empty() const { return batch_.empty(); }
  // Number of operations so far: tells a command that staged something.
  size_t size() const { return batch_.operations().size(); }
  Status Write();
  // Forgets the group.
  void Clear();

  Kv* kv() { return kv_; }

 private:
  Kv* kv_;
  WriteBatch batch_;
  bool sync_ = false;
  std::array<std::map<std::string, std::optional<std::string>, std::less<>>, kSpaceCount> staged_;  // none: removed
};

}  // namespace everyonce
