#include <napi.h>

#include "addon/bloom_object.h"
#include "addon/engine_object.h"
#include "addon/migration_object.h"
#include "addon/package_object.h"
#include "addon/redis_object.h"
#include "addon/rotating_bloom_object.h"
#include "addon/snowflake_object.h"
#include "addon/store_client.h"
#include "addon/store_object.h"
#include "addon/stream_object.h"

namespace {

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("Engine", everyonce::EngineObject::Define(env));
  exports.Set("StoreClient", everyonce::StoreClient::Define(env));
  exports.Set("Store", everyonce::StoreObject::Define(env));
  exports.Set("Redis", everyonce::RedisObject::Define(env));
  exports.Set("Migration", everyonce::MigrationObject::Define(env));
  exports.Set("Snowflake", everyonce::SnowflakeObject::Define(env));
  exports.Set("BloomFilter", everyonce::BloomObject::Define(env));
  exports.Set("RotatingBloom", everyonce::RotatingBloomObject::Define(env));
  exports.Set("PackageReorder", everyonce::PackageObject::Define(env));
  exports.Set("StreamReorder", everyonce::StreamObject::Define(env));
  return exports;
}

}  // namespace

NODE_API_MODULE(everyonce, Init)
