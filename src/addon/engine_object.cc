#include "addon/engine_object.h"

#include <chrono>
#include <cstring>
#include <random>
#include <utility>

#include "addon/engine_options.h"
#include "addon/errors.h"
#include "addon/feed_calls.h"
#include "addon/store_calls.h"
#include "log/embedded_log.h"
#include "redis/redis_log.h"

namespace everyonce {
namespace {

// `kv` is the log's, for tasks on its thread.
Status OpenLog(const AddonOptions& options, std::unique_ptr<Log>* log, Kv** kv, std::weak_ptr<SharedStore>* store) {
  std::shared_ptr<SharedStore> opened = options.in_memory ? SharedStore::InMemory() : nullptr;
  Status status = options.in_memory ? Status::Ok() : SharedStore::Open(options.data, options.restored, &opened);
  if (!status.ok()) return status;
  std::unique_ptr<Kv> handle;
  status = opened->OpenForLog(options.fsync, &handle);
  if (!status.ok()) return status;
  *kv = handle.get();
  *store = opened;
  EmbeddedLogOptions log_options;
  log_options.new_epochs = options.in_memory && options.restored;
  log_options.window_ms = options.dedup_window_ms;
  log_options.tokens = options.engine.tokens != TokenCheck::kNone;
  log_options.token_key = options.token_key;
  log_options.token_ttl_ms = options.token_ttl_ms;
  log_options.retention = options.retention;
  log_options.retention.clock_us = [] {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return int64_t{std::chrono::duration_cast<std::chrono::microseconds>(now).count()};
  };
  log_options.now_ms = EngineThread::Now().wall_ms;
  log_options.random = [source = std::make_shared<std::random_device>()] {
    return uint64_t{(*source)()} << 32 | (*source)();
  };
  *log = OpenEmbeddedLog(std::move(handle), std::move(log_options), &status);
  return status;
}

// What of the server's own settings makes less true than an ack says.
std::vector<std::string> WarningsOf(const AddonOptions& options, const ServerInfo& info, Safe safe) {
  std::vector<std::string> warnings;
  if (info.maxmemory_policy != "noeviction" && !info.maxmemory_policy.empty()) {
    warnings.push_back("Redis evicts keys when its memory is full (maxmemory-policy " + info.maxmemory_policy +
                       "): acked messages get lost. Set it to noeviction");
  }
  if (!info.aof && safe != Safe::kReplicated) {
    warnings.emplace_back("Redis keeps no append-only file: a restart loses what was acked. Set appendonly yes");
  }
  if (!options.redis_tls_checked) {
    warnings.emplace_back(
        "the certificates of Redis are not asked for (tls.rejectUnauthorized false): who sits between "
        "reads and changes what is sent. Set tls.ca");
  }
  if (info.replicas < options.redis_replicas) {
    warnings.push_back("Redis has " + std::to_string(info.replicas) + " replicas, and " +
                       std::to_string(options.redis_replicas) +
                       " are wanted before an ack: nothing is acked until then");
  }
  return warnings;
}

// The log on the engine's own loop, which is run here until the log is open: every step of that has a deadline.
RedisStatus OpenRedisLog(const AddonOptions& options, uv_loop_t* loop, std::unique_ptr<Log>* log,
                         std::vector<std::string>* warnings) {
  const auto random = [source = std::make_shared<std::random_device>()] {
    return uint64_t{(*source)()} << 32 | (*source)();
  };
  RedisClientOptions client;
  client.seeds = options.redis;
  client.cluster = options.redis_cluster;
  client.tls = options.redis_tls;
  client.client_name = "everyonce-" + options.engine.node;
  client.random = random;
  RedisLogOptions log_options;
  log_options.window_ms = options.dedup_window_ms;
  log_options.random = random;
  log_options.owner = options.engine.node + "-" + std::to_string(random());
  log_options.replicas = options.redis_replicas;
  log_options.replica_timeout_ms = options.redis_replica_timeout_ms;
  log_options.tokens = options.engine.tokens != TokenCheck::kNone;
  log_options.token_key = options.token_key;
  log_options.token_ttl_ms = options.token_ttl_ms;
  log_options.retention.max_age_ms = options.retention.max_age_ms;
  log_options.retention.messages = options.retention.messages;
  log_options.retention.until_acked = options.retention.until_acked;
  log_options.retention.every_ms = options.retention.every_ms;
  auto redis = std::make_unique<RedisLog>(loop, std::move(client), std::move(log_options));
  bool opened = false;
  RedisStatus status;
  redis->Open([&](RedisStatus told, const ServerInfo& info) {
    opened = true;
    status = std::move(told);
    *warnings = WarningsOf(options, info, redis->safe());
  });
  while (!opened) uv_run(loop, UV_RUN_ONCE);
  if (status.ok()) *log = std::move(redis);
  return status;
}

}  // namespace

Napi::Function EngineObject::Define(Napi::Env env) {
  return DefineClass(
      env, "Engine",
      {InstanceMethod<&EngineObject::Open>("open"), InstanceMethod<&EngineObject::Submit>("submit"),
       InstanceMethod<&EngineObject::Accept>("accept"), InstanceMethod<&EngineObject::Close>("close"),
       InstanceMethod<&EngineObject::Lagging>("lagging"), InstanceMethod<&EngineObject::Request>("request"),
       InstanceMethod<&EngineObject::Authorized>("authorized"), InstanceMethod<&EngineObject::Drain>("drain"),
       InstanceMethod<&EngineObject::SetEvents>("setEvents"), InstanceMethod<&EngineObject::Inspect>("inspect"),
       InstanceMethod<&EngineObject::Checkpoint>("checkpoint"), InstanceMethod<&EngineObject::Feed>("feed"),
       InstanceMethod<&EngineObject::Archived>("archived"), InstanceMethod<&EngineObject::Stop>("stop"),
       InstanceMethod<&EngineObject::Warnings>("warnings"), InstanceMethod<&EngineObject::Stats>("stats")});
}

EngineObject::EngineObject(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<EngineObject>(info), env_(info.Env()), waker_(std::make_shared<Waker>()) {
  AddonOptions options;
  if (!ReadOptions(info[0], &options)) return;
  if (!info[1].IsFunction()) {
    Throw(env_, "BAD_OPTION", "new Engine needs a function to call", "onBatch");
    return;
  }
  std::unique_ptr<Log> log;
  auto thread = std::make_unique<EngineThread>([waker = waker_] { Wake(waker.get()); });
  if (!options.redis.empty()) {
    const RedisStatus status = OpenRedisLog(options, thread->loop(), &log, &warnings_);
    if (!status.ok()) {
      Throw(env_, std::string(RedisCodeName(status.code)), status.message, "redis");
      return;
    }
  } else {
    const Status status = OpenLog(options, &log, &kv_, &store_);
    if (!status.ok()) {
      Throw(env_, status);
      return;
    }
  }
  durable_ = log->safe() != Safe::kMemory;
  const napi_status created =
      napi_create_threadsafe_function(env_, info[1], nullptr, Napi::String::New(env_, "everyonce"), 0, 1, nullptr,
                                      nullptr, this, &OnWake, &waker_->function);
  if (created != napi_ok) {
    Throw(env_, "CLOSED", "the environment is ending");
    log.reset();  // before the loop that it lives on
    return;
  }
  node_ = options.engine.node;
  thread->Start(std::move(log), std::move(options.engine));
  thread_ = std::move(thread);
  napi_add_env_cleanup_hook(env_, &OnCleanup, this);
  Ref();
}

EngineObject::~EngineObject() = default;

// Engine thread. One call per wake, however many batches wait by the time it runs.
void EngineObject::Wake(Waker* waker) {
  if (waker->closed.load(std::memory_order_acquire)) return;
  if (waker->pending.exchange(true, std::memory_order_acq_rel)) return;
  if (napi_call_threadsafe_function(waker->function, nullptr, napi_tsfn_nonblocking) != napi_ok) {
    waker->closed.store(true, std::memory_order_release);
  }
}

void EngineObject::OnWake(napi_env env, napi_value on_batch, void* context, void*) {
  if (env == nullptr || on_batch == nullptr) return;
  auto* self = static_cast<EngineObject*>(context);
  self->waker_->pending.store(false, std::memory_order_release);
  self->GiveOut(Napi::Env(env), Napi::Function(env, on_batch));
}

// One call into JavaScript for all batches that wait.
void EngineObject::GiveOut(Napi::Env env, Napi::Function on_batch) {
  if (thread_ == nullptr) return;
  std::vector<OutputBatch> batches;
  OutputBatch next;
  size_t taken_bytes = 0;
  while (taken_bytes <= kMaxBytesPerCall && thread_->PopOutput(&next)) {
    taken_bytes += next.bytes.size();
    batches.push_back(std::move(next));
  }
  if (batches.empty()) return;
  if (taken_bytes > kMaxBytesPerCall) Wake(waker_.get());  // the rest in a call of its own
  OutputBatch all = MergeBatches(std::move(batches));
  const bool stopped = all.index[all.index.size() - 4] == static_cast<uint32_t>(OutputKind::kStopped);
  if (stopped) Stopped(env);
  // Where the environment is ending (a worker was terminated) nothing can be made or called: plain Node-API calls,
  // whose failure is a status; node-addon-api's would end the process.
  Napi::HandleScope scope(env);
  napi_value buffer = nullptr;
  napi_value memory = nullptr;
  napi_value index = nullptr;
  void* data = nullptr;
  const size_t index_bytes = all.index.size() * sizeof(uint32_t);
  if (napi_create_arraybuffer(env, index_bytes, &data, &memory) != napi_ok) return;
  std::memcpy(data, all.index.data(), index_bytes);
  if (napi_create_typedarray(env, napi_uint32_array, all.index.size(), memory, 0, &index) != napi_ok) return;
  auto* bytes = new std::string(std::move(all.bytes));
  const auto release = [](napi_env, void*, void* owned) { delete static_cast<std::string*>(owned); };
  if (napi_create_external_buffer(env, bytes->size(), bytes->data(), release, bytes, &buffer) != napi_ok) {
    delete bytes;
    return;
  }
  napi_value arguments[] = {buffer, index};
  napi_value receiver = nullptr;
  napi_get_undefined(env, &receiver);
  // What a callback throws stays pending, and Node reports it as uncaught.
  napi_call_function(env, receiver, on_batch, 2, arguments, nullptr);
}

// The last record is out: the thread has ended, and nothing holds this object any more but JavaScript.
void EngineObject::Stopped(Napi::Env env) {
  last_counters_ = thread_->counters();
  last_log_counters_ = thread_->log_counters();
  last_relay_stats_ = thread_->relay_stats();
  thread_->Join();
  thread_.reset();
  waker_->closed.store(true, std::memory_order_release);
  napi_remove_env_cleanup_hook(env, &OnCleanup, this);
  napi_release_threadsafe_function(waker_->function, napi_tsfn_release);
  Unref();
}

void EngineObject::OnCleanup(void* data) {
  auto* self = static_cast<EngineObject*>(data);
  self->waker_->closed.store(true, std::memory_order_release);
  self->thread_.reset();  // decides what was taken in, closes the store, joins
}

bool EngineObject::TakeId(const Napi::CallbackInfo& info, uint32_t* id) {
  const double number = info[0].IsNumber() ? info[0].As<Napi::Number>().DoubleValue() : 0;
  if (!(number >= 1 && number <= UINT32_MAX) || number != static_cast<uint32_t>(number)) {
    Throw(env_, "BAD_OPTION", "an id is an integer from 1 to 4294967295", "id");
    return false;
  }
  *id = static_cast<uint32_t>(number);
  return true;
}

// Control calls after stop() are ignored: the edge may be late.
bool EngineObject::Control(const Napi::CallbackInfo& info, Input input) {
  if (!TakeId(info, &input.id)) return false;
  if (thread_ == nullptr || stopping_) return false;
  thread_->PushControl(std::move(input));
  return true;
}

Napi::Value EngineObject::Open(const Napi::CallbackInfo& info) {
  const std::string address = info[1].IsString() ? info[1].As<Napi::String>().Utf8Value() : "";
  Control(info, {.kind = InputKind::kOpen, .user = address});
  return env_.Undefined();
}

Napi::Value EngineObject::Accept(const Napi::CallbackInfo& info) {
  if (!info[1].IsString()) {
    Throw(env_, "BAD_OPTION", "\"user\" must be a string", "user");
    return env_.Undefined();
  }
  Control(info, {.kind = InputKind::kAccept, .user = info[1].As<Napi::String>().Utf8Value()});
  return env_.Undefined();
}

Napi::Value EngineObject::Close(const Napi::CallbackInfo& info) {
  Control(info, {.kind = InputKind::kClose});
  return env_.Undefined();
}

Napi::Value EngineObject::Lagging(const Napi::CallbackInfo& info) {
  Control(info, {.kind = InputKind::kLagging, .flag = info[1].ToBoolean().Value()});
  return env_.Undefined();
}

Napi::Value EngineObject::Request(const Napi::CallbackInfo& info) {
  if (!info[1].IsString() || !info[2].IsBuffer() || !(info[3].IsUndefined() || info[3].IsString())) {
    Throw(env_, "BAD_OPTION", "request needs a user, a packet and perhaps a device, and for whom", "packet");
    return env_.Undefined();
  }
  const auto packet = info[2].As<Napi::Buffer<char>>();
  const bool taken = Control(info, {.kind = InputKind::kRequest,
                                    .flag = info[4].ToBoolean().Value(),
                                    .user = info[1].As<Napi::String>().Utf8Value(),
                                    .device = info[3].IsString() ? info[3].As<Napi::String>().Utf8Value() : "",
                                    .bytes = std::string(packet.Data(), packet.Length())});
  return Napi::Boolean::New(env_, taken);
}

Napi::Value EngineObject::Authorized(const Napi::CallbackInfo& info) {
  Control(info, {.kind = InputKind::kAuthorized, .flag = info[1].ToBoolean().Value()});
  return env_.Undefined();
}

Napi::Value EngineObject::Drain(const Napi::CallbackInfo& info) {
  if (thread_ == nullptr || stopping_) return env_.Undefined();
  const int64_t after_ms = info[0].IsNumber() ? info[0].As<Napi::Number>().Int64Value() : 0;
  thread_->PushControl({.kind = InputKind::kDrain, .after_ms = after_ms});
  return env_.Undefined();
}

Napi::Value EngineObject::SetEvents(const Napi::CallbackInfo& info) {
  if (thread_ == nullptr || stopping_) return env_.Undefined();
  thread_->PushControl({.kind = InputKind::kMessageEvents, .flag = info[0].ToBoolean().Value()});
  return env_.Undefined();
}

Napi::Value EngineObject::Inspect(const Napi::CallbackInfo& info) {
  InspectQuery query;
  if (!ReadInspectQuery(info, 1, &query)) return env_.Undefined();
  auto task = [kv = kv_, query = std::move(query)] { return InspectAnswer(kv, query); };
  const bool taken = Control(info, {.kind = InputKind::kTask, .task = std::move(task)});
  return Napi::Boolean::New(env_, taken);
}

Napi::Value EngineObject::Checkpoint(const Napi::CallbackInfo& info) {
  std::string dir;
  if (!ReadDirectory(info, 1, &dir)) return env_.Undefined();
  auto task = [weak = store_, dir = std::move(dir)] { return CheckpointAnswer(weak.lock(), dir); };
  const bool taken = Control(info, {.kind = InputKind::kTask, .task = std::move(task)});
  return Napi::Boolean::New(env_, taken);
}

Napi::Value EngineObject::Archived(const Napi::CallbackInfo& info) {
  std::vector<std::string> texts;
  if (info[1].IsArray()) {
    const auto array = info[1].As<Napi::Array>();
    for (uint32_t i = 0; i < array.Length(); ++i) {
      const Napi::Value text = array.Get(i);
      texts.push_back(text.IsString() ? text.As<Napi::String>().Utf8Value() : std::string());
    }
  }
  Control(info, {.kind = InputKind::kArchived, .flag = info[1].IsArray(), .texts = std::move(texts)});
  return env_.Undefined();
}

Napi::Value EngineObject::Feed(const Napi::CallbackInfo& info) {
  auto call = std::make_unique<FeedCall>();
  if (!ReadFeedCall(info[1], call.get())) return env_.Undefined();
  const bool taken = Control(info, {.kind = InputKind::kFeed, .feed = std::move(call)});
  return Napi::Boolean::New(env_, taken);
}

Napi::Value EngineObject::Stop(const Napi::CallbackInfo&) {
  if (thread_ == nullptr || stopping_) return env_.Undefined();
  stopping_ = true;
  thread_->PushControl({.kind = InputKind::kStop});
  return env_.Undefined();
}

// Copies whole frames out of the caller's buffer: one queue item for all of them.
Napi::Value EngineObject::Submit(const Napi::CallbackInfo& info) {
  if (!info[0].IsBuffer() || !info[1].IsTypedArray() || !info[2].IsNumber()) {
    Throw(env_, "BAD_OPTION", "submit needs a Buffer, a Uint32Array and a count", "index");
    return env_.Undefined();
  }
  const auto bytes = info[0].As<Napi::Buffer<char>>();
  const auto array = info[1].As<Napi::TypedArray>();
  const uint32_t count = info[2].As<Napi::Number>().Uint32Value();
  if (array.TypedArrayType() != napi_uint32_array || array.ElementLength() / 3 < count) {
    Throw(env_, "BAD_OPTION", "\"index\" must hold three numbers a frame", "index");
    return env_.Undefined();
  }
  const auto index = array.As<Napi::Uint32Array>();
  if (thread_ == nullptr || stopping_ || count == 0) return Napi::Number::New(env_, count);
  Input input;
  input.frames.reserve(count);
  size_t total = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t offset = index[3 * i + 1];
    const uint32_t length = index[3 * i + 2];
    if (offset > bytes.Length() || length > bytes.Length() - offset) {
      Throw(env_, "BAD_OPTION", "a frame lies outside the buffer", "index");
      return env_.Undefined();
    }
    total += length;
  }
  input.bytes.reserve(total);
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t length = index[3 * i + 2];
    input.frames.push_back({index[3 * i], static_cast<uint32_t>(input.bytes.size()), length});
    input.bytes.append(bytes.Data() + index[3 * i + 1], length);
  }
  return Napi::Number::New(env_, thread_->TryPushFrames(std::move(input)) ? count : 0);
}

