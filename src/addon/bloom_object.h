#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>

#include "core/bloom.h"

namespace everyonce {

// BloomFilter as lib/primitives/bloom-filter.js uses it; the contract is in lib/primitives/native.js. Everything
// happens on the caller's thread and within the call; nothing of the caller's is kept.
class BloomObject : public Napi::ObjectWrap<BloomObject> {
 public:
  static Napi::Function Define(Napi::Env env);
  explicit BloomObject(const Napi::CallbackInfo& info);
  ~BloomObject() override;

 private:
  Napi::Value Add(const Napi::CallbackInfo& info);
  Napi::Value Has(const Napi::CallbackInfo& info);
  Napi::Value AddBatch(const Napi::CallbackInfo& info);
  Napi::Value HasBatch(const Napi::CallbackInfo& info);
  Napi::Value Serialize(const Napi::CallbackInfo& info);
  Napi::Value Stats(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);

  bool Make(const Napi::CallbackInfo& info, std::unique_ptr<BloomFilter>* filter) const;
  bool Parse(const Napi::CallbackInfo& info, std::unique_ptr<BloomFilter>* filter) const;
  bool NeedOpen() const;
  bool Hash(const Napi::CallbackInfo& info, uint64_t* hash) const;
  void Take(std::unique_ptr<BloomFilter> filter);

  Napi::Env env_;
  std::unique_ptr<BloomFilter> filter_;
};

}  // namespace everyonce
