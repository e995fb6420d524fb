#pragma once

#include <napi.h>

#include <memory>

#include "log/rocks_kv.h"

namespace everyonce {

// A store that no server has open, for the command line: it is opened on the caller's thread and nothing runs on it. A
// copy stays one: only a server begins its new epochs. The contract is in lib/server/native.js.
class StoreObject : public Napi::ObjectWrap<StoreObject> {
 public:
  static Napi::Function Define(Napi::Env env);
  explicit StoreObject(const Napi::CallbackInfo& info);

 private:
  Napi::Value Inspect(const Napi::CallbackInfo& info);
  Napi::Value Checkpoint(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);
  bool NeedOpen(Napi::Env env) const;

  std::unique_ptr<RocksKv> rocks_;
};

}  // namespace everyonce
