#include "core/package_reorder.h"

#include <utility>

namespace everyonce {
namespace {

bool IsSame(const HeldPart& held, const HeldPart& part) {
  return held.id == part.id && held.type == part.type && held.body == part.body;
}

bool HasId(const HeldPackage& package, std::string_view id) {
  if (id.empty()) return false;
  for (const auto& [index, held] : package.parts) {
    if (held.id == id) return true;
  }
  return false;
}

}  // namespace

PackageReorder::Verdict PackageReorder::Offer(std::string_view key, std::string_view owner, std::string_view id,
                                              uint32_t index, uint32_t total, HeldPart* part, int64_t now_ms,
                                              HeldPackage* taken) {
  *taken = {};
  const auto known = held_.find(key);
  const bool is_new = known == held_.end();
  size_t bytes_held = 0;
  if (!is_new) {
    HeldPackage& package = *known->second;
    if (package.id != id || package.owner != owner) return Verdict::kOther;
    bytes_held = package.bytes;
    const auto same = package.parts.find(index);
    if (same != package.parts.end() && package.total == total && IsSame(same->second, *part)) {
      HeldPart& held = same->second;
      // What a connection before this one sent is answered to this one, once.
      held.receipts = held.source == part->source ? held.receipts + 1 : 1;
      held.source = part->source;
      return Verdict::kRepeat;
    }
    if (same != package.parts.end() || package.total != total || HasId(package, part->id)) {
      *taken = Remove(known->second);
      return Verdict::kContradicts;
    }
  }
  const size_t bytes = part->body.size();
  const bool too_large = bytes_held + bytes > limits_.package_bytes;
  auto used = use_.find(owner);
  if (too_large || !Fits(used == use_.end() ? Use{} : used->second, is_new, bytes)) {
    const bool stays = !too_large && on_no_room_ == OnNoRoom::kRefusePart;
    if (!is_new && !stays) *taken = Remove(known->second);
    return too_large ? Verdict::kTooLarge : Verdict::kOverLimit;
  }
  auto at = is_new ? order_.end() : known->second;
  if (used == use_.end()) used = use_.try_emplace(std::string(owner)).first;
  Use& use = used->second;
  if (is_new) {
    HeldPackage package;
    package.key = key;
    package.owner = owner;
    package.id = id;
    package.total = total;
    package.deadline_ms = now_ms + timeout_ms_;
    at = order_.insert(order_.end(), std::move(package));
    held_.emplace(at->key, at);
    ++use.packages;
  }
  at->parts.emplace(index, std::move(*part));
  at->bytes += bytes;
  ++use.parts;
  use.bytes += bytes;
  ++parts_;
  bytes_ += bytes;
  if (at->parts.size() < at->total) return Verdict::kHeld;
  *taken = Remove(at);
  return Verdict::kComplete;
}

bool PackageReorder::Fits(const Use& use, bool new_package, size_t bytes) const {
  const size_t packages = new_package ? 1 : 0;
  return use.packages + packages <= limits_.user_packages && use.parts + 1 <= limits_.user_parts &&
         use.bytes + bytes <= limits_.user_bytes && held_.size() + packages <= limits_.server_packages &&
         parts_ + 1 <= limits_.server_parts && bytes_ + bytes <= limits_.server_bytes;
}

HeldPackage PackageReorder::Remove(Order::iterator held) {
  const auto use = use_.find(held->owner);
  use->second.parts -= held->parts.size();
  use->second.bytes -= held->bytes;
  if (--use->second.packages == 0) use_.erase(use);
  parts_ -= held->parts.size();
  bytes_ -= held->bytes;
  held_.erase(held->key);
  HeldPackage package = std::move(*held);
  order_.erase(held);
  return package;
}

const HeldPackage* PackageReorder::Find(std::string_view key) const {
  const auto known = held_.find(key);
  return known == held_.end() ? nullptr : &*known->second;
}

bool PackageReorder::Take(std::string_view key, HeldPackage* taken) {
  const auto known = held_.find(key);
  if (known == held_.end()) return false;
  *taken = Remove(known->second);
  return true;
}

std::vector<HeldPackage> PackageReorder::Expire(int64_t now_ms) {
  std::vector<HeldPackage> expired;
  while (!order_.empty() && order_.front().deadline_ms <= now_ms) expired.push_back(Remove(order_.begin()));
  return expired;
}

void PackageReorder::PutBack(HeldPackage package, int64_t now_ms) {
  Use& use = use_[package.owner];
  ++use.packages;
  use.parts += package.parts.size();
  use.bytes += package.bytes;
  parts_ += package.parts.size();
  bytes_ += package.bytes;
  package.deadline_ms = now_ms + timeout_ms_;
  ++package.rounds;
  const auto at = order_.insert(order_.end(), std::move(package));
  held_.emplace(at->key, at);
}

int64_t PackageReorder::NextDeadline() const { return order_.empty() ? INT64_MAX : order_.front().deadline_ms; }

}  // namespace everyonce
