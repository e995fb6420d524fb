#include "store/dedup_filter.h"

#include <algorithm>
#include <utility>

#include "store/staged_table.h"

namespace everyonce {

bool DedupFilter::MaySee(std::string_view key) {
  ++stats_.lookups;
  if (!warm()) {
    if (!building()) Begin(capacity_);
    return true;
  }
  const bool seen = current_->Has(current_->Hash(key));
  if (!seen) ++stats_.saved;
  return seen;
}

void DedupFilter::Remember(std::string_view key) {
  const uint64_t hash = BloomFilter::Hash(key, seed_);
  if (next_ != nullptr) next_->Add(hash);
  if (current_ == nullptr) return;
  current_->Add(hash);
  if (next_ == nullptr && current_->items() > current_->capacity() && capacity_ < kMaxCapacity) Begin(capacity_);
}

void DedupFilter::Begin(uint64_t capacity) {
  capacity_ = std::min(capacity, kMaxCapacity);
  from_.clear();
  // Null where there is no memory: then it stays as it is.
  next_ = BloomFilter::Make(capacity_, kErrorRate, BloomFilter::BlocksFor(capacity_, kErrorRate), seed_);
}

Status DedupFilter::Slice(Kv* kv, std::string_view prefix, size_t max_keys) {
  if (next_ == nullptr) return Status::Ok();
  size_t seen = 0;
  std::string last;
  const std::string_view from = from_.empty() ? prefix : from_;
  Status status = kv->Scan(Space::kPrimitives, from, key::Behind(std::string(prefix)), false,
                           [&](std::string_view stored, std::string_view) {
                             next_->Add(next_->Hash(stored.substr(prefix.size())));
                             last = stored;
                             return ++seen < max_keys;
                           });
  if (!status.ok()) return status;
  // Made for half as many again as there are, so that it is not full at once.
  if (next_->items() > capacity_ / 3 * 2 && capacity_ < kMaxCapacity) {
    Begin(capacity_ * 2);
  } else if (seen < max_keys) {
    current_ = std::move(next_);
  } else {
    from_ = std::move(last);
    from_.push_back('\0');
  }
  return status;
}

DedupFilterStats DedupFilter::stats() const {
  DedupFilterStats stats = stats_;
  stats.warm = warm();
  stats.bytes = (current_ != nullptr ? current_->bytes() : 0) + (next_ != nullptr ? next_->bytes() : 0);
  return stats;
}

}  // namespace everyonce
