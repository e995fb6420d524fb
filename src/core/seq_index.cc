#include "core/seq_index.h"

#include <algorithm>
#include <utility>

namespace everyonce {

SeqIndex::Place SeqIndex::Find(uint64_t seq) const {
  // Most of what comes is near the newest: the last block, and mostly the end of it.
  if (!blocks_.empty() && blocks_.back()->ranges.front().from <= seq) {
    const auto& ranges = blocks_.back()->ranges;
    auto range = static_cast<ptrdiff_t>(ranges.size()) - 1;
    const ptrdiff_t nearest = std::max<ptrdiff_t>(range - kNear, 0);
    while (range > nearest && seq < ranges[static_cast<size_t>(range)].from) --range;
    if (ranges[static_cast<size_t>(range)].from <= seq) return {blocks_.size() - 1, range};
  }
  const auto behind = std::upper_bound(
      blocks_.begin(), blocks_.end(), seq,
      [](uint64_t wanted, const std::unique_ptr<Block>& block) { return wanted < block->ranges.front().from; });
  if (behind == blocks_.begin()) return {};
  const auto& ranges = (*(behind - 1))->ranges;
  const auto range = std::upper_bound(ranges.begin(), ranges.end(), seq,
                                      [](uint64_t wanted, const Range& one) { return wanted < one.from; });
  return {static_cast<size_t>(behind - 1 - blocks_.begin()), range - 1 - ranges.begin()};
}

// Counted from the end that is nearer: arrivals are near the newest, and pages of history near the oldest.
uint64_t SeqIndex::CountUpTo(const Place& place) const {
  if (blocks_.empty()) return 0;
  const auto in_block = [&](ptrdiff_t from, ptrdiff_t to) {
    uint64_t count = 0;
    const auto& ranges = blocks_[place.block]->ranges;
    for (ptrdiff_t range = from; range < to; ++range) count += ranges[static_cast<size_t>(range)].count;
    return count;
  };
  uint64_t count = 0;
  if (place.block < blocks_.size() / 2) {
    for (size_t block = 0; block < place.block; ++block) count += blocks_[block]->count;
    return count + in_block(0, place.range + 1);
  }
  for (size_t block = place.block + 1; block < blocks_.size(); ++block) count += blocks_[block]->count;
  const auto end = static_cast<ptrdiff_t>(blocks_[place.block]->ranges.size());
  return size_ - count - in_block(place.range + 1, end);
}

SeqIndex::Range* SeqIndex::Next(const Place& place, Place* next) {
  if (blocks_.empty()) return nullptr;
  *next = {place.block, place.range + 1};
  if (static_cast<size_t>(next->range) == blocks_[place.block]->ranges.size()) *next = {place.block + 1, 0};
  if (next->block == blocks_.size()) return nullptr;
  return &blocks_[next->block]->ranges[static_cast<size_t>(next->range)];
}

void SeqIndex::Erase(const Place& place) {
  Block& block = *blocks_[place.block];
  const auto range = block.ranges.begin() + place.range;
  block.count -= range->count;
  block.ranges.erase(range);
  --ranges_;
  if (block.ranges.empty()) blocks_.erase(blocks_.begin() + static_cast<ptrdiff_t>(place.block));
}

void SeqIndex::Add(const Place& behind, Range range) {
  if (blocks_.empty()) blocks_.push_back(std::make_unique<Block>());
  Block& block = *blocks_[behind.block];
  block.ranges.insert(block.ranges.begin() + (behind.range + 1), range);
  block.count += range.count;
  ++ranges_;
  if (block.ranges.size() > kMaxBlock) Split(behind.block);
}

// In the middle, but at the end of all: there the old block stays full, since what comes next goes into the new one.
void SeqIndex::Split(size_t at) {
  Block& block = *blocks_[at];
  const ptrdiff_t left = at + 1 == blocks_.size() ? kMaxBlock : kMaxBlock / 2;
  auto right = std::make_unique<Block>();
  right->ranges.assign(block.ranges.begin() + left, block.ranges.end());
  block.ranges.resize(static_cast<size_t>(left));
  for (const Range& range : right->ranges) right->count += range.count;
  block.count -= right->count;
  blocks_.insert(blocks_.begin() + static_cast<ptrdiff_t>(at) + 1, std::move(right));
}

SeqIndex::Verdict SeqIndex::Insert(uint64_t seq, uint64_t* index) {
  const Place place = Find(seq);
  Range* below = place.range < 0 ? nullptr : &blocks_[place.block]->ranges[static_cast<size_t>(place.range)];
  if (below != nullptr && below->to >= seq) return Verdict::kKnown;
  Place next;
  Range* above = Next(place, &next);
  const bool joins_below = below != nullptr && below->to + 1 == seq;
  const bool joins_above = above != nullptr && above->from == seq + 1;
  if (!joins_below && !joins_above && ranges_ >= max_ranges_) return Verdict::kFull;
  *index = CountUpTo(place);
  ++size_;
  if (joins_below) {
    below->to = joins_above ? above->to : seq;
    const uint64_t more = 1 + (joins_above ? above->count : 0);
    below->count += more;
    blocks_[place.block]->count += more;
    if (joins_above) Erase(next);
  } else if (joins_above) {
    above->from = seq;
    ++above->count;
    ++blocks_[next.block]->count;
  } else {
    Add(place, {seq, seq, 1});
  }
  return Verdict::kInserted;
}

void SeqIndex::Close(uint64_t from, uint64_t to) {
  Range whole = {from, to, 0};
  // What touches it becomes part of it. A number below the first has no place in front of it.
  Place place = Find(from);
  if (place.range >= 0) {
    const Range& below = blocks_[place.block]->ranges[static_cast<size_t>(place.range)];
    if (below.to + 1 >= from) whole = {below.from, std::max(below.to, to), 0};
  }
  for (;;) {
    place = Find(whole.to == UINT64_MAX ? whole.to : whole.to + 1);
    if (place.range < 0) break;
    const Range last = blocks_[place.block]->ranges[static_cast<size_t>(place.range)];
    if (last.to < whole.from) break;
    whole.to = std::max(whole.to, last.to);
    whole.count += last.count;
    Erase(place);
  }
  Add(Find(whole.from), whole);
}

std::vector<SeqRange> SeqIndex::Gaps(size_t most) const {
  std::vector<SeqRange> gaps;
  uint64_t next = 0;
  bool is_first = true;
  for (const auto& block : blocks_) {
    for (const Range& range : block->ranges) {
      if (gaps.size() == most) return gaps;
      if (!is_first) gaps.push_back({next, range.from - 1});
      is_first = false;
      next = range.to + 1;
    }
  }
  return gaps;
}

}  // namespace everyonce
