#include "addon/migration_object.h"

#include <random>
#include <string>
#include <utility>

#include "addon/engine_options.h"
#include "addon/errors.h"

namespace everyonce {
namespace {

constexpr uint32_t kCommandTimeoutMs = 30000;

bool ReadNumber(const Napi::Object& object, const char* name, int64_t least, int64_t most, int64_t* number) {
  const Napi::Value value = object.Get(name);
  const double given = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
  if (given >= static_cast<double>(least) && given <= static_cast<double>(most)) {
    *number = static_cast<int64_t>(given);
    return true;
  }
  Throw(object.Env(), "BAD_OPTION", std::string("\"") + name + "\" must be a number in its range", name);
  return false;
}

}  // namespace

Napi::Function MigrationObject::Define(Napi::Env env) {
  return DefineClass(
      env, "Migration",
      {InstanceMethod<&MigrationObject::Run>("run"), InstanceMethod<&MigrationObject::Progress>("progress"),
       InstanceMethod<&MigrationObject::Close>("close")});
}

MigrationObject::MigrationObject(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<MigrationObject>(info), env_(info.Env()) {
  AddonOptions addon;
  if (!info[0].IsObject()) {
    Throw(env_, "BAD_OPTION", "new Migration needs an options object", "options");
    return;
  }
  const auto object = info[0].As<Napi::Object>();
  if (!object.Get("data").IsString()) {
    Throw(env_, "BAD_OPTION", "\"data\" must be a directory", "data");
    return;
  }
  if (!ReadRedisOptions(object, &addon)) return;
  int64_t replicas = 0;
  int64_t replica_timeout_ms = 0;
  MigrationOptions options;
  const bool asks_replicas = !object.Get("replicas").IsUndefined();
  if ((asks_replicas && !ReadNumber(object, "replicas", 0, 10, &replicas)) ||
      !ReadNumber(object, "replicaTimeoutMs", 1, 600000, &replica_timeout_ms) ||
      !ReadNumber(object, "dedupWindowMs", 1000, 31536000000, &options.window_ms)) {
    return;
  }
  if (asks_replicas) options.replicas = static_cast<uint32_t>(replicas);
  options.replica_timeout_ms = static_cast<uint32_t>(replica_timeout_ms);
  options.client.seeds = addon.redis;
  options.client.cluster = addon.redis_cluster;
  options.client.tls = addon.redis_tls;
  options.client.client_name = "everyonce-migrate";
  options.client.timeout_ms = kCommandTimeoutMs;
  options.client.random = [source = std::make_shared<std::random_device>()] { return uint64_t{(*source)()}; };
  if (napi_get_uv_event_loop(env_, &loop_) != napi_ok) {
    Throw(env_, "CLOSED", "the environment is ending");
    return;
  }
  std::unique_ptr<RocksKv> store;
  const Status status = RocksKv::Open({.dir = object.Get("data").As<Napi::String>().Utf8Value()}, &store);
  if (!status.ok()) {
    Throw(env_, status);
    return;
  }
  migration_ = std::make_unique<Migration>(loop_, std::move(store), std::move(options));
  napi_add_env_cleanup_hook(env_, &OnCleanup, this);
  Ref();  // until close: answers are under way
}

void MigrationObject::End() {
  if (migration_ == nullptr || closed_) return;
  closed_ = true;
  napi_remove_env_cleanup_hook(env_, &OnCleanup, this);
  migration_->Close();
  Unref();
}

void MigrationObject::OnCleanup(void* data) {
  auto* self = static_cast<MigrationObject*>(data);
  *self->ended_ = true;
  self->closed_ = true;
  self->migration_->Close();
  uv_run(self->loop_, UV_RUN_NOWAIT);  // lets the handles go before the loop ends
}

Napi::Object MigrationObject::Counts() const {
  auto told = Napi::Object::New(env_);
  const auto set = [&](const char* name, uint64_t count) {
    told.Set(name, Napi::Number::New(env_, static_cast<double>(count)));
  };
  const MigrationCounts& counts = migration_->counts();
  set("conversations", counts.conversations);
  set("messages", counts.messages);
  set("bytes", counts.bytes);
  set("members", counts.members);
  set("senders", counts.senders);
  set("acked", counts.acked);
  set("read", counts.read);
  set("devices", counts.devices);
  set("window", counts.window);
  set("windowOver", counts.window_over);
  set("tokens", counts.tokens);
  set("groups", counts.groups);
  set("letters", counts.letters);
  set("claims", counts.claims);
  set("counters", counts.counters);
  set("workers", counts.workers);
  set("waiting", counts.waiting);
  return told;
}

Napi::Value MigrationObject::Run(const Napi::CallbackInfo&) {
  auto deferred = Napi::Promise::Deferred::New(env_);
  if (migration_ == nullptr || closed_) {
    Throw(env_, "CLOSED", "the migration is closed");
    return env_.Undefined();
  }
  migration_->Run([this, ended = ended_, deferred](const MigrationEnd& end) {
    if (*ended) return;
    const Napi::HandleScope scope(env_);
    const Napi::CallbackScope callbacks(env_, Napi::AsyncContext(env_, "everyonce-migration"));
    if (end.code.empty()) return deferred.Resolve(Counts());
    Napi::Error error = Napi::Error::New(env_, end.message);
    error.Set("code", Napi::String::New(env_, end.code));
    deferred.Reject(error.Value());
  });
  return deferred.Promise();
}

Napi::Value MigrationObject::Progress(const Napi::CallbackInfo&) {
  if (migration_ == nullptr) return env_.Undefined();
  constexpr const char* kSteps[] = {"looking", "writing", "reading", "done"};
  auto told = Napi::Object::New(env_);
  told.Set("step", Napi::String::New(env_, kSteps[static_cast<size_t>(migration_->step())]));
  told.Set("resumed", Napi::Boolean::New(env_, migration_->resumed()));
  told.Set("keys", Napi::Number::New(env_, static_cast<double>(migration_->counts().keys)));
  told.Set("ofKeys", Napi::Number::New(env_, static_cast<double>(migration_->keys_estimate())));
  told.Set("counts", Counts());
  return told;
}

Napi::Value MigrationObject::Close(const Napi::CallbackInfo&) {
  End();
  return env_.Undefined();
}

}  // namespace everyonce
