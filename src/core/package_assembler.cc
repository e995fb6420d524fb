#include "core/package_assembler.h"

#include <xxhash.h>

#include <utility>

namespace everyonce {
namespace {

// A length in front: no two pairs give the same key.
std::string KeyOf(std::string_view source, std::string_view id) {
  const auto length = static_cast<uint32_t>(source.size());
  std::string key(reinterpret_cast<const char*>(&length), sizeof length);
  key += source;
  key += id;
  return key;
}

}  // namespace

PackageAssembler::Name PackageAssembler::NameOf(std::string_view key) {
  const XXH128_hash_t hash = XXH3_128bits(key.data(), key.size());
  return {hash.low64, hash.high64};
}

void PackageAssembler::Bury(std::string_view key, End end) {
  const Name name = NameOf(key);
  if (!tombstones_.emplace(name, end).second) return;
  buried_.push_back(name);
  if (buried_.size() <= options_.max_tombstones) return;
  tombstones_.erase(buried_.front());
  buried_.pop_front();
}

PackageAssembler::Outcome PackageAssembler::Push(std::string_view source, std::string_view id, uint32_t index,
                                                 uint32_t total, std::string_view type, std::string_view body,
                                                 int64_t now_ms) {
  Outcome outcome;
  const auto refused = [&](Reason reason) {
    ++counters_.refused;
    outcome.verdict = Verdict::kRefused;
    outcome.reason = reason;
  };
  const std::string key = KeyOf(source, id);
  const auto tombstone = tombstones_.find(NameOf(key));
  if (tombstone != tombstones_.end()) {
    switch (tombstone->second) {
      case End::kComplete:
        ++counters_.duplicates;
        outcome.verdict = Verdict::kDuplicate;
        break;
      case End::kExpired:
        ++counters_.late;
        outcome.verdict = Verdict::kLate;
        break;
      case End::kRefused:
        refused(Reason::kRefusedBefore);
        break;
    }
    return outcome;
  }
  if (index >= total || total > options_.limits.server_parts) {
    refused(Reason::kBadIndex);
    return outcome;
  }
  HeldPart part = {.type = std::string(type), .body = std::string(body)};
  switch (packages_.Offer(key, source, id, index, total, &part, now_ms, &outcome.taken)) {
    case PackageReorder::Verdict::kHeld:
      break;
    case PackageReorder::Verdict::kRepeat:
      ++counters_.duplicates;
      outcome.verdict = Verdict::kDuplicate;
      break;
    case PackageReorder::Verdict::kComplete:
      ++counters_.complete;
      outcome.verdict = Verdict::kComplete;
      Bury(key, End::kComplete);
      break;
    case PackageReorder::Verdict::kTooLarge:
      refused(Reason::kTooLarge);
      Bury(key, End::kRefused);
      break;
    case PackageReorder::Verdict::kOverLimit:
      refused(Reason::kNoRoom);
      break;
    case PackageReorder::Verdict::kContradicts:
    case PackageReorder::Verdict::kOther:  // never: the key says whose it is and which
      refused(Reason::kContradiction);
      Bury(key, End::kRefused);
      break;
  }
  return outcome;
}

std::vector<uint32_t> PackageAssembler::MissingOf(const HeldPackage& package) {
  std::vector<uint32_t> missing;
  missing.reserve(package.total - package.parts.size());
  uint32_t next = 0;
  for (const auto& [index, part] : package.parts) {
    for (; next < index; ++next) missing.push_back(next);
    next = index + 1;
  }
  for (; next < package.total; ++next) missing.push_back(next);
  return missing;
}

std::vector<PackageAssembler::Incomplete> PackageAssembler::Expire(int64_t now_ms) {
  std::vector<Incomplete> told;
  for (HeldPackage& package : packages_.Expire(now_ms)) {
    Incomplete incomplete = {package.owner, package.id, MissingOf(package), package.rounds + 1, false};
    incomplete.is_over = package.rounds >= options_.retries;
    told.push_back(std::move(incomplete));
    if (package.rounds < options_.retries) {
      packages_.PutBack(std::move(package), now_ms);
    } else {
      ++counters_.expired;
      Bury(package.key, End::kExpired);
    }
  }
  return told;
}

}  // namespace everyonce
