// The engine and its log on a disk that fails as disks do, stepped by whoever simulates: no thread, no clock, no chance
// of its own. An addon of its own, so that nothing of it is in the one that users install.
#include <napi.h>

#include <cstring>
#include <memory>
#include <string>

#include "engine/engine.h"
#include "log/embedded_log.h"
#include "native/shared_log.h"
#include "native/shared_store_object.h"
#include "support/fault_kv.h"

namespace everyonce {
namespace {

using test::FaultKv;

uint32_t Integer(const Napi::Object& object, const char* field, uint32_t otherwise) {
  const Napi::Value value = object.Get(field);
  return value.IsNumber() ? value.As<Napi::Number>().Uint32Value() : otherwise;
}

// A server process that can be killed and started again on what its disk kept.
//   new Simulation({ seed, frame, body, window, page, rate, packageTimeout, redelivery, authorize, store, process,
//   compare })
// With `store` (a SharedStore), it is process number `process` on that, and has no disk of its own.
// Times are (wall ms, steady ms) as given to each call that looks at them.
class Simulation : public Napi::ObjectWrap<Simulation> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(
        env, "Simulation",
        {InstanceMethod<&Simulation::Start>("start"), InstanceMethod<&Simulation::Crash>("crash"),
         InstanceMethod<&Simulation::Backup>("backup"), InstanceMethod<&Simulation::Restore>("restore"),
         InstanceMethod<&Simulation::Open>("open"), InstanceMethod<&Simulation::Accept>("accept"),
         InstanceMethod<&Simulation::Close>("close"), InstanceMethod<&Simulation::Lagging>("lagging"),
         InstanceMethod<&Simulation::Submit>("submit"), InstanceMethod<&Simulation::Request>("request"),
         InstanceMethod<&Simulation::Authorized>("authorized"), InstanceMethod<&Simulation::Step>("step"),
         InstanceMethod<&Simulation::Deadline>("deadline"), InstanceMethod<&Simulation::FailWrite>("failWrite"),
         InstanceMethod<&Simulation::FailReads>("failReads"), InstanceMethod<&Simulation::Stats>("stats")});
  }

