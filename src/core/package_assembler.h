#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/package_reorder.h"

namespace everyonce {

struct PackageAssemblerOptions {
  PackageLimits limits;
  int64_t timeout_ms = 5000;     // of a round
  uint32_t retries = 3;          // rounds after the first
  size_t max_tombstones = 4096;  // packages that are over and still known
};

// PackageReorder, and what comes after it (semantics e, package assembler): a package that is over leaves a tombstone,
// so that a late part opens no new one; what is missing at the deadline is told, round after round, before it is given
// up; a package that contradicts itself is refused for good. A package belongs to the source that sent it: the same id
// from another source is another package. Pure: time is passed in, and never goes back.
class PackageAssembler {
 public:
  enum class Verdict : uint8_t { kHeld, kComplete, kDuplicate, kLate, kRefused };
  enum class Reason : uint8_t {
    kNone,
    kContradiction,  // another total, or other bytes under the same index: the package is over
    kTooLarge,       // more bytes than any package may have: the package is over
    kNoRoom,         // packages, parts or bytes: what is held stays, and this part may come again
    kRefusedBefore,  // of a package that was refused
    kBadIndex,       // not below its total, or more parts than may be held
  };
  struct Outcome {
    Verdict verdict = Verdict::kHeld;
    Reason reason = Reason::kNone;
    HeldPackage taken;  // kComplete: all its parts; kContradiction, kTooLarge: what was held of it
  };
  struct Incomplete {
    std::string source;
    std::string id;
    std::vector<uint32_t> missing;
    uint32_t round = 0;  // from 1
    bool is_over = false;
  };
  struct Counters {
    uint64_t complete = 0;
    uint64_t duplicates = 0;
    uint64_t late = 0;
    uint64_t refused = 0;
    uint64_t expired = 0;
  };

  explicit PackageAssembler(const PackageAssemblerOptions& options)
      : options_(options), packages_(options.limits, options.timeout_ms, PackageReorder::OnNoRoom::kRefusePart) {}

  // `body` is copied where the verdict is kHeld or kComplete. `type` is part of what is compared.
  Outcome Push(std::string_view source, std::string_view id, uint32_t index, uint32_t total, std::string_view type,
               std::string_view body, int64_t now_ms);
  // Those whose time is over, the oldest first; the ones that are not over are held for another round.
  std::vector<Incomplete> Expire(int64_t now_ms);
  int64_t NextDeadline() const { return packages_.NextDeadline(); }

  static std::vector<uint32_t> MissingOf(const HeldPackage& package);

  const PackageReorder& packages() const { return packages_; }
  const Counters& counters() const { return counters_; }
  size_t tombstones() const { return tombstones_.size(); }

 private:
  enum class End : uint8_t { kComplete, kExpired, kRefused };
  // Two halves of 128 bits: with this many the chance of a collision is below any other.
  struct Name {
    uint64_t low = 0;
    uint64_t high = 0;
    bool operator==(const Name&) const = default;
  };
  struct NameHash {
    size_t operator()(const Name& name) const { return name.low; }
  };

  static Name NameOf(std::string_view key);
  void Bury(std::string_view key, End end);

  PackageAssemblerOptions options_;
  PackageReorder packages_;
  std::unordered_map<Name, End, NameHash> tombstones_;
  std::deque<Name> buried_;  // the oldest first
  Counters counters_;
};

}  // namespace everyonce
