#include "core/sequencer.h"

#include <algorithm>

namespace everyonce {

uint64_t EpochTable::NewEpoch(uint64_t last_known, int64_t now_ms, uint64_t random) {
  const uint64_t by_time = static_cast<uint64_t>(std::max<int64_t>(now_ms, 0)) * 1024 + (random & 1023);
  return std::max(last_known + 1, by_time);
}

void EpochTable::Begin(uint64_t epoch, uint64_t first_seq) {
  entries_.push_back({epoch, first_seq});
  if (entries_.size() > kMaxEpochs) entries_.erase(entries_.begin());
}

uint64_t EpochTable::EpochOf(uint64_t seq) const {
  for (auto entry = entries_.rbegin(); entry != entries_.rend(); ++entry) {
    if (entry->first_seq <= seq) return entry->epoch;
  }
  return entries_.empty() ? 0 : entries_.front().epoch;
}

bool EpochTable::KeepOf(uint64_t epoch, uint64_t head, uint64_t* keep) const {
  for (size_t i = 0; i < entries_.size(); ++i) {
    if (entries_[i].epoch != epoch) continue;
    *keep = i + 1 < entries_.size() ? std::min(head, entries_[i + 1].first_seq - 1) : head;
    return true;
  }
  return false;
}

Resume EpochTable::Judge(uint64_t epoch, uint64_t seq, uint64_t head, uint64_t* keep) const {
  uint64_t survived = 0;
  *keep = 0;
  if (!KeepOf(epoch, head, &survived)) return Resume::kReset;
  *keep = std::min(seq, survived);
  return seq <= survived ? Resume::kOk : Resume::kTruncated;
}

}  // namespace everyonce
