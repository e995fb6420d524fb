#include "addon/snowflake_object.h"

#include <chrono>
#include <string>
#include <string_view>
#include <thread>

#include "addon/clock.h"
#include "addon/errors.h"
#include "addon/random_seed.h"

namespace everyonce {
namespace {

// A batch that has borrowed all it may waits for the clock no longer than this in all, on the caller's thread.
constexpr int64_t kMaxWaitMs = 500;

bool GivenTime(const Napi::Value& value, int64_t* time_ms) {
  if (!value.IsNumber()) return false;
  *time_ms = value.As<Napi::Number>().Int64Value();
  return true;
}

// The decimal digits of an id; `end` is where they end.
std::string_view Digits(uint64_t id, char* end) {
  char* at = end;
  do {
    *--at = static_cast<char>('0' + id % 10);
    id /= 10;
  } while (id != 0);
  return {at, static_cast<size_t>(end - at)};
}

}  // namespace

Napi::Function SnowflakeObject::Define(Napi::Env env) {
  using Self = SnowflakeObject;
  Napi::Function defined =
      DefineClass(env, "Snowflake",
                  {StaticMethod<&Self::Decode>("decode"), StaticMethod<&Self::Monotonic>("monotonicMs"),
                   InstanceMethod<&Self::Next>("next"), InstanceMethod<&Self::NextBigInt>("nextBigInt"),
                   InstanceMethod<&Self::NextBatch>("nextBatch"), InstanceMethod<&Self::SetBounds>("setBounds"),
                   InstanceMethod<&Self::Stats>("stats"), InstanceMethod<&Self::Close>("close")});
  return defined;
}

SnowflakeObject::SnowflakeObject(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<SnowflakeObject>(info), env_(info.Env()) {
  const auto number = [&](size_t i) { return info[i].ToNumber().Int64Value(); };
  const auto worker = static_cast<uint32_t>(number(0));
  const int64_t epoch_ms = number(1);
  const SnowflakeRules rules = {.max_backward_ms = number(2), .max_ahead_ms = number(3)};
  issuer_ = std::make_unique<SnowflakeIssuer>(Snowflake(worker, number(4), epoch_ms, RandomSeed() | 1), rules);
}

void SnowflakeObject::Refuse(const SnowflakeIssuer::Result& result) const {
  using Verdict = SnowflakeIssuer::Verdict;
  std::string code = "IDS_EXHAUSTED";
  std::string message;
  switch (result.verdict) {
    case Verdict::kClockBackwards:
      code = "CLOCK_BACKWARDS";
      message = "the clock is " + std::to_string(result.backward_ms) + " ms behind where it has been: no ids for " +
                std::to_string(result.wait_ms) + " ms";
      break;
    case Verdict::kExhausted:
      message = "more ids than the clock has room for: none for " + std::to_string(result.wait_ms) + " ms";
      break;
    case Verdict::kUnreserved:
      message = "the time that is reserved for this worker is used up";
      break;
    default:
      code = "CLOCK_OUT_OF_RANGE";
      message = "the clock is before the epoch, or more than 69 years behind it";
      break;
  }
  Napi::Error error = Napi::Error::New(env_, message);
  error.Set("code", Napi::String::New(env_, code));
  error.Set("retryAfterMs", Napi::Number::New(env_, static_cast<double>(result.wait_ms)));
  if (result.verdict == Verdict::kClockBackwards) {
    error.Set("backwardMs", Napi::Number::New(env_, static_cast<double>(result.backward_ms)));
  }
  error.ThrowAsJavaScriptException();
}

bool SnowflakeObject::Issue(const Napi::CallbackInfo& info, size_t first, uint64_t* ids, size_t count) {
  if (issuer_ == nullptr) {
    Throw(env_, "CLOSED", "the generator is closed");
    return false;
  }
  int64_t now_ms = 0;
  const bool is_given = GivenTime(info[first], &now_ms);
  int64_t waited_ms = 0;
  for (size_t made = 0; made < count;) {
    if (!is_given) now_ms = ReadClock(CLOCK_REALTIME);
    const SnowflakeIssuer::Result result = issuer_->Issue(now_ms, ids + made, count - made);
    made += result.issued;
    if (result.verdict == SnowflakeIssuer::Verdict::kIssued) break;
    const bool may_wait = result.verdict == SnowflakeIssuer::Verdict::kExhausted && !is_given;
    if (!may_wait || waited_ms + result.wait_ms > kMaxWaitMs) {
      Refuse(result);
      return false;
    }
    waited_ms += result.wait_ms;
    std::this_thread::sleep_for(std::chrono::milliseconds(result.wait_ms));
  }
  // Only now: the process may have stood still while it made them.
  if (issuer_->bounds().deadline_ms == INT64_MAX) return true;
  if (issuer_->LeaseHolds(TimeOr(info[first + 1], MonotonicMs))) return true;
  Throw(env_, "LEASE_EXPIRED", "the lease on this worker has run out: another process may have it");
  return false;
}

Napi::Value SnowflakeObject::Next(const Napi::CallbackInfo& info) {
  uint64_t id = 0;
  if (!Issue(info, 0, &id, 1)) return env_.Undefined();
  char digits[20];
  const std::string_view text = Digits(id, digits + sizeof digits);
  napi_value string = nullptr;
  napi_create_string_latin1(env_, text.data(), text.size(), &string);
  return {env_, string};
}

Napi::Value SnowflakeObject::NextBigInt(const Napi::CallbackInfo& info) {
  uint64_t id = 0;
  if (!Issue(info, 0, &id, 1)) return env_.Undefined();
  return Napi::BigInt::New(env_, id);
}

Napi::Value SnowflakeObject::NextBatch(const Napi::CallbackInfo& info) {
  const uint32_t count = info[0].ToNumber().Uint32Value();
  auto ids = Napi::BigUint64Array::New(env_, count);
  if (env_.IsExceptionPending() || !Issue(info, 1, ids.Data(), count)) return env_.Undefined();
  return ids;
}

// (reservedUntilMs, deadlineMs): what is no number stays without a bound.
Napi::Value SnowflakeObject::SetBounds(const Napi::CallbackInfo& info) {
  SnowflakeBounds bounds;
  GivenTime(info[0], &bounds.reserved_until_ms);
  GivenTime(info[1], &bounds.deadline_ms);
  if (issuer_ != nullptr) issuer_->SetBounds(bounds);
  return env_.Undefined();
}

Napi::Value SnowflakeObject::Stats(const Napi::CallbackInfo&) {
  if (issuer_ == nullptr) {
    Throw(env_, "CLOSED", "the generator is closed");
    return env_.Undefined();
  }
  auto stats = Napi::Object::New(env_);
  stats.Set("worker", issuer_->ids().worker());
  stats.Set("epoch", static_cast<double>(issuer_->ids().epoch_ms()));
  stats.Set("issued", static_cast<double>(issuer_->issued()));
  stats.Set("lastMs", static_cast<double>(issuer_->ids().last_ms()));
  stats.Set("clockStepsBack", static_cast<double>(issuer_->steps_back()));
  return stats;
}

Napi::Value SnowflakeObject::Close(const Napi::CallbackInfo&) {
  issuer_.reset();
  return env_.Undefined();
}

// (id as a BigInt, epochMs) → { time, worker, sequence }
Napi::Value SnowflakeObject::Decode(const Napi::CallbackInfo& info) {
  bool is_lossless = true;
  const uint64_t id = info[0].As<Napi::BigInt>().Uint64Value(&is_lossless);
  const Snowflake::Parts parts = Snowflake::Decode(id, info[1].As<Napi::Number>().Int64Value());
  auto object = Napi::Object::New(info.Env());
  object.Set("time", static_cast<double>(parts.ms));
  object.Set("worker", parts.worker);
  object.Set("sequence", parts.sequence);
  return object;
}

Napi::Value SnowflakeObject::Monotonic(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(MonotonicMs()));
}

}  // namespace everyonce
