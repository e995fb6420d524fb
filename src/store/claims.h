#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/claim.h"
#include "store/store_thread.h"

namespace everyonce {

// The claim machine (core/claim.h) on what is stored. `kind` is the key's letter: 'c', or 'd' for Dedup's own. Fences
// are counted per store, and outlive the records; records are removed some time after they were forgotten.

struct ClaimKey {
  char kind = 'c';
  std::string key;
};

Status ClaimIn(const StoreRoom& room, const ClaimKey& key, const ClaimRequest& request, ClaimAnswer* answer);
Status RenewIn(const StoreRoom& room, const ClaimKey& key, std::string_view owner, uint64_t fence, int64_t lease_ms,
               ClaimAnswer* answer);
Status CommitIn(const StoreRoom& room, const ClaimKey& key, std::string_view owner, uint64_t fence,
                std::string_view result, int64_t keep_ms, ClaimAnswer* answer);
Status ReleaseIn(const StoreRoom& room, const ClaimKey& key, const ReleaseRequest& request, ClaimAnswer* answer);
// `issued`: how many of the keys were not known.
Status IssueIn(const StoreRoom& room, const std::vector<ClaimKey>& keys, std::string_view owner, int64_t ttl_ms,
               uint64_t* issued);
// Claims and commits at once: `fresh` where nobody has, within `window_ms`; a claim whose lease runs counts as done.
Status CheckIn(const StoreRoom& room, const ClaimKey& key, int64_t window_ms, bool* fresh);

// The next fence of the store, from a counter that outlives what it fences.
Status NextFence(const StoreRoom& room, uint64_t* fence);

}  // namespace everyonce
