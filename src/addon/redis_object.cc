#include "addon/redis_object.h"

#include <random>
#include <string>
#include <utility>
#include <vector>

#include "addon/engine_options.h"
#include "addon/errors.h"

namespace everyonce {
namespace {

Napi::Value ToValue(Napi::Env env, const RedisReply& reply) {
  switch (reply.type) {
    case RedisReply::Type::kNil:
      return env.Null();
    case RedisReply::Type::kInteger:
      return Napi::Number::New(env, static_cast<double>(reply.integer));
    case RedisReply::Type::kArray: {
      auto list = Napi::Array::New(env, reply.elements.size());
      for (uint32_t i = 0; i < reply.elements.size(); ++i) list.Set(i, ToValue(env, reply.elements[i]));
      return list;
    }
    default:
      return Napi::String::New(env, reply.text);
  }
}

// Answers a promise from the loop, where no JavaScript is running.
RedisClient::Done Answering(Napi::Env env, std::shared_ptr<bool> ended, Napi::Promise::Deferred deferred) {
  return [env, ended = std::move(ended), deferred](const RedisResult& result) {
    if (*ended) return;
    const Napi::HandleScope scope(env);
    const Napi::CallbackScope callbacks(env, Napi::AsyncContext(env, "everyonce-redis"));
    if (result.status.ok()) return deferred.Resolve(ToValue(env, result.reply));
    Napi::Error error = Napi::Error::New(env, result.status.message);
    error.Set("code", Napi::String::New(env, std::string(RedisCodeName(result.status.code))));
    deferred.Reject(error.Value());
  };
}

bool ReadTexts(const Napi::Value& value, const char* name, std::vector<std::string>* texts) {
  const bool array = value.IsArray();
  const auto list = array ? value.As<Napi::Array>() : Napi::Array();
  for (uint32_t i = 0; array && i < list.Length(); ++i) {
    const Napi::Value text = list.Get(i);
    if (text.IsBuffer()) {
      const auto bytes = text.As<Napi::Buffer<char>>();
      texts->emplace_back(bytes.Data(), bytes.Length());
    } else if (text.IsString()) {
      texts->push_back(text.As<Napi::String>().Utf8Value());
    } else {
      Throw(value.Env(), "BAD_OPTION", std::string("\"") + name + "\" must be an array of strings or Buffers", name);
      return false;
    }
  }
  if (!array) Throw(value.Env(), "BAD_OPTION", std::string("\"") + name + "\" must be an array", name);
  return array;
}

}  // namespace

Napi::Function RedisObject::Define(Napi::Env env) {
  return DefineClass(
      env, "Redis",
      {InstanceMethod<&RedisObject::Command>("command"), InstanceMethod<&RedisObject::Script>("script"),
       InstanceMethod<&RedisObject::Scripts>("scripts"), InstanceMethod<&RedisObject::Describe>("describe"),
       InstanceMethod<&RedisObject::Stats>("stats"), InstanceMethod<&RedisObject::Close>("close")});
}

RedisObject::RedisObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<RedisObject>(info), env_(info.Env()) {
  AddonOptions options;
  if (!info[0].IsObject()) {
    Throw(env_, "BAD_OPTION", "new Redis needs an options object", "options");
    return;
  }
  const auto object = info[0].As<Napi::Object>();
  if (!ReadRedisOptions(object, &options)) return;
  RedisClientOptions client;
  client.seeds = options.redis;
  client.cluster = options.redis_cluster;
  client.tls = options.redis_tls;
  client.random = [source = std::make_shared<std::random_device>()] { return uint64_t{(*source)()}; };
  const double timeout_ms =
      object.Get("timeoutMs").IsNumber() ? object.Get("timeoutMs").As<Napi::Number>().DoubleValue() : client.timeout_ms;
  if (!(timeout_ms >= 1 && timeout_ms <= 600000)) {
    Throw(env_, "BAD_OPTION", "\"timeoutMs\" must be from 1 to 600000", "timeoutMs");
    return;
  }
  client.timeout_ms = static_cast<uint32_t>(timeout_ms);
  if (napi_get_uv_event_loop(env_, &loop_) != napi_ok) {
    Throw(env_, "CLOSED", "the environment is ending");
    return;
  }
  client_ = std::make_unique<RedisClient>(loop_, std::move(client));
  napi_add_env_cleanup_hook(env_, &OnCleanup, this);
  Ref();  // until close: answers are under way
}

RedisObject::~RedisObject() = default;

void RedisObject::End() {
  if (client_ == nullptr || closed_) return;
  closed_ = true;
  napi_remove_env_cleanup_hook(env_, &OnCleanup, this);
  // Rejects what is unanswered. The client itself may be the caller of what called this: it goes with this object.
  client_->Close();
  Unref();
}

void RedisObject::OnCleanup(void* data) {
  auto* self = static_cast<RedisObject*>(data);
  *self->ended_ = true;
  self->closed_ = true;
  self->client_->Close();
  uv_run(self->loop_, UV_RUN_NOWAIT);  // lets the handles go before the loop ends
}

Napi::Value RedisObject::Command(const Napi::CallbackInfo& info) {
  std::vector<std::string> arguments;
  if (!ReadTexts(info[0], "arguments", &arguments)) return env_.Undefined();
  if (arguments.empty() || !(info[1].IsString() || info[1].IsUndefined())) {
    Throw(env_, "BAD_OPTION", "command needs a command, and perhaps its key", "arguments");
    return env_.Undefined();
  }
  auto deferred = Napi::Promise::Deferred::New(env_);
  const uint16_t slot = info[1].IsString() ? SlotOfKey(info[1].As<Napi::String>().Utf8Value()) : 0;
  const bool idempotent = info[2].ToBoolean().Value();
  if (client_ == nullptr) {
    Answering(env_, ended_, deferred)({{RedisCode::kClosed, "the client of Redis is closed"}, {}, 0});
  } else {
    client_->Command(slot, arguments, idempotent, Answering(env_, ended_, deferred));
  }
  return deferred.Promise();
}

Napi::Value RedisObject::Script(const Napi::CallbackInfo& info) {
  std::vector<std::string> keys;
  std::vector<std::string> arguments;
  const LuaScript* script = info[0].IsString() ? FindLuaScript(info[0].As<Napi::String>().Utf8Value()) : nullptr;
  if (script == nullptr) {
    Throw(env_, "BAD_OPTION", "there is no such script in lua/", "script");
    return env_.Undefined();
  }
  if (!ReadTexts(info[1], "keys", &keys) || !ReadTexts(info[2], "arguments", &arguments)) return env_.Undefined();
  auto deferred = Napi::Promise::Deferred::New(env_);
  if (client_ == nullptr) {
    Answering(env_, ended_, deferred)({{RedisCode::kClosed, "the client of Redis is closed"}, {}, 0});
  } else {
    client_->RunScript(*script, keys, arguments, Answering(env_, ended_, deferred));
  }
  return deferred.Promise();
}

Napi::Value RedisObject::Scripts(const Napi::CallbackInfo& info) {
  struct Call {
    std::vector<std::string> keys;
    std::vector<std::string> arguments;
  };
  const LuaScript* script = info[0].IsString() ? FindLuaScript(info[0].As<Napi::String>().Utf8Value()) : nullptr;
  const auto list = info[1].IsArray() ? info[1].As<Napi::Array>() : Napi::Array();
  if (script == nullptr || list.IsEmpty() || list.Length() == 0 || list.Length() % 2 != 0) {
    Throw(env_, "BAD_OPTION", "scripts needs one of lua/, and pairs of keys and arguments", "calls");
    return env_.Undefined();
  }
  std::vector<Call> calls(list.Length() / 2);
  for (uint32_t i = 0; i < calls.size(); ++i) {
    if (!ReadTexts(list.Get(2 * i), "keys", &calls[i].keys)) return env_.Undefined();
    if (!ReadTexts(list.Get(2 * i + 1), "arguments", &calls[i].arguments)) return env_.Undefined();
  }
  auto deferred = Napi::Promise::Deferred::New(env_);
  // All are answered as one, by the last answer; the first failure counts for all.
  struct Gathered {
    size_t left;
    RedisResult all;
  };
  auto gathered = std::make_shared<Gathered>();
  gathered->left = calls.size();
  gathered->all.reply.type = RedisReply::Type::kArray;
  gathered->all.reply.elements.resize(calls.size());
  const auto answer = Answering(env_, ended_, deferred);
  if (client_ == nullptr) answer({{RedisCode::kClosed, "the client of Redis is closed"}, {}, 0});
  for (size_t i = 0; client_ != nullptr && i < calls.size(); ++i) {
    client_->RunScript(*script, calls[i].keys, calls[i].arguments, [gathered, answer, i](const RedisResult& result) {
      if (!result.status.ok() && gathered->all.status.ok()) gathered->all.status = result.status;
      gathered->all.reply.elements[i] = result.reply;
      if (--gathered->left == 0) answer(gathered->all);
    });
  }
  return deferred.Promise();
}

Napi::Value RedisObject::Describe(const Napi::CallbackInfo&) {
  auto deferred = Napi::Promise::Deferred::New(env_);
  const auto done = [env = env_, ended = ended_, deferred](RedisStatus status, const ServerInfo& info) {
    if (*ended) return;
    if (!status.ok()) return Answering(env, ended, deferred)({std::move(status), {}, 0});
    const Napi::HandleScope scope(env);
    const Napi::CallbackScope callbacks(env, Napi::AsyncContext(env, "everyonce-redis"));
    auto told = Napi::Object::New(env);
    told.Set("version", Napi::String::New(env, info.version));
    told.Set("cluster", Napi::Boolean::New(env, info.cluster));
    told.Set("appendOnly", Napi::Boolean::New(env, info.aof));
    told.Set("replicas", Napi::Number::New(env, info.replicas));
    told.Set("maxmemoryPolicy", Napi::String::New(env, info.maxmemory_policy));
    deferred.Resolve(told);
  };
  if (client_ == nullptr) {
    done({RedisCode::kClosed, "the client of Redis is closed"}, {});
  } else {
    client_->Describe(done);
  }
  return deferred.Promise();
}

Napi::Value RedisObject::Stats(const Napi::CallbackInfo&) {
  auto stats = Napi::Object::New(env_);
  const RedisClientCounters counters = client_ == nullptr ? RedisClientCounters() : client_->counters();
  const auto set = [&](const char* name, uint64_t value) {
    stats.Set(name, Napi::Number::New(env_, static_cast<double>(value)));
  };
  set("commands", counters.commands);
  set("redirects", counters.redirects);
  set("retries", counters.retries);
  set("topologies", counters.topologies);
  set("evals", counters.evals);
  return stats;
}

Napi::Value RedisObject::Close(const Napi::CallbackInfo&) {
  End();
  return env_.Undefined();
}

}  // namespace everyonce
