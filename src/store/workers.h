#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "store/store_thread.h"

namespace everyonce {

// The worker numbers of snowflake ids, leased with an expiry and a fence (semantics b). Beside each stands up to which
// millisecond ids may have been made under it: who gets the number next begins above that, whatever its clock says.
//
// In a store whose tail may be lost, every number that it knows counts as leased for one more lease, and nobody begins
// below the store's own clock.

struct WorkerRecord {
  uint64_t fence = 0;
  uint64_t generation = 0;
  int64_t lease_ms = 0;
  int64_t lease_until_ms = 0;
  int64_t reserved_until_ms = 0;  // ids may have been made up to here
  std::string owner;              // empty: given back

  std::string Encode() const;
  [[nodiscard]] bool Decode(std::string_view bytes);
};
// As it counts now: one of before the store's tail may have been lost is brought up to date.
Status ReadWorker(const StoreRoom& room, uint32_t worker, WorkerRecord* record, bool* found);

struct WorkerGrant {
  uint32_t worker = 0;
  uint64_t fence = 0;
  int64_t used_until_ms = 0;  // ids of this grant lie above
  int64_t reserved_until_ms = 0;
};

// A number that is free (the lowest whose ids lie behind the store's clock) gets leased to `owner` for lease_ms, with
// ids up to reserve_ms ahead of the store's clock and of used_until_ms. kOverloaded where all 1024 are taken:
// `retry_ms` tells until when.
Status LeaseWorker(const StoreRoom& room, std::string_view owner, int64_t lease_ms, int64_t reserve_ms,
                   WorkerGrant* grant, int64_t* retry_ms);
// Goes on for lease_ms, with ids up to reserved_until_ms. `held` false: the number has gone to another.
Status RenewWorker(const StoreRoom& room, uint32_t worker, std::string_view owner, uint64_t fence, int64_t lease_ms,
                   int64_t reserved_until_ms, bool* held);
// Gives the number back at once: no id above used_until_ms was made.
Status ReleaseWorker(const StoreRoom& room, uint32_t worker, std::string_view owner, uint64_t fence,
                     int64_t used_until_ms, bool* held);

}  // namespace everyonce
