#pragma once

#include <napi.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "log/retention.h"
#include "redis/redis_url.h"
#include "redis/tls_session.h"

namespace everyonce {

struct AddonOptions {
  bool in_memory = false;
  std::string data;
  // Where there are any: everything is kept in Redis.
  std::vector<RedisAddress> redis;
  std::optional<bool> redis_cluster;
  std::shared_ptr<TlsContext> redis_tls;  // where the addresses are rediss://
  bool redis_tls_checked = true;          // whether it asks for certificates
  uint32_t redis_replicas = 0;
  uint32_t redis_replica_timeout_ms = 1000;
  bool fsync = true;
  bool restored = false;  // new epochs for every log, whatever the store itself says
  int64_t dedup_window_ms = 0;
  std::string token_key;  // empty: the store's own
  int64_t token_ttl_ms = 0;
  RetentionOptions retention;
  EngineOptions engine;
};

// Reads `nodes` (URLs), `cluster` and `tls`. False: an error is pending.
bool ReadRedisOptions(const Napi::Object& object, AddonOptions* options);

// Reads the options object of `new Engine(options, onBatch)`. lib/server has checked them; this refuses what would be
// unsafe all the same. On a refusal a TypeError-like error with `field` is pending and the answer is false.
bool ReadOptions(const Napi::Value& value, AddonOptions* options);

}  // namespace everyonce
