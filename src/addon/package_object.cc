#include "addon/package_object.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "addon/errors.h"
#include "addon/keys.h"

namespace everyonce {
namespace {

constexpr char kText[] = "s";           // a part that was a string comes back as one
constexpr size_t kMaxNameBytes = 1024;  // checked above

// A name of at most kMaxNameBytes in one call.
std::string Name(napi_env env, napi_value value) {
  char bytes[kMaxNameBytes + 1];
  size_t length = 0;
  napi_get_value_string_utf8(env, value, bytes, sizeof bytes, &length);
  return {bytes, length};
}

Napi::Array Numbers(Napi::Env env, const std::vector<uint32_t>& numbers) {
  auto array = Napi::Array::New(env, numbers.size());
  for (size_t i = 0; i < numbers.size(); ++i) array.Set(static_cast<uint32_t>(i), numbers[i]);
  return array;
}

}  // namespace

Napi::Function PackageObject::Define(Napi::Env env) {
  using Self = PackageObject;
  return DefineClass(env, "PackageReorder",
                     {InstanceMethod<&Self::Push>("push"), InstanceMethod<&Self::Expire>("expire"),
                      InstanceMethod<&Self::NextDeadline>("nextDeadline"), InstanceMethod<&Self::Stats>("stats"),
                      InstanceMethod<&Self::Close>("close")});
}

// (timeoutMs, retries, maxPackages, maxParts, maxBytes, sourcePackages, sourceBytes, tombstones)
PackageObject::PackageObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<PackageObject>(info), env_(info.Env()) {
  const auto number = [&](size_t i) { return static_cast<size_t>(info[i].ToNumber().Int64Value()); };
  PackageAssemblerOptions options;
  options.timeout_ms = static_cast<int64_t>(number(0));
  options.retries = static_cast<uint32_t>(number(1));
  options.limits.server_packages = number(2);
  options.limits.server_parts = options.limits.user_parts = number(3);
  options.limits.server_bytes = number(4);
  options.limits.user_packages = number(5);
  options.limits.user_bytes = options.limits.package_bytes = number(6);
  options.max_tombstones = number(7);
  packages_ = std::make_unique<PackageAssembler>(options);
}

bool PackageObject::NeedOpen() const {
  if (packages_ == nullptr) Throw(env_, "CLOSED", "the reorder buffer is closed");
  return packages_ != nullptr;
}

// (source, id, index, total, kind, payload, nowMs)
Napi::Value PackageObject::Push(const Napi::CallbackInfo& info) {
  using Verdict = PackageAssembler::Verdict;
  KeyReader reader(env_);
  std::string_view payload;
  if (!NeedOpen() || !reader.Read(info[5], &payload) || !NeedOpen()) return env_.Undefined();
  const std::string source = Name(env_, info[0]);
  const std::string id = Name(env_, info[1]);
  const std::string kind = Name(env_, info[4]);
  PackageAssembler::Outcome outcome =
      packages_->Push(source, id, info[2].As<Napi::Number>().Uint32Value(), info[3].As<Napi::Number>().Uint32Value(),
                      kind, std::string(payload), info[6].As<Napi::Number>().Int64Value());
  const bool has_parts = !outcome.taken.parts.empty();
  if (outcome.verdict == Verdict::kComplete) {
    auto parts = Napi::Array::New(env_, 2 * outcome.taken.parts.size());
    uint32_t at = 0;
    for (const auto& [index, part] : outcome.taken.parts) {
      const Napi::HandleScope scope(env_);
      parts.Set(at++, part.type);
      if (part.type == kText) {
        parts.Set(at++, part.body);
      } else {
        parts.Set(at++, Napi::Buffer<char>::Copy(env_, part.body.data(), part.body.size()));
      }
    }
    return parts;
  }
  if (!has_parts) {
    const int number = static_cast<int>(outcome.verdict) + 16 * static_cast<int>(outcome.reason);
    return Napi::Number::New(env_, number);
  }
  auto over = Napi::Object::New(env_);
  over.Set("reason", static_cast<int>(outcome.reason));
  over.Set("missing", Numbers(env_, PackageAssembler::MissingOf(outcome.taken)));
  return over;
}

Napi::Value PackageObject::Expire(const Napi::CallbackInfo& info) {
  if (!NeedOpen()) return env_.Undefined();
  const auto told = packages_->Expire(info[0].As<Napi::Number>().Int64Value());
  auto list = Napi::Array::New(env_, told.size());
  uint32_t at = 0;
  for (const PackageAssembler::Incomplete& incomplete : told) {
    const Napi::HandleScope scope(env_);
    auto object = Napi::Object::New(env_);
    object.Set("source", incomplete.source);
    object.Set("id", incomplete.id);
    object.Set("missing", Numbers(env_, incomplete.missing));
    object.Set("round", incomplete.round);
    object.Set("isOver", incomplete.is_over);
    list.Set(at++, object);
  }
  return list;
}

Napi::Value PackageObject::NextDeadline(const Napi::CallbackInfo&) {
  const int64_t deadline_ms = packages_ == nullptr ? INT64_MAX : packages_->NextDeadline();
  return Napi::Number::New(env_, static_cast<double>(deadline_ms));
}

Napi::Value PackageObject::Stats(const Napi::CallbackInfo&) {
  if (!NeedOpen()) return env_.Undefined();
  const PackageAssembler::Counters& counters = packages_->counters();
  auto stats = Napi::Object::New(env_);
  const auto set = [&](const char* name, uint64_t value) { stats.Set(name, static_cast<double>(value)); };
  set("packages", packages_->packages().packages());
  set("parts", packages_->packages().parts());
  set("bytes", packages_->packages().bytes());
  set("tombstones", packages_->tombstones());
  set("complete", counters.complete);
  set("duplicates", counters.duplicates);
  set("late", counters.late);
  set("refused", counters.refused);
  set("expired", counters.expired);
  return stats;
}

Napi::Value PackageObject::Close(const Napi::CallbackInfo&) {
  packages_.reset();
  return env_.Undefined();
}

}  // namespace everyonce
