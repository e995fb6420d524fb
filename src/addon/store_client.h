#pragma once

#include <napi.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "store/shared_store.h"

namespace everyonce {

// One user of a store's primitives, as JavaScript sees it; the contract of its calls is in lib/server/native.js.
// Several per environment and process.
//
// Lifetime: an answer on its way keeps the object and the event loop alive, nothing else does. An environment that ends
// before (a terminated worker) drops what is on its way; the store decides it all the same.
class StoreClient : public Napi::ObjectWrap<StoreClient> {
 public:
  static Napi::Function Define(Napi::Env env);
  explicit StoreClient(const Napi::CallbackInfo& info);
  ~StoreClient() override;

 private:
  // What the store's thread may touch.
  class Channel final : public AnswerSink {
   public:
    void Take(std::vector<StoreResult> results) override;
    std::vector<StoreResult> Empty();
    void Close();

    napi_threadsafe_function function = nullptr;

   private:
    std::mutex mutex_;
    std::vector<StoreResult> results_;
    bool woken_ = false;
    bool closed_ = false;
  };

  Napi::Value Submit(const Napi::CallbackInfo& info);
  Napi::Value SetTime(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);
  Napi::Value Stats(const Napi::CallbackInfo& info);

  static void OnWake(napi_env env, napi_value on_answers, void* context, void* data);
  void GiveOut(napi_env env, napi_value on_answers);
  static void OnCleanup(void* self);
  void End();

  napi_env env_;
  std::shared_ptr<SharedStore> store_;  // null: closed
  std::shared_ptr<Channel> channel_;
  size_t pending_ = 0;
};

}  // namespace everyonce
