#include "native/shared_store_object.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace everyonce::simulation {
namespace {

double Number(const Napi::Object& object, const char* field, double otherwise) {
  const Napi::Value value = object.Get(field);
  return value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : otherwise;
}

// new SharedStore({ seed, replicated })
class SharedStoreObject : public Napi::ObjectWrap<SharedStoreObject> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(
        env, "SharedStore",
        {InstanceMethod<&SharedStoreObject::Advance>("advance"),
         InstanceMethod<&SharedStoreObject::Deadline>("deadline"), InstanceMethod<&SharedStoreObject::Faults>("faults"),
         InstanceMethod<&SharedStoreObject::Failover>("failover"), InstanceMethod<&SharedStoreObject::Freeze>("freeze"),
         InstanceMethod<&SharedStoreObject::Cut>("cut"), InstanceMethod<&SharedStoreObject::WouldLose>("wouldLose"),
         InstanceMethod<&SharedStoreObject::Head>("head"), InstanceMethod<&SharedStoreObject::Stats>("stats")});
  }
  explicit SharedStoreObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<SharedStoreObject>(info) {
    const auto options = info[0].As<Napi::Object>();
    store = std::make_shared<SharedStore>(static_cast<uint64_t>(Number(options, "seed", 1)),
                                          options.Get("replicated").ToBoolean().Value());
  }

  std::shared_ptr<SharedStore> store;

 private:
  static double At(const Napi::CallbackInfo& info, size_t at) { return info[at].As<Napi::Number>().DoubleValue(); }

  // advance(ms) → the processes that have something to do by it
  Napi::Value Advance(const Napi::CallbackInfo& info) {
    store->Advance(At(info, 0));
    const std::set<uint32_t> woken = store->TakeWoken();
    auto processes = Napi::Array::New(info.Env(), woken.size());
    uint32_t next = 0;
    for (const uint32_t process : woken) processes.Set(next++, Napi::Number::New(info.Env(), process));
    return processes;
  }
  Napi::Value Deadline(const Napi::CallbackInfo& info) {
    const double deadline_ms = store->deadline_ms();
    return Napi::Number::New(info.Env(), deadline_ms > 1e15 ? std::numeric_limits<double>::infinity() : deadline_ms);
  }
  // faults({ latencyMs, slow, timeOut, bellLost, bellRepeated, bellSlow, replicationMs })
  Napi::Value Faults(const Napi::CallbackInfo& info) {
    const auto given = info[0].As<Napi::Object>();
    StoreFaults& faults = store->faults;
    faults.latency_ms = Number(given, "latencyMs", faults.latency_ms);
    faults.slow = Number(given, "slow", faults.slow);
    faults.time_out = Number(given, "timeOut", faults.time_out);
    faults.bell_lost = Number(given, "bellLost", faults.bell_lost);
    faults.bell_repeated = Number(given, "bellRepeated", faults.bell_repeated);
    faults.bell_slow = Number(given, "bellSlow", faults.bell_slow);
    faults.replication_ms = Number(given, "replicationMs", faults.replication_ms);
    return info.Env().Undefined();
  }
  // failover(lossless, downMs, wallMs)
  Napi::Value Failover(const Napi::CallbackInfo& info) {
    store->Failover(info[0].ToBoolean().Value(), At(info, 1), static_cast<int64_t>(At(info, 2)));
    return info.Env().Undefined();
  }
  Napi::Value Freeze(const Napi::CallbackInfo& info) {
    store->FreezeReplica(At(info, 0));
    return info.Env().Undefined();
  }
  // cut(process, cut)
  Napi::Value Cut(const Napi::CallbackInfo& info) {
    store->Cut(info[0].As<Napi::Number>().Uint32Value(), info[1].ToBoolean().Value());
    return info.Env().Undefined();
  }
  // wouldLose(convs) → messages of one of them at most
  Napi::Value WouldLose(const Napi::CallbackInfo& info) {
    const auto names = info[0].As<Napi::Array>();
    std::vector<std::string> convs;
    for (uint32_t i = 0; i < names.Length(); ++i) convs.push_back(names.Get(i).As<Napi::String>().Utf8Value());
    return Napi::Number::New(info.Env(), static_cast<double>(store->WouldLose(convs)));
  }
  // head(conv) → [epoch, seq]
  Napi::Value Head(const Napi::CallbackInfo& info) {
    const Relay::Head head = store->HeadOf(info[0].As<Napi::String>().Utf8Value());
    auto pair = Napi::Array::New(info.Env(), 2);
    pair.Set(uint32_t{0}, Napi::Number::New(info.Env(), static_cast<double>(head.epoch)));
    pair.Set(uint32_t{1}, Napi::Number::New(info.Env(), static_cast<double>(head.seq)));
    return pair;
  }
  Napi::Value Stats(const Napi::CallbackInfo& info) {
    auto stats = Napi::Object::New(info.Env());
    const StoreCounters& counters = store->counters;
    const auto set = [&](const char* name, uint64_t value) { stats.Set(name, static_cast<double>(value)); };
    set("failover", counters.failovers);
    set("tail lost", counters.tails_lost);
    set("store timed out", counters.timed_out);
    set("done unheard", counters.done_unheard);
    set("done late", counters.done_late);
    set("not replicated", counters.not_replicated);
    set("bell lost", counters.bells_lost);
    set("bell repeated", counters.bells_repeated);
    set("bell late", counters.bells_slow);
    return stats;
  }
};

}  // namespace

void DefineSharedStore(Napi::Env env, Napi::Object exports) {
  exports.Set("SharedStore", SharedStoreObject::Define(env));
}

std::shared_ptr<SharedStore> SharedStoreOf(const Napi::Object& object) {
  return SharedStoreObject::Unwrap(object)->store;
}

}  // namespace everyonce::simulation
