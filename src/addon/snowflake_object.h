#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>

#include "core/snowflake_issuer.h"

namespace everyonce {

// Snowflake as lib/primitives/snowflake.js uses it; the contract is in lib/primitives/native.js. Clocks may be passed
// in, else they are read here: the system's, and for the lease's deadline one that goes on while the machine sleeps.
class SnowflakeObject : public Napi::ObjectWrap<SnowflakeObject> {
 public:
  static Napi::Function Define(Napi::Env env);
  explicit SnowflakeObject(const Napi::CallbackInfo& info);

 private:
  static Napi::Value Decode(const Napi::CallbackInfo& info);
  static Napi::Value Monotonic(const Napi::CallbackInfo& info);
  Napi::Value Next(const Napi::CallbackInfo& info);
  Napi::Value NextBigInt(const Napi::CallbackInfo& info);
  Napi::Value NextBatch(const Napi::CallbackInfo& info);
  Napi::Value SetBounds(const Napi::CallbackInfo& info);
  Napi::Value Stats(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);

  // Makes `count` ids with the clocks in info[first] and info[first + 1], where these are numbers. False: pending.
  bool Issue(const Napi::CallbackInfo& info, size_t first, uint64_t* ids, size_t count);
  void Refuse(const SnowflakeIssuer::Result& result) const;

  Napi::Env env_;
  std::unique_ptr<SnowflakeIssuer> issuer_;  // null: closed
};

}  // namespace everyonce
