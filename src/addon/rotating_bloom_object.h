#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>

#include "core/rotating_bloom.h"

namespace everyonce {

// RotatingBloom as lib/primitives/rotating-bloom.js uses it; the contract is in lib/primitives/native.js. Every method
// takes the time in ms as its last argument, or asks the clock; nothing of the caller's is kept.
class RotatingBloomObject : public Napi::ObjectWrap<RotatingBloomObject> {
 public:
  static Napi::Function Define(Napi::Env env);
  explicit RotatingBloomObject(const Napi::CallbackInfo& info);
  ~RotatingBloomObject() override;

 private:
  Napi::Value Add(const Napi::CallbackInfo& info);
  Napi::Value Has(const Napi::CallbackInfo& info);
  Napi::Value AddBatch(const Napi::CallbackInfo& info);
  Napi::Value HasBatch(const Napi::CallbackInfo& info);
  Napi::Value Serialize(const Napi::CallbackInfo& info);
  Napi::Value Stats(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);

  bool NeedOpen() const;
  bool Hash(const Napi::CallbackInfo& info, uint64_t* hash) const;
  void TellMemory();

  Napi::Env env_;
  std::unique_ptr<RotatingBloom> filter_;
  int64_t told_bytes_ = 0;
};

}  // namespace everyonce
