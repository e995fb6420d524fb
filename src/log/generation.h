#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/status.h"
#include "log/kv.h"

namespace everyonce {

// The store's generation: raised once when its tail may have been lost (an opened backup copy, a repaired store).
// Whoever keeps something that must not go back or repeat (a log's epoch, a counter, a lease) stores the generation
// beside it, and where that is older than the store's, begins a new epoch or jumps ahead before anything is told or
// given out.

// A number under `key` in Space::kMeta; 0 where there is none. kStoreCorrupt where it is not one.
Status ReadMetaNumber(Kv* kv, std::string_view key, uint64_t* number);
// As it is stored.
std::string MetaNumber(uint64_t number);

// One durable write begins a new generation for everything in the store, however much there is: from here on each log
// derives its own epoch when it is first touched, the same one however often the process dies before that is stored.
// `random`: its low 10 bits count (EpochTable::NewEpoch).
Status BeginGeneration(Kv* kv, int64_t now_ms, uint64_t random);

}  // namespace everyonce
