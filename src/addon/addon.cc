#include <napi.h>

#include "addon/engine_object.h"
#include "addon/store_object.h"

namespace {

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("Engine", everyonce::EngineObject::Define(env));
  exports.Set("Store", everyonce::StoreObject::Define(env));
  return exports;
}

}  // namespace

NODE_API_MODULE(everyonce, Init)
