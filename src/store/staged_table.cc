#include "store/staged_table.h"

#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "core/byte_codec.h"
#include "log/log_format.h"

namespace everyonce {

void StagedTable::Put(std::string key, std::string value) {
  ++changes_;
  bytes_ += key.size() + value.size();
  staged_.insert_or_assign(std::move(key), std::move(value));
}

void StagedTable::Remove(std::string key) {
  ++changes_;
  bytes_ += key.size();
  staged_.insert_or_assign(std::move(key), std::nullopt);
}

Status StagedTable::Get(std::string_view key, std::string* value, bool* found) const {
  if (const auto entry = staged_.find(key); entry != staged_.end()) {
    *found = entry->second.has_value();
    if (*found) *value = *entry->second;
    return Status::Ok();
  }
  return kv_->Get(Space::kPrimitives, key, value, found);
}

Status StagedTable::Scan(std::string_view from, std::string_view to, bool reverse, const Kv::Visitor& visit) const {
  if (!to.empty() && to <= from) return Status::Ok();
  auto first = staged_.lower_bound(from);
  auto last = to.empty() ? staged_.end() : staged_.lower_bound(to);
  bool going = true;
  // Shows what is staged ahead of `key` (null: all that is left), and tells whether `key` itself is.
  const auto show_staged = [&](const std::string_view* key) {
    while (going && first != last) {
      const auto next = reverse ? std::prev(last) : first;
      if (key != nullptr && (reverse ? next->first < *key : next->first > *key)) return false;
      const bool same = key != nullptr && next->first == *key;
      if (next->second) going = visit(next->first, *next->second);
      if (reverse) {
        last = next;
      } else {
        ++first;
      }
      if (same) return true;
    }
    return false;
  };
  Status status = kv_->Scan(Space::kPrimitives, from, to, reverse, [&](std::string_view key, std::string_view value) {
    const bool replaced = show_staged(&key);
    if (going && !replaced) going = visit(key, value);
    return going;
  });
  if (status.ok()) show_staged(nullptr);
  return status;
}

Status StagedTable::Write(bool sync) {
  if (staged_.empty()) return Status::Ok();
  WriteBatch batch;
  for (const auto& [key, value] : staged_) {
    if (value) {
      batch.Put(Space::kPrimitives, key, *value);
    } else {
      batch.Remove(Space::kPrimitives, key);
    }
  }
  return kv_->Write(batch, sync);
}

void StagedTable::Clear() {
  staged_.clear();
  bytes_ = 0;
}

namespace key {

std::string Of(char kind, std::string_view rest) {
  std::string key(1, kind);
  key.append(rest);
  return key;
}

void AppendNumber(uint64_t number, std::string* key) {
  for (int shift = 56; shift >= 0; shift -= 8) key->push_back(static_cast<char>(number >> shift));
}

void AppendPart(std::string_view part, std::string* key) { ByteWriter(key).Bytes(part); }

std::string Behind(std::string prefix) {
  while (!prefix.empty() && prefix.back() == '\xff') prefix.pop_back();
  if (!prefix.empty()) prefix.back() = static_cast<char>(prefix.back() + 1);
  return prefix;
}

}  // namespace key

namespace {

std::string ExpiryKey(int64_t at_ms, std::string_view key) {
  std::string expiry(1, 'x');
  key::AppendNumber(static_cast<uint64_t>(at_ms), &expiry);
  expiry.append(key);
  return expiry;
}

}  // namespace

void MoveExpiry(StagedTable* table, std::string_view key, int64_t from_ms, int64_t to_ms) {
  if (from_ms == to_ms) return;
  if (from_ms != 0) table->Remove(ExpiryKey(from_ms, key));
  if (to_ms != 0) table->Put(ExpiryKey(to_ms, key), {});
}

Status RemoveExpired(StagedTable* table, int64_t from_ms, int64_t now_ms, size_t limit, size_t* removed,
                     int64_t* next_ms) {
  constexpr size_t kPrefixBytes = 9;
  *removed = 0;
  *next_ms = std::numeric_limits<int64_t>::max();
  std::vector<std::string> due;
  Status status = table->Scan(ExpiryKey(from_ms, ""), "y", false, [&](std::string_view expiry, std::string_view) {
    const auto at_ms = static_cast<int64_t>(key::NumberAtEnd(expiry.substr(0, kPrefixBytes)));
    if (at_ms > now_ms || due.size() == limit) {
      *next_ms = at_ms;
      return false;
    }
    due.emplace_back(expiry);
    return true;
  });
  if (!status.ok()) return status;
  for (std::string& expiry : due) {
    table->Remove(expiry.substr(kPrefixBytes));
    table->Remove(std::move(expiry));
  }
  *removed = due.size();
  return status;
}

}  // namespace everyonce