  explicit Simulation(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Simulation>(info) {
    const auto object = info[0].As<Napi::Object>();
    chance_ = simulation::Chance(Integer(object, "seed", 1));
    options_.limits.frame_bytes = Integer(object, "frame", 65536);
    options_.limits.body_bytes = Integer(object, "body", 16384);
    options_.limits.window = Integer(object, "window", 256);
    options_.limits.page = Integer(object, "page", 200);
    options_.limits.rate = Integer(object, "rate", 0);
    options_.package_timeout_ms = Integer(object, "packageTimeout", 5000);
    options_.redelivery_ms = Integer(object, "redelivery", 10'000);
    options_.authorize = object.Get("authorize").ToBoolean().Value();
    options_.relaying.compare_ms = Integer(object, "compare", 15'000);
    process_ = Integer(object, "process", 0);
    options_.node = "node-" + std::to_string(process_);
    if (object.Get("store").IsObject()) store_ = simulation::SharedStoreOf(object.Get("store").As<Napi::Object>());
  }

 private:
  static Time TimeOf(const Napi::CallbackInfo& info, size_t at) {
    return {.wall_ms = info[at].As<Napi::Number>().Int64Value(),
            .steady_ms = info[at + 1].As<Napi::Number>().Int64Value()};
  }
  static uint32_t Id(const Napi::CallbackInfo& info) { return info[0].As<Napi::Number>().Uint32Value(); }

  // start(wall, steady, newEpochs) → whether the store could be opened
  Napi::Value Start(const Napi::CallbackInfo& info) {
    if (store_ != nullptr) {
      log_ = std::make_unique<simulation::SharedLog>(store_.get(), process_);
      log_->OnAnswered([this] { store_->Wake(process_); });
      engine_ = std::make_unique<Engine>(log_.get(), options_);
      return Napi::Boolean::New(info.Env(), true);
    }
    EmbeddedLogOptions log_options;
    log_options.now_ms = TimeOf(info, 0).wall_ms;
    log_options.new_epochs = info[2].ToBoolean().Value();
    log_options.random = [this] { return chance_.Next(); };
    Status status;
    log_ = OpenEmbeddedLog(std::make_unique<FaultKv>(disk_), std::move(log_options), &status);
    if (status.ok()) engine_ = std::make_unique<Engine>(log_.get(), options_);
    return Napi::Boolean::New(info.Env(), status.ok());
  }

  // crash(kept): of what was written and not synced, the first `kept` batches survive.
  Napi::Value Crash(const Napi::CallbackInfo& info) {
    engine_.reset();
    log_.reset();
    disk_->Crash(info[0].As<Napi::Number>().Uint32Value());
    return info.Env().Undefined();
  }

  // A copy of what is durable, and the way back to it. REQUIRES: crashed, for restore.
  Napi::Value Backup(const Napi::CallbackInfo& info) {
    backup_ = std::make_unique<MemoryKv>(disk_->synced);
    return info.Env().Undefined();
  }
  Napi::Value Restore(const Napi::CallbackInfo& info) {
    if (backup_ != nullptr) disk_->synced = *backup_;
    return Napi::Boolean::New(info.Env(), backup_ != nullptr);
  }

  Napi::Value Open(const Napi::CallbackInfo& info) {
    engine_->Open(Id(info));
    return info.Env().Undefined();
  }
  Napi::Value Accept(const Napi::CallbackInfo& info) {
    engine_->Accept(Id(info), info[1].As<Napi::String>().Utf8Value());
    return info.Env().Undefined();
  }
  Napi::Value Close(const Napi::CallbackInfo& info) {
    engine_->Close(Id(info));
    return info.Env().Undefined();
  }
  Napi::Value Lagging(const Napi::CallbackInfo& info) {
    engine_->SetLagging(Id(info), info[1].ToBoolean().Value());
    return info.Env().Undefined();
  }
  Napi::Value Authorized(const Napi::CallbackInfo& info) {
    engine_->Authorized(Id(info), info[1].ToBoolean().Value());
    return info.Env().Undefined();
  }
  // request(id, user, packet, device)
  Napi::Value Request(const Napi::CallbackInfo& info) {
    engine_->Request(Id(info), info[1].As<Napi::String>().Utf8Value(), info[3].As<Napi::String>().Utf8Value(),
                     info[2].As<Napi::String>().Utf8Value());
    return info.Env().Undefined();
  }

  // submit(bytes, index, count, wall, steady): as the addon's
  Napi::Value Submit(const Napi::CallbackInfo& info) {
    const auto bytes = info[0].As<Napi::Buffer<char>>();
    const auto index = info[1].As<Napi::Uint32Array>();
    const uint32_t count = info[2].As<Napi::Number>().Uint32Value();
    for (uint32_t i = 0; i < count; ++i) {
      engine_->Receive(index[3 * i], std::string_view(bytes.Data() + index[3 * i + 1], index[3 * i + 2]),
                       TimeOf(info, 3));
    }
    return Napi::Number::New(info.Env(), count);
  }

  // step(wall, steady) → [bytes, index], all that is owed now
  Napi::Value Step(const Napi::CallbackInfo& info) {
    std::vector<OutputBatch> batches;
    do {
      engine_->Step(TimeOf(info, 0));
      batches.push_back(engine_->TakeOutput());
    } while (engine_->HasWork());
    const OutputBatch all = MergeBatches(std::move(batches));
    auto index = Napi::Uint32Array::New(info.Env(), all.index.size());
    if (!all.index.empty()) std::memcpy(index.Data(), all.index.data(), all.index.size() * sizeof(uint32_t));
    auto answer = Napi::Array::New(info.Env(), 2);
    answer.Set(uint32_t{0}, Napi::Buffer<char>::Copy(info.Env(), all.bytes.data(), all.bytes.size()));
    answer.Set(uint32_t{1}, index);
    return answer;
  }

  // The steady ms at which step() has something to do though nothing came; Infinity: never.
  Napi::Value Deadline(const Napi::CallbackInfo& info) {
    const int64_t deadline_ms = engine_->NextDeadline();
    return Napi::Number::New(info.Env(), deadline_ms == INT64_MAX ? std::numeric_limits<double>::infinity()
                                                                  : static_cast<double>(deadline_ms));
  }

  // failWrite(in, kept, recovers): the in-th write from now on fails, and is on the disk all the same where `kept`; so
  // many attempts to open the store again fail, too.
  Napi::Value FailWrite(const Napi::CallbackInfo& info) {
    disk_->FailWrite(info[0].As<Napi::Number>().Uint32Value(),
                     info[1].ToBoolean().Value() ? FaultKv::Fate::kKept : FaultKv::Fate::kLost);
    disk_->failing_recovers = info[2].As<Napi::Number>().Uint32Value();
    return info.Env().Undefined();
  }
  Napi::Value FailReads(const Napi::CallbackInfo& info) {
    disk_->read_fault = info[0].ToBoolean().Value() ? Code::kUnavailable : Code::kOk;
    return info.Env().Undefined();
  }

  Napi::Value Stats(const Napi::CallbackInfo& info) {
    auto stats = Napi::Object::New(info.Env());
    const EngineCounters& counters = engine_->counters();
    stats.Set("acks", static_cast<double>(counters.acks));
    stats.Set("duplicates", static_cast<double>(counters.duplicates));
    stats.Set("redeliveries", static_cast<double>(counters.redeliveries));
    stats.Set("unavailable", static_cast<double>(counters.unavailable));
    stats.Set("replaced", static_cast<double>(counters.replaced));
    const RelayingCounters relaying = engine_->relaying_counters();
    stats.Set("held", static_cast<double>(relaying.held));
    stats.Set("gaps", static_cast<double>(relaying.gaps));
    stats.Set("catchUps", static_cast<double>(relaying.catch_ups));
    const RelayCounters relay = log_->relay() == nullptr ? RelayCounters() : log_->relay()->counters();
    stats.Set("heard", static_cast<double>(relay.heard));
    stats.Set("missed", static_cast<double>(relay.lost));
    stats.Set("resubscriptions", static_cast<double>(relay.resubscriptions));
    return stats;
  }

  EngineOptions options_;
  simulation::Chance chance_{1};  // the same seed, the same epochs, mids and keys
  std::shared_ptr<simulation::SharedStore> store_;
  uint32_t process_ = 0;
  std::shared_ptr<FaultKv::Disk> disk_ = std::make_shared<FaultKv::Disk>();
  std::unique_ptr<MemoryKv> backup_;
  std::unique_ptr<Log> log_;
  std::unique_ptr<Engine> engine_;
};

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("Simulation", Simulation::Define(env));
  simulation::DefineSharedStore(env, exports);
  return exports;
}

}  // namespace
}  // namespace everyonce

static Napi::Object InitSimulation(Napi::Env env, Napi::Object exports) { return everyonce::Init(env, exports); }
NODE_API_MODULE(everyonce_simulation, InitSimulation)
