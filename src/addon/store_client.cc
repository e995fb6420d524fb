#include "addon/store_client.h"

#include <utility>

#include "addon/engine_object.h"
#include "addon/errors.h"
#include "addon/store_operations.h"

namespace everyonce {
namespace {

// { data } | { memory: true, ofProcess? } | { engine }
Status OpenStore(const Napi::Object& source, std::shared_ptr<SharedStore>* store) {
  const Napi::Value data = source.Get("data");
  const Napi::Value engine = source.Get("engine");
  if (data.IsString()) {
    return SharedStore::Open(data.As<Napi::String>().Utf8Value(), source.Get("restored").ToBoolean().Value(), store);
  }
  if (engine.IsObject()) {
    *store = Napi::ObjectWrap<EngineObject>::Unwrap(engine.As<Napi::Object>())->store();
    return *store != nullptr ? Status::Ok() : Status::Error(Code::kClosed, "the server is closed");
  }
  *store = source.Get("ofProcess").ToBoolean().Value() ? SharedStore::OfProcess() : SharedStore::InMemory();
  return Status::Ok();
}

// The values of an answer as one: itself where there is one, an array of several. An error is an object with `code`.
napi_value ValueOf(napi_env env, const StoreAnswer& answer) {
  const auto one = [env](const StoreValue& value) {
    napi_value result = nullptr;
    if (const auto* flag = std::get_if<bool>(&value)) {
      napi_get_boolean(env, *flag, &result);
    } else if (const auto* number = std::get_if<double>(&value)) {
      napi_create_double(env, *number, &result);
    } else if (const auto* integer = std::get_if<uint64_t>(&value)) {
      napi_create_bigint_uint64(env, *integer, &result);
    } else if (const auto* text = std::get_if<std::string>(&value)) {
      napi_create_string_utf8(env, text->data(), text->size(), &result);
    } else {
      napi_get_undefined(env, &result);
    }
    return result;
  };
  if (answer.status.ok() && answer.values.size() == 1) return one(answer.values.front());
  napi_value result = nullptr;
  if (answer.status.ok()) {
    if (napi_create_array_with_length(env, answer.values.size(), &result) != napi_ok) return nullptr;
    for (uint32_t i = 0; i < answer.values.size(); ++i) napi_set_element(env, result, i, one(answer.values[i]));
    return result;
  }
  if (napi_create_object(env, &result) != napi_ok) return nullptr;
  napi_set_named_property(env, result, "code", one(std::string(CodeName(answer.status.code))));
  napi_set_named_property(env, result, "message", one(answer.status.message));
  if (!answer.status.field.empty()) napi_set_named_property(env, result, "field", one(answer.status.field));
  if (!answer.values.empty()) napi_set_named_property(env, result, "about", one(answer.values.front()));
  return result;
}

}  // namespace

Napi::Function StoreClient::Define(Napi::Env env) {
  return DefineClass(env, "StoreClient",
                     {InstanceMethod<&StoreClient::Submit>("submit"), InstanceMethod<&StoreClient::SetTime>("setTime"),
                      InstanceMethod<&StoreClient::Close>("close"), InstanceMethod<&StoreClient::Stats>("stats")});
}

StoreClient::StoreClient(const Napi::CallbackInfo& info) : Napi::ObjectWrap<StoreClient>(info), env_(info.Env()) {
  const Napi::Env env = info.Env();
  if (!info[0].IsObject() || !info[1].IsFunction()) {
    Throw(env, "BAD_OPTION", "new StoreClient needs a store and a function to call", "store");
    return;
  }
  auto channel = std::make_shared<Channel>();
  std::shared_ptr<SharedStore> store;
  const Status status = OpenStore(info[0].As<Napi::Object>(), &store);
  if (!status.ok()) {
    Throw(env, status);
    return;
  }
  if (napi_create_threadsafe_function(env, info[1], nullptr, Napi::String::New(env, "everyonce store"), 0, 1, nullptr,
                                      nullptr, this, &OnWake, &channel->function) != napi_ok) {
    Throw(env, "CLOSED", "the environment is ending");
    return;
  }
  napi_unref_threadsafe_function(env, channel->function);
  channel_ = std::move(channel);
  store_ = std::move(store);
  napi_add_env_cleanup_hook(env, &OnCleanup, this);
}

StoreClient::~StoreClient() {
  if (channel_ != nullptr) End();
}

// Store thread. One call per wake, however many groups have been answered by the time it runs.
void StoreClient::Channel::Take(std::vector<StoreResult> results) {
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  if (results_.empty()) {
    results_ = std::move(results);
  } else {
    for (StoreResult& result : results) results_.push_back(std::move(result));
  }
  if (woken_) return;
  woken_ = napi_call_threadsafe_function(function, nullptr, napi_tsfn_nonblocking) == napi_ok;
}

std::vector<StoreResult> StoreClient::Channel::Empty() {
  const std::lock_guard lock(mutex_);
  woken_ = false;
  return std::exchange(results_, {});
}

// From here on the function is not touched by the store's thread any more.
void StoreClient::Channel::Close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  results_.clear();
}

