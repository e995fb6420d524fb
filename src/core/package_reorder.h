#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/limits.h"

namespace everyonce {

// One part, as it is held. `source` and `receipts` are the owner's bookkeeping: where it came from last, and how often.
struct HeldPart {
  std::string id;
  std::string type;
  std::string body;
  uint64_t source = 0;
  uint32_t receipts = 1;
};

struct HeldPackage {
  std::string key;    // which package this is, to whoever owns this
  std::string owner;  // whose memory it takes
  std::string id;
  uint32_t total = 0;
  std::map<uint32_t, HeldPart> parts;  // by index; never more memory than what came
  int64_t deadline_ms = 0;
  size_t bytes = 0;
  uint32_t rounds = 0;  // how often it was put back
};

// Puts packages together: parts in any order, each once, all of them in time or none (semantics e; protocol.md,
// Sending). Bounded per owner and as a whole, in packages, parts and bytes. Pure: time is passed in and never goes
// back.
class PackageReorder {
 public:
  enum class Verdict : uint8_t {
    kHeld,
    kRepeat,       // a part that is held already, word for word
    kComplete,     // the last one that was missing: *taken is all of it
    kContradicts,  // total, or a part's id, type or body, is not what was held: *taken is what was held
    kTooLarge,     // the package's bodies are more than any package may have: *taken is what was held
    kOverLimit,    // no room: *taken is what was held of it, or nothing, and it stays
    kOther,        // another package is held under this key; it stays
  };

  // What becomes of a package one of whose parts finds no room: given up as a whole, or only that part is refused.
  enum class OnNoRoom : uint8_t { kGiveUp, kRefusePart };

  // `timeout_ms`: from a package's first part on; later ones don't extend it.
  PackageReorder(PackageLimits limits, int64_t timeout_ms, OnNoRoom on_no_room = OnNoRoom::kGiveUp)
      : limits_(limits), timeout_ms_(timeout_ms), on_no_room_(on_no_room) {}

  // Takes the part at `index` of `total` of package `id`. *part is moved from where it is held (kHeld, kComplete); else
  // it is left to the caller. An empty part.id is not compared with other parts'. *taken is set, perhaps to no parts,
  // where the verdict says so, and is no longer held.
  Verdict Offer(std::string_view key, std::string_view owner, std::string_view id, uint32_t index, uint32_t total,
                HeldPart* part, int64_t now_ms, HeldPackage* taken);

  const HeldPackage* Find(std::string_view key) const;
  // Takes a package away. False: none is held under this key.
  bool Take(std::string_view key, HeldPackage* taken);
  // Those whose time is over, the oldest first.
  std::vector<HeldPackage> Expire(int64_t now_ms);
  // Holds what Expire gave, as it was, for another timeout_ms. REQUIRES: nothing is held under its key.
  void PutBack(HeldPackage package, int64_t now_ms);
  // When Expire has something to do; INT64_MAX: nothing is held.
  int64_t NextDeadline() const;

  size_t packages() const { return held_.size(); }
  size_t parts() const { return parts_; }
  size_t bytes() const { return bytes_; }

 private:
  struct Use {
    size_t packages = 0;
    size_t parts = 0;
    size_t bytes = 0;
  };
  struct ViewHash {
    using is_transparent = void;
    size_t operator()(std::string_view view) const { return std::hash<std::string_view>()(view); }
  };
  using Order = std::list<HeldPackage>;  // by deadline: that is in order of their first parts

  bool Fits(const Use& use, bool new_package, size_t bytes) const;
  HeldPackage Remove(Order::iterator held);

  PackageLimits limits_;
  int64_t timeout_ms_;
  OnNoRoom on_no_room_;
  Order order_;
  std::unordered_map<std::string_view, Order::iterator> held_;  // by key, which the package owns
  // By owner: found by a view, without a string made for it.
  std::unordered_map<std::string, Use, ViewHash, std::equal_to<>> use_;
  size_t parts_ = 0;
  size_t bytes_ = 0;
};

}  // namespace everyonce
