#include "core/snowflake.h"

#include <algorithm>

namespace everyonce {
namespace {
constexpr int kSequenceBits = 12;
constexpr int kWorkerBits = 10;
constexpr int kMsShift = kSequenceBits + kWorkerBits;
}  // namespace

Snowflake::Snowflake(uint32_t worker, int64_t used_until_ms, int64_t epoch_ms, uint64_t spread_seed)
    : worker_(worker & kMaxWorker),
      epoch_ms_(epoch_ms),
      last_ms_(std::max(used_until_ms, epoch_ms)),
      random_(spread_seed) {}

uint64_t Snowflake::Next(int64_t now_ms) {
  uint64_t id = 0;
  return Fill(now_ms, max_ms(), &id, 1) == 1 ? id : 0;
}

// Begins millisecond `ms`. False, and nothing is changed, so that a mended clock goes on: it is out of bounds.
bool Snowflake::Open(int64_t ms, int64_t until_ms) {
  if (ms > until_ms) return false;
  last_ms_ = ms;
  sequence_ = 0;
  if (random_ == 0) return true;
  // xorshift64: never 0, and good enough for spreading.
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  sequence_ = static_cast<uint32_t>((random_ >> 32) % kSpread);
  return true;
}

size_t Snowflake::Fill(int64_t now_ms, int64_t until_ms, uint64_t* ids, size_t count) {
  until_ms = std::min(until_ms, max_ms());
  size_t filled = 0;
  while (filled < count) {
    if (now_ms > last_ms_) {
      if (!Open(now_ms, until_ms)) break;
    } else if (sequence_ < kMaxSequence && last_ms_ <= until_ms) {
      ++sequence_;
    } else if (!Open(last_ms_ + 1, until_ms)) {
      break;
    }
    const uint64_t base = static_cast<uint64_t>(last_ms_ - epoch_ms_) << kMsShift | uint64_t{worker_} << kSequenceBits;
    const size_t more = std::min<size_t>(count - filled - 1, kMaxSequence - sequence_);
    for (size_t i = 0; i <= more; ++i) ids[filled++] = base | (sequence_ + i);
    sequence_ += static_cast<uint32_t>(more);
  }
  return filled;
}

Snowflake::Parts Snowflake::Decode(uint64_t id, int64_t epoch_ms) {
  Parts parts;
  parts.ms = epoch_ms + static_cast<int64_t>((id & ~(uint64_t{1} << 63)) >> kMsShift);
  parts.worker = static_cast<uint32_t>(id >> kSequenceBits) & kMaxWorker;
  parts.sequence = static_cast<uint32_t>(id) & kMaxSequence;
  return parts;
}

uint64_t Snowflake::FirstAt(int64_t ms) {
  return static_cast<uint64_t>(std::clamp(ms, kEpochMs, kMaxMs) - kEpochMs) << kMsShift;
}

}  // namespace everyonce
