#pragma once

#include <napi.h>

#include <memory>

#include "redis/redis_client.h"

namespace everyonce {

// The native client of Redis for JavaScript, on Node's own loop: what the primitives are built on. The contract is in
// lib/server/native.js.
class RedisObject : public Napi::ObjectWrap<RedisObject> {
 public:
  static Napi::Function Define(Napi::Env env);
  explicit RedisObject(const Napi::CallbackInfo& info);
  ~RedisObject() override;

 private:
  Napi::Value Command(const Napi::CallbackInfo& info);
  Napi::Value Script(const Napi::CallbackInfo& info);
  Napi::Value Scripts(const Napi::CallbackInfo& info);
  Napi::Value Describe(const Napi::CallbackInfo& info);
  Napi::Value Stats(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);
  void End();
  static void OnCleanup(void* data);

  Napi::Env env_;
  uv_loop_t* loop_ = nullptr;
  bool closed_ = false;
  std::unique_ptr<RedisClient> client_;
  // The environment has ended: no JavaScript may run, nothing is answered any more.
  std::shared_ptr<bool> ended_ = std::make_shared<bool>(false);
};

}  // namespace everyonce
