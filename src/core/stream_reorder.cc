#include "core/stream_reorder.h"

#include <algorithm>

namespace everyonce {

bool GapTimer::TakeDue(int64_t now_ms) {
  if (now_ms < deadline_ms_) return false;
  wait_ms_ = std::max(timeout_ms_, std::min(2 * wait_ms_, kMaxWaitMs));
  deadline_ms_ = now_ms + wait_ms_;
  return true;
}

StreamReorder::Verdict StreamReorder::Push(uint64_t seq, size_t bytes, int64_t now_ms) {
  if (seq < next_) return Verdict::kDuplicate;
  if (seq == next_) {
    // A hole that was told ahead of next_ never begins at next_, so this one is not known yet.
    ++next_;
    Settle(true, now_ms);
    return Verdict::kDeliver;
  }
  const bool is_within = IsWithin(seq);
  if (is_within && slots_.empty()) slots_.resize(options_.max_gap);
  if (is_within && At(seq).state != kEmpty) return Verdict::kDuplicate;
  top_ = std::max(top_, seq + 1);
  timer_.Arm(now_ms);
  if (!is_within) return Verdict::kBeyond;
  const auto size = static_cast<uint32_t>(std::min<size_t>(bytes, UINT32_MAX));
  if (bytes_ + size > options_.max_bytes) return Verdict::kNoRoom;
  At(seq) = {size, kHeldSlot};
  ++held_;
  bytes_ += size;
  return Verdict::kHeld;
}

bool StreamReorder::Hole(uint64_t from, uint64_t to, int64_t now_ms, bool* is_beyond) {
  *is_beyond = false;
  if (to < next_ || to < from) return false;
  if (from > next_) {
    if (slots_.empty()) slots_.resize(options_.max_gap);
    for (uint64_t seq = from; seq <= to && IsWithin(seq); ++seq) {
      if (At(seq).state == kEmpty) At(seq).state = kHoleSlot;
    }
    *is_beyond = !IsWithin(to);
    // What is told up to here leaves a gap in front of it.
    top_ = std::max(top_, std::min(to, next_ + options_.max_gap - 1) + 1);
    timer_.Arm(now_ms);
    return false;
  }
  // All in the way is passed over; what is held of it goes out with the rest.
  const uint64_t slots_end = std::min(to + 1, next_ + options_.max_gap);
  if (!slots_.empty()) {
    for (uint64_t seq = next_; seq < slots_end; ++seq) Release(&At(seq));
  }
  next_ = to + 1;
  Settle(true, now_ms);
  return true;
}

void StreamReorder::Release(Slot* slot) {
  if (slot->state == kHeldSlot) {
    --held_;
    bytes_ -= slot->bytes;
  }
  *slot = {};
}

// Goes on over what is held or a hole, and sees whether a gap is left.
void StreamReorder::Settle(bool moved, int64_t now_ms) {
  if (!slots_.empty()) {
    for (; At(next_).state != kEmpty; ++next_) Release(&At(next_));
  }
  if (moved) timer_.Disarm();
  if (top_ > next_) timer_.Arm(now_ms);
}

std::vector<SeqRange> StreamReorder::DueGaps(int64_t now_ms) {
  std::vector<SeqRange> gaps;
  if (!timer_.TakeDue(now_ms)) return gaps;
  const uint64_t slots_end = std::min(top_, next_ + options_.max_gap);
  bool is_in_gap = false;
  for (uint64_t seq = next_; seq < slots_end && gaps.size() <= kMaxGapsTold; ++seq) {
    const bool is_missing = slots_.empty() || At(seq).state == kEmpty;
    if (is_missing && !is_in_gap) gaps.push_back({seq, seq});
    if (is_missing) gaps.back().to = seq;
    is_in_gap = is_missing;
  }
  if (gaps.size() > kMaxGapsTold) {
    gaps.pop_back();
  } else if (top_ > slots_end && is_in_gap) {
    gaps.back().to = top_ - 1;
  } else if (top_ > slots_end && gaps.size() < kMaxGapsTold) {
    gaps.push_back({slots_end, top_ - 1});
  }
  return gaps;
}

}  // namespace everyonce
