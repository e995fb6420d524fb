#include "log/staged_store.h"

#include <utility>

namespace everyonce {

void StagedStore::Put(Space space, std::string key, std::string value) {
  staged_[static_cast<size_t>(space)][key] = value;
  batch_.Put(space, std::move(key), std::move(value));
}

void StagedStore::Remove(Space space, std::string key) {
  if (space != Space::kLog) staged_[static_cast<size_t>(space)][key].reset();
  batch_.Remove(space, std::move(key));
}

size_t StagedStore::PutRecord(std::string key, std::string value) {
  batch_.Put(Space::kLog, std::move(key), std::move(value));
  return batch_.operations().size() - 1;
}

Status StagedStore::Get(Space space, std::string_view key, std::string* value, bool* found) {
  const auto& staged = staged_[static_cast<size_t>(space)];
  if (!staged.empty()) {
    const auto entry = staged.find(key);
    if (entry != staged.end()) {
      *found = entry->second.has_value();
      if (*found) *value = *entry->second;
      return Status::Ok();
    }
  }
  return kv_->Get(space, key, value, found);
}

Status StagedStore::GetLast(Space space, std::string_view from, std::string_view to, std::string* key,
                            std::string* value, bool* found) {
  *found = false;
  Status status = kv_->Scan(space, from, to, true, [&](std::string_view stored_key, std::string_view stored_value) {
    key->assign(stored_key);
    value->assign(stored_value);
    *found = true;
    return false;
  });
  if (!status.ok()) return status;
  const auto& staged = staged_[static_cast<size_t>(space)];
  auto entry = staged.lower_bound(to);
  if (entry == staged.begin()) return status;
  --entry;
  if (entry->first >= from && (!*found || entry->first >= *key)) {
    *key = entry->first;
    *found = entry->second.has_value();
    if (*found) *value = *entry->second;
  }
  return status;
}

Status StagedStore::Write() {
  if (batch_.empty()) return Status::Ok();
  return kv_->Write(batch_, sync_);
}

void StagedStore::Clear() {
  batch_.Clear();
  for (auto& staged : staged_) staged.clear();
  sync_ = false;
}

}  // namespace everyonce
