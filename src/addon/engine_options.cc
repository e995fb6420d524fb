#include "addon/engine_options.h"

#include <cmath>

#include "addon/errors.h"
#include "tls/openssl_tls.h"

namespace everyonce {
namespace {

bool ReadInteger(const Napi::Object& object, const char* field, double min, double max, double* value) {
  const Napi::Value given = object.Get(field);
  const double number = given.IsNumber() ? given.As<Napi::Number>().DoubleValue() : std::nan("");
  if (!(number >= min && number <= max) || number != std::floor(number)) {
    Throw(object.Env(), "BAD_OPTION", "\"" + std::string(field) + "\" is out of range", field);
    return false;
  }
  *value = number;
  return true;
}

bool ReadLimits(const Napi::Object& object, EngineOptions* engine) {
  double frame = 0;
  double body = 0;
  double window = 0;
  double page = 0;
  double rate = 0;
  if (!ReadInteger(object, "frame", 1, 1 << 30, &frame) || !ReadInteger(object, "body", 1, 1 << 30, &body) ||
      !ReadInteger(object, "window", 1, 1 << 20, &window) || !ReadInteger(object, "page", 1, 1 << 20, &page) ||
      !ReadInteger(object, "rate", 0, 1e9, &rate)) {
    return false;
  }
  // The protocol's own 5 s where it is left out.
  double package_timeout_ms = static_cast<double>(engine->package_timeout_ms);
  if (!object.Get("packageTimeout").IsUndefined() &&
      !ReadInteger(object, "packageTimeout", 1, 1 << 30, &package_timeout_ms)) {
    return false;
  }
  engine->package_timeout_ms = static_cast<int64_t>(package_timeout_ms);
  double user_rate = 0;
  double address_rate = 0;
  if (!object.Get("userRate").IsUndefined() && !ReadInteger(object, "userRate", 0, 1e9, &user_rate)) return false;
  if (!object.Get("addressRate").IsUndefined() && !ReadInteger(object, "addressRate", 0, 1e9, &address_rate)) {
    return false;
  }
  Limits* limits = &engine->limits;
  limits->frame_bytes = static_cast<size_t>(frame);
  limits->body_bytes = static_cast<size_t>(body);
  limits->window = static_cast<uint32_t>(window);
  limits->page = static_cast<uint32_t>(page);
  limits->rate = static_cast<uint32_t>(rate);
  limits->user_rate = static_cast<uint32_t>(user_rate);
  limits->address_rate = static_cast<uint32_t>(address_rate);
  return true;
}

// `tokens` ("accepted" or "required"; anything else: none), `tokenTtlMs`, `tokenKey`.
bool ReadTokens(const Napi::Object& object, AddonOptions* options) {
  const Napi::Value mode = object.Get("tokens");
  const std::string name = mode.IsString() ? mode.As<Napi::String>().Utf8Value() : "";
  if (name != "accepted" && name != "required") return true;
  options->engine.tokens = name == "required" ? TokenCheck::kRequired : TokenCheck::kIfToken;
  double ttl_ms = 0;
  if (!ReadInteger(object, "tokenTtlMs", 1, 1e12, &ttl_ms)) return false;
  options->token_ttl_ms = static_cast<int64_t>(ttl_ms);
  if (object.Get("tokenKey").IsString()) options->token_key = object.Get("tokenKey").As<Napi::String>().Utf8Value();
  if (!options->token_key.empty() && options->token_key.size() < kMinTokenKeyBytes) {
    Throw(object.Env(), "BAD_OPTION", "\"tokenKey\" must have at least 32 bytes", "tokenKey");
    return false;
  }
  return true;
}

// `retention`, left out: nothing is ever removed. Each rule: 0 where it is not wanted.
bool ReadRetention(const Napi::Value& value, RetentionOptions* retention) {
  if (value.IsUndefined() || value.IsNull()) return true;
  if (!value.IsObject()) {
    Throw(value.Env(), "BAD_OPTION", "\"retention\" must be an object", "retention");
    return false;
  }
  const auto object = value.As<Napi::Object>();
  double max_age_ms = 0;
  double messages = 0;
  double every_ms = 0;
  if (!ReadInteger(object, "maxAgeMs", 0, static_cast<double>(kMaxInteger), &max_age_ms) ||
      !ReadInteger(object, "messages", 0, static_cast<double>(kMaxInteger), &messages) ||
      !ReadInteger(object, "everyMs", 1, 1e12, &every_ms)) {
    return false;
  }
  retention->max_age_ms = static_cast<int64_t>(max_age_ms);
  retention->messages = static_cast<uint64_t>(messages);
  retention->every_ms = static_cast<int64_t>(every_ms);
  retention->until_acked = object.Get("untilAcked").ToBoolean().Value();
  return true;
}

bool ReadReplicas(const Napi::Object& object, AddonOptions* options) {
  double replicas = 0;
  double timeout_ms = 0;
  if (!ReadInteger(object, "replicas", 0, 1000, &replicas) ||
      !ReadInteger(object, "replicaTimeoutMs", 1, 600000, &timeout_ms)) {
    return false;
  }
  options->redis_replicas = static_cast<uint32_t>(replicas);
  options->redis_replica_timeout_ms = static_cast<uint32_t>(timeout_ms);
  return true;
}

std::string TextOf(const Napi::Value& value) {
  return value.IsString() ? value.As<Napi::String>().Utf8Value() : std::string();
}

// `tls`, whose shape lib/server/redis-options.js has checked: texts in PEM. What is missing is not trusted, or not
// ours.
bool ReadTls(const Napi::Value& value, AddonOptions* options) {
  TlsOptions tls;
  if (value.IsObject()) {
    const auto object = value.As<Napi::Object>();
    if (object.Get("ca").IsArray()) {
      const auto list = object.Get("ca").As<Napi::Array>();
      for (uint32_t i = 0; i < list.Length(); ++i) tls.ca.push_back(TextOf(list.Get(i)));
    }
    tls.cert = TextOf(object.Get("cert"));
    tls.key = TextOf(object.Get("key"));
    tls.passphrase = TextOf(object.Get("passphrase"));
    tls.servername = TextOf(object.Get("servername"));
    const Napi::Value reject = object.Get("rejectUnauthorized");
    tls.reject_unauthorized = !reject.IsBoolean() || reject.As<Napi::Boolean>().Value();
  }
  TlsOpened opened = OpenTls(tls);
  options->redis_tls = std::move(opened.context);
  options->redis_tls_checked = tls.reject_unauthorized;
  if (opened.status.ok()) return true;
  const std::string field = opened.option.empty() ? "redis" : "redis.tls." + opened.option;
  const std::string message = opened.option.empty() ? opened.status.message : field + ": " + opened.status.message;
  Throw(value.Env(), std::string(RedisCodeName(opened.status.code)), message, field);
  return false;
}

}  // namespace

bool ReadRedisOptions(const Napi::Object& object, AddonOptions* options) {
  const Napi::Env env = object.Env();
  const Napi::Value nodes = object.Get("nodes");
  if (!nodes.IsArray() || nodes.As<Napi::Array>().Length() == 0) {
    Throw(env, "BAD_OPTION", "\"redis.nodes\" must be an array of URLs", "redis");
    return false;
  }
  const auto list = nodes.As<Napi::Array>();
  for (uint32_t i = 0; i < list.Length(); ++i) {
    const Napi::Value url = list.Get(i);
    RedisAddress address;
    const RedisStatus status = ParseRedisUrl(url.IsString() ? url.As<Napi::String>().Utf8Value() : "", &address);
    if (!status.ok()) {
      Throw(env, std::string(RedisCodeName(status.code)), status.message, "redis");
      return false;
    }
    if (!options->redis.empty() && options->redis[0].tls != address.tls) {
      Throw(env, "BAD_OPTION", "redis.nodes: rediss:// is for all of them, or for none", "redis.nodes");
      return false;
    }
    options->redis.push_back(std::move(address));
  }
  if (options->redis[0].tls && !ReadTls(object.Get("tls"), options)) return false;
  if (object.Get("cluster").IsBoolean()) options->redis_cluster = object.Get("cluster").As<Napi::Boolean>().Value();
  return true;
}

bool ReadOptions(const Napi::Value& value, AddonOptions* options) {
  const Napi::Env env = value.Env();
  if (!value.IsObject()) {
    Throw(env, "BAD_OPTION", "new Engine needs an options object", "options");
    return false;
  }
  const auto object = value.As<Napi::Object>();
  const Napi::Value data = object.Get("data");
  options->in_memory = data.IsNull() || data.IsUndefined();
  if (!options->in_memory) {
    if (!data.IsString()) {
      Throw(env, "BAD_OPTION", "\"data\" must be a directory's path or null", "data");
      return false;
    }
    options->data = data.As<Napi::String>().Utf8Value();
  }
  if (object.Get("redis").IsObject()) {
    const auto redis = object.Get("redis").As<Napi::Object>();
    if (!ReadRedisOptions(redis, options) || !ReadReplicas(redis, options)) return false;
  }
  options->fsync = !object.Get("fsync").IsBoolean() || object.Get("fsync").As<Napi::Boolean>().Value();
  const Napi::Value archive = object.Get("archive");
  options->engine.archive = archive.ToBoolean().Value();
  if (archive.IsString()) options->engine.archive_group = archive.As<Napi::String>().Utf8Value();
  options->engine.authorize = object.Get("authorize").ToBoolean().Value();
  options->restored = object.Get("restored").ToBoolean().Value();
  if (object.Get("node").IsString()) options->engine.node = object.Get("node").As<Napi::String>().Utf8Value();
  double window_ms = 0;
  if (!ReadInteger(object, "dedupWindowMs", 0, static_cast<double>(kMaxInteger), &window_ms)) return false;
  options->dedup_window_ms = static_cast<int64_t>(window_ms);
  if (!ReadTokens(object, options)) return false;
  if (!ReadRetention(object.Get("retention"), &options->retention)) return false;
  const Napi::Value limits = object.Get("limits");
  if (!limits.IsObject()) {
    Throw(env, "BAD_OPTION", "\"limits\" must be an object", "limits");
    return false;
  }
  if (!ReadLimits(limits.As<Napi::Object>(), &options->engine)) return false;
  const Napi::Value events = object.Get("events");
  options->engine.message_events = events.IsObject() && events.As<Napi::Object>().Get("message").ToBoolean().Value();
  return true;
}

}  // namespace everyonce
