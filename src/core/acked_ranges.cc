#include "core/acked_ranges.h"

#include <algorithm>
#include <utility>

#include "core/byte_codec.h"

namespace everyonce {
namespace {

// Stricter than ByteReader: false where it is cut off, needs more than the 53 bits of a seq, or is not the shortest
// form.
bool TakeVarint(std::string_view* in, uint64_t* value) {
  uint64_t result = 0;
  for (size_t i = 0; i < 8 && i < in->size(); ++i) {
    const auto byte = static_cast<uint8_t>((*in)[i]);
    result |= uint64_t{byte & 0x7fu} << (7 * i);
    if (byte & 0x80) continue;
    if (byte == 0 && i > 0) return false;
    if (result > kMaxInteger) return false;
    in->remove_prefix(i + 1);
    *value = result;
    return true;
  }
  return false;
}

// The first range that ends at or above `seq`.
template <typename Ranges>
auto FirstEndingFrom(Ranges& ranges, uint64_t seq) {
  return std::lower_bound(ranges.begin(), ranges.end(), seq,
                          [](const AckedRanges::Range& range, uint64_t wanted) { return range.to < wanted; });
}

}  // namespace

bool AckedRanges::Add(uint64_t from, uint64_t to) {
  if (from == 0 || to < from || to > kMaxInteger) return false;
  // [first, last) are the ranges that from..to overlaps or touches; they become one.
  const auto first = FirstEndingFrom(ranges_, from - 1);
  auto last = first;
  while (last != ranges_.end() && last->from <= to + 1) ++last;
  if (first == last) {
    if (ranges_.size() >= kMaxAckedRanges && from != 1) return false;
    ranges_.insert(first, Range{from, to});
    return true;
  }
  first->from = std::min(first->from, from);
  first->to = std::max(std::prev(last)->to, to);
  ranges_.erase(std::next(first), last);
  return true;
}

bool AckedRanges::Contains(uint64_t seq) const {
  const auto range = FirstEndingFrom(ranges_, seq);
  return range != ranges_.end() && range->from <= seq;
}

uint64_t AckedRanges::Prefix(uint64_t base) const { return NextUnacked(base + 1) - 1; }

uint64_t AckedRanges::NextUnacked(uint64_t seq) const {
  const auto range = FirstEndingFrom(ranges_, seq);
  return range != ranges_.end() && range->from <= seq ? range->to + 1 : seq;
}

void AckedRanges::CutAbove(uint64_t keep) {
  while (!ranges_.empty() && ranges_.back().from > keep) ranges_.pop_back();
  if (!ranges_.empty()) ranges_.back().to = std::min(ranges_.back().to, keep);
}

void AckedRanges::Encode(std::string* out) const {
  ByteWriter writer(out);
  writer.Varint(ranges_.size());
  uint64_t last_to = 0;
  for (const Range& range : ranges_) {
    writer.Varint(range.from - last_to);
    writer.Varint(range.to - range.from);
    last_to = range.to;
  }
}

bool AckedRanges::Decode(std::string_view* in, AckedRanges* out) {
  std::string_view rest = *in;
  uint64_t count = 0;
  if (!TakeVarint(&rest, &count) || count > kMaxAckedRanges + 1) return false;
  AckedRanges decoded;
  decoded.ranges_.reserve(count);
  uint64_t last_to = 0;
  for (uint64_t i = 0; i < count; ++i) {
    uint64_t distance = 0;
    uint64_t length_less_one = 0;
    if (!TakeVarint(&rest, &distance) || !TakeVarint(&rest, &length_less_one)) return false;
    // The first may begin at 1; each other leaves at least one seq between, or the two would be one.
    if (distance < (i == 0 ? 1u : 2u)) return false;
    if (distance > kMaxInteger - last_to || length_less_one > kMaxInteger - last_to - distance) return false;
    const uint64_t from = last_to + distance;
    last_to = from + length_less_one;
    decoded.ranges_.push_back({from, last_to});
  }
  if (count > kMaxAckedRanges && decoded.ranges_.front().from != 1) return false;
  *in = rest;
  *out = std::move(decoded);
  return true;
}

}  // namespace everyonce