Napi::Value EngineObject::Warnings(const Napi::CallbackInfo&) {
  auto list = Napi::Array::New(env_, warnings_.size());
  for (uint32_t i = 0; i < warnings_.size(); ++i) list.Set(i, Napi::String::New(env_, warnings_[i]));
  return list;
}

Napi::Value EngineObject::Stats(const Napi::CallbackInfo&) {
  const EngineCounters engine = thread_ != nullptr ? thread_->counters() : last_counters_;
  const LogCounters log = thread_ != nullptr ? thread_->log_counters() : last_log_counters_;
  const auto [relay, relaying] = thread_ != nullptr ? thread_->relay_stats() : last_relay_stats_;
  auto stats = Napi::Object::New(env_);
  auto set = [&](const char* name, uint64_t value) {
    stats.Set(name, Napi::Number::New(env_, static_cast<double>(value)));
  };
  set("connections", engine.connections);
  set("welcomed", engine.welcomed);
  set("packets", engine.packets);
  set("groups", engine.groups);
  set("commands", engine.commands);
  set("acks", engine.acks);
  set("duplicates", engine.duplicates);
  set("nacks", engine.nacks);
  set("errors", engine.errors);
  set("pushes", engine.pushes);
  set("heads", engine.heads);
  set("pages", engine.pages);
  set("redeliveries", engine.redeliveries);
  set("replaced", engine.replaced);
  set("unavailable", engine.unavailable);
  set("messages", log.messages);
  set("syncs", log.syncs);
  set("storeFailures", log.failures);
  set("removedMessages", log.removed_messages);
  set("removedBytes", log.removed_bytes);
  set("retentionRuns", log.retention_runs);
  set("retentionFailures", log.retention_failures);
  set("redisRefusals", log.refusals);
  set("retentionAt", static_cast<uint64_t>(log.retention_at_ms));
  set("cachedConversations", log.cached_conversations);
  set("bellsRung", relay.rung);
  set("bellsHeard", relay.heard);
  set("bellsDropped", relay.dropped);
  set("bellsLost", relay.lost);
  set("subscriptions", relay.subscriptions);
  set("resubscriptions", relay.resubscriptions);
  set("bellGaps", relaying.gaps);
  set("catchUps", relaying.catch_ups);
  stats.Set("durable", Napi::Boolean::New(env_, durable_));
  return stats;
}

}  // namespace everyonce
