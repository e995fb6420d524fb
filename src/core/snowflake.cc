#include "core/snowflake.h"

#include <algorithm>

namespace everyonce {
namespace {
constexpr int kSequenceBits = 12;
constexpr int kWorkerBits = 10;
constexpr int kMsShift = kSequenceBits + kWorkerBits;
}  // namespace

Snowflake::Snowflake(uint32_t worker, int64_t used_until_ms)
    : worker_(worker & kMaxWorker), last_ms_(std::max(used_until_ms, kEpochMs)) {}

uint64_t Snowflake::Next(int64_t now_ms) {
  if (now_ms > last_ms_) {
    if (now_ms > kMaxMs) return 0;  // and the state is kept, so that a mended clock goes on
    last_ms_ = now_ms;
    sequence_ = 0;
  } else if (sequence_ < kMaxSequence) {
    ++sequence_;
  } else {
    if (last_ms_ >= kMaxMs) return 0;
    ++last_ms_;
    sequence_ = 0;
  }
  return static_cast<uint64_t>(last_ms_ - kEpochMs) << kMsShift | uint64_t{worker_} << kSequenceBits | sequence_;
}

Snowflake::Parts Snowflake::Decode(uint64_t id) {
  Parts parts;
  parts.ms = kEpochMs + static_cast<int64_t>((id & ~(uint64_t{1} << 63)) >> kMsShift);
  parts.worker = static_cast<uint32_t>(id >> kSequenceBits) & kMaxWorker;
  parts.sequence = static_cast<uint32_t>(id) & kMaxSequence;
  return parts;
}

uint64_t Snowflake::FirstAt(int64_t ms) {
  return static_cast<uint64_t>(std::clamp(ms, kEpochMs, kMaxMs) - kEpochMs) << kMsShift;
}

}  // namespace everyonce
