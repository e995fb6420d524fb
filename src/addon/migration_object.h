#pragma once

#include <napi.h>

#include <memory>

#include "migrate/migration.h"

namespace everyonce {

// Moves a store to Redis, for the command line, on Node's own loop. The contract is in lib/server/native.js.
class MigrationObject : public Napi::ObjectWrap<MigrationObject> {
 public:
  static Napi::Function Define(Napi::Env env);
  explicit MigrationObject(const Napi::CallbackInfo& info);

 private:
  Napi::Value Run(const Napi::CallbackInfo& info);
  Napi::Value Progress(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);
  Napi::Object Counts() const;
  void End();
  static void OnCleanup(void* data);

  Napi::Env env_;
  uv_loop_t* loop_ = nullptr;
  bool closed_ = false;
  std::unique_ptr<Migration> migration_;
  std::shared_ptr<bool> ended_ = std::make_shared<bool>(false);  // the environment: no JavaScript may run
};

}  // namespace everyonce
