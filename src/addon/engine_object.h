#pragma once

#include <napi.h>

#include <memory>

#include "runtime/engine_thread.h"
#include "store/shared_store.h"

namespace everyonce {

// The engine as JavaScript sees it; the contract of its calls is in lib/server/native.js. One EngineThread each,
// several per process, also in worker threads.
//
// Lifetime: the object keeps itself alive from its construction until kStopped has been given out, since the thread
// calls back into it; an environment that ends before (process.exit, a terminated worker) stops and joins the thread by
// a cleanup hook.
class EngineObject : public Napi::ObjectWrap<EngineObject> {
 public:
  static Napi::Function Define(Napi::Env env);
  explicit EngineObject(const Napi::CallbackInfo& info);
  ~EngineObject() override;

  // The store that the engine's log is in; null once it has stopped.
  std::shared_ptr<SharedStore> store() const { return thread_ == nullptr || stopping_ ? nullptr : store_.lock(); }

 private:
  // What the engine thread may touch: only this, and only until the function is released.
  struct Waker {
    napi_threadsafe_function function = nullptr;
    std::atomic<bool> pending{false};  // a call is on its way: one call for many wakes
    std::atomic<bool> closed{false};
  };

  static constexpr size_t kMaxBytesPerCall = 64u << 20;

  Napi::Value Open(const Napi::CallbackInfo& info);
  Napi::Value Submit(const Napi::CallbackInfo& info);
  Napi::Value Accept(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);
  Napi::Value Lagging(const Napi::CallbackInfo& info);
  Napi::Value Request(const Napi::CallbackInfo& info);
  Napi::Value Authorized(const Napi::CallbackInfo& info);
  Napi::Value Drain(const Napi::CallbackInfo& info);
  Napi::Value SetEvents(const Napi::CallbackInfo& info);
  Napi::Value Inspect(const Napi::CallbackInfo& info);
  Napi::Value Checkpoint(const Napi::CallbackInfo& info);
  Napi::Value Archived(const Napi::CallbackInfo& info);
  Napi::Value Feed(const Napi::CallbackInfo& info);
  Napi::Value Stop(const Napi::CallbackInfo& info);
  Napi::Value Warnings(const Napi::CallbackInfo& info);
  Napi::Value Stats(const Napi::CallbackInfo& info);

  bool Control(const Napi::CallbackInfo& info, Input input);
  bool TakeId(const Napi::CallbackInfo& info, uint32_t* id);
  static void Wake(Waker* waker);
  static void OnWake(napi_env env, napi_value on_batch, void* context, void* data);
  void GiveOut(Napi::Env env, Napi::Function on_batch);
  void Stopped(Napi::Env env);
  static void OnCleanup(void* self);

  Napi::Env env_;
  std::shared_ptr<Waker> waker_;
  std::unique_ptr<EngineThread> thread_;
  // The log's, for tasks: used on the engine thread only, while the log is open.
  Kv* kv_ = nullptr;
  std::weak_ptr<SharedStore> store_;  // held by the log
  std::string node_;
  std::vector<std::string> warnings_;
  bool durable_ = false;
  bool stopping_ = false;
  EngineCounters last_counters_;
  LogCounters last_log_counters_;
  EngineThread::RelayStats last_relay_stats_;
};

}  // namespace everyonce
