#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace everyonce {

// `next` of a page of the offline store: which items the page had, by their order, and whose walk it belongs to. The
// store keeps nothing of it.
struct OfflineToken {
  uint64_t generation = 0;  // of the store that gave it: an older one acks nothing, since orders may have come again
  uint64_t walk = 0;        // WalkOf
  std::vector<uint64_t> orders;  // as the page had them: rising, or falling where newest first

  std::string Encode() const;
  [[nodiscard]] static bool Decode(std::string_view text, OfflineToken* token);
};

// Tells one walk from another: receiver, sender, direction.
uint64_t WalkOf(std::string_view receiver, std::string_view sender, bool newest_first);

}  // namespace everyonce