void StoreClient::OnWake(napi_env env, napi_value on_answers, void* context, void*) {
  if (env == nullptr || on_answers == nullptr) return;
  static_cast<StoreClient*>(context)->GiveOut(env, on_answers);
}

// One call into JavaScript: a flat array of (id, answer), in the order of the requests.
void StoreClient::GiveOut(napi_env env, napi_value on_answers) {
  if (channel_ == nullptr) return;
  const std::vector<StoreResult> results = channel_->Empty();
  if (results.empty()) return;
  napi_handle_scope scope = nullptr;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  napi_value answers = nullptr;
  napi_value receiver = nullptr;
  bool made = napi_create_array_with_length(env, results.size() * 2, &answers) == napi_ok;
  for (uint32_t i = 0; made && i < results.size(); ++i) {
    napi_value id = nullptr;
    const napi_value answer = ValueOf(env, results[i].answer);
    made = answer != nullptr && napi_create_uint32(env, results[i].id, &id) == napi_ok &&
           napi_set_element(env, answers, 2 * i, id) == napi_ok &&
           napi_set_element(env, answers, 2 * i + 1, answer) == napi_ok;
  }
  pending_ -= results.size();
  if (pending_ == 0) {
    napi_unref_threadsafe_function(env, channel_->function);
    Unref();
  }
  napi_get_undefined(env, &receiver);
  if (made) napi_call_function(env, receiver, on_answers, 1, &answers, nullptr);
  napi_close_handle_scope(env, scope);
}

// (id, operation, …arguments) → true: an answer will come; false: the queue is full.
Napi::Value StoreClient::Submit(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (store_ == nullptr) {
    Throw(env, "CLOSED", "the store is closed");
    return env.Undefined();
  }
  StoreRequest request;
  if (!ReadOperation(info, &request)) return env.Undefined();
  request.sink = channel_;
  if (!store_->thread().Submit(std::move(request))) return Napi::Boolean::New(env, false);
  if (pending_++ == 0) {
    napi_ref_threadsafe_function(env, channel_->function);
    Ref();
  }
  return Napi::Boolean::New(env, true);
}

Napi::Value StoreClient::SetTime(const Napi::CallbackInfo& info) {
  if (store_ == nullptr || !store_->in_memory() || !info[0].IsNumber()) {
    Throw(info.Env(), "BAD_OPTION", "the time can be set of a store in memory only", "now");
    return info.Env().Undefined();
  }
  store_->thread().SetTime(info[0].As<Napi::Number>().Int64Value());
  return info.Env().Undefined();
}

// REQUIRES: no answer is on its way (lib waits for them).
Napi::Value StoreClient::Close(const Napi::CallbackInfo& info) {
  if (channel_ != nullptr && pending_ == 0) End();
  return info.Env().Undefined();
}

void StoreClient::OnCleanup(void* data) { static_cast<StoreClient*>(data)->End(); }

void StoreClient::End() {
  napi_remove_env_cleanup_hook(env_, &OnCleanup, this);
  channel_->Close();
  napi_release_threadsafe_function(channel_->function, napi_tsfn_abort);
  channel_.reset();
  store_.reset();
}

Napi::Value StoreClient::Stats(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (store_ == nullptr) {
    Throw(env, "CLOSED", "the store is closed");
    return env.Undefined();
  }
  const StoreCounters counters = store_->thread().counters();
  auto stats = Napi::Object::New(env);
  const auto set = [&](const char* name, uint64_t value) {
    stats.Set(name, Napi::Number::New(env, static_cast<double>(value)));
  };
  set("operations", counters.operations);
  set("groups", counters.groups);
  set("failures", counters.failures);
  set("refused", counters.refused);
  set("expired", counters.expired);
  set("queued", counters.queued);
  set("filterLookups", counters.filter.lookups);
  set("filterSaved", counters.filter.saved);
  set("filterFalsePositives", counters.filter.false_positives);
  set("filterBytes", counters.filter.bytes);
  stats.Set("filterWarm", Napi::Boolean::New(env, counters.filter.warm));
  stats.Set("durable", Napi::Boolean::New(env, !store_->in_memory()));
  return stats;
}

}  // namespace everyonce
