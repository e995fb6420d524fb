#include "log/memory_kv.h"

namespace everyonce {

Status MemoryKv::Write(const WriteBatch& batch, bool sync) {
  for (const WriteBatch::Operation& operation : batch.operations()) {
    Map& map = maps_[static_cast<size_t>(operation.space)];
    if (operation.remove) {
      map.erase(operation.key);
    } else {
      map.insert_or_assign(operation.key, operation.value);
    }
  }
  if (sync) ++syncs_;
  return Status::Ok();
}

Status MemoryKv::Get(Space space, std::string_view key, std::string* value, bool* found) {
  const Map& map = maps_[static_cast<size_t>(space)];
  const auto entry = map.find(key);
  *found = entry != map.end();
  if (*found) *value = entry->second;
  return Status::Ok();
}

Status MemoryKv::Scan(Space space, std::string_view from, std::string_view to, bool reverse, const Visitor& visit) {
  const Map& map = maps_[static_cast<size_t>(space)];
  if (!to.empty() && to <= from) return Status::Ok();
  auto first = map.lower_bound(from);
  auto last = to.empty() ? map.end() : map.lower_bound(to);
  if (reverse) {
    while (last != first) {
      --last;
      if (!visit(last->first, last->second)) break;
    }
  } else {
    for (; first != last; ++first) {
      if (!visit(first->first, first->second)) break;
    }
  }
  return Status::Ok();
}

size_t MemoryKv::size() const {
  size_t total = 0;
  for (const Map& map : maps_) total += map.size();
  return total;
}

}  // namespace everyonce
