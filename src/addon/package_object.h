#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>

#include "core/package_assembler.h"

namespace everyonce {

// PackageReorder as lib/primitives/package-reorder.js uses it; the contract is in lib/primitives/native.js. It calls
// nothing of JavaScript's: what is to be told is returned, and told when this object is at rest again, so that a
// handler may call back into it.
class PackageObject : public Napi::ObjectWrap<PackageObject> {
 public:
  static Napi::Function Define(Napi::Env env);
  explicit PackageObject(const Napi::CallbackInfo& info);

 private:
  Napi::Value Push(const Napi::CallbackInfo& info);
  Napi::Value PushBatch(const Napi::CallbackInfo& info);
  Napi::Value Expire(const Napi::CallbackInfo& info);
  Napi::Value NextDeadline(const Napi::CallbackInfo& info);
  Napi::Value Stats(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);

  bool NeedOpen() const;

  Napi::Env env_;
  std::unique_ptr<PackageAssembler> packages_;
};

}  // namespace everyonce
