#include "addon/store_object.h"

#include "addon/errors.h"
#include "addon/store_calls.h"

namespace everyonce {

Napi::Function StoreObject::Define(Napi::Env env) {
  return DefineClass(
      env, "Store",
      {InstanceMethod<&StoreObject::Inspect>("inspect"), InstanceMethod<&StoreObject::Checkpoint>("checkpoint"),
       InstanceMethod<&StoreObject::Close>("close")});
}

StoreObject::StoreObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<StoreObject>(info) {
  std::string dir;
  if (!ReadDirectory(info, 0, &dir)) return;
  const Status status = RocksKv::Open({.dir = dir}, &rocks_);
  if (!status.ok()) Throw(info.Env(), status);
}

bool StoreObject::NeedOpen(Napi::Env env) const {
  if (rocks_ == nullptr) Throw(env, "CLOSED", "the store is closed");
  return rocks_ != nullptr;
}

Napi::Value StoreObject::Inspect(const Napi::CallbackInfo& info) {
  InspectQuery query;
  if (!NeedOpen(info.Env()) || !ReadInspectQuery(info, 0, &query)) return info.Env().Undefined();
  return Napi::String::New(info.Env(), InspectAnswer(rocks_.get(), query));
}

Napi::Value StoreObject::Checkpoint(const Napi::CallbackInfo& info) {
  std::string dir;
  if (!NeedOpen(info.Env()) || !ReadDirectory(info, 0, &dir)) return info.Env().Undefined();
  return Napi::String::New(info.Env(), CheckpointAnswer(rocks_.get(), dir));
}

Napi::Value StoreObject::Close(const Napi::CallbackInfo& info) {
  rocks_.reset();
  return info.Env().Undefined();
}

}  // namespace everyonce
