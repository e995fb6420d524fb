#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "redis/redis_client.h"

namespace everyonce {

// Which processes serve the target, as seen at one moment. Where two looks are the same, none of them was replaced or
// began anew in between, so that what was read in between is still there.
struct TargetMasters {
  struct Master {
    SlotMap::Node node;
    uint16_t slot = 0;           // one of those that it serves
    bool is_master = false;      // it says so itself
    std::string run_id;          // of the process: another one may have lost a tail, or everything
    std::string replication_id;  // of its history: a promotion makes a new one
    uint64_t epoch = 0;          // of the Cluster, as far as this master has heard; 0: no Cluster
    uint32_t replicas = 0;       // that are in step, about
  };
  std::vector<Master> masters;
  std::vector<uint16_t> owner;  // of each slot: index into masters; empty: no Cluster

  // A master that was replaced and has not heard of it yet goes on as if nothing had happened, but knows an older epoch
  // than those who voted for the new one.
  bool IsSettled() const;
  // Replicas may come and go.
  bool IsSameAs(const TargetMasters& other) const;
};

// Asks who serves what, then every master for itself. `done` once; not ok: `masters` means nothing.
void LookAtMasters(RedisClient* client, std::function<void(const RedisStatus& status, TargetMasters masters)> done);

}  // namespace everyonce
