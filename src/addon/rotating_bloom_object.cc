#include "addon/rotating_bloom_object.h"

#include <string_view>
#include <utility>
#include <vector>

#include "addon/bloom_batch.h"
#include "addon/clock.h"
#include "addon/errors.h"
#include "addon/keys.h"
#include "addon/random_seed.h"

namespace everyonce {
namespace {

int64_t TimeOf(const Napi::Value& given) { return TimeOr(given, MonotonicMs); }

}  // namespace

Napi::Function RotatingBloomObject::Define(Napi::Env env) {
  using Self = RotatingBloomObject;
  return DefineClass(env, "RotatingBloom",
                     {InstanceMethod<&Self::Add>("add"), InstanceMethod<&Self::Has>("has"),
                      InstanceMethod<&Self::AddBatch>("addBatch"), InstanceMethod<&Self::HasBatch>("hasBatch"),
                      InstanceMethod<&Self::Serialize>("serialize"), InstanceMethod<&Self::Stats>("stats"),
                      InstanceMethod<&Self::Close>("close")});
}

RotatingBloomObject::RotatingBloomObject(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<RotatingBloomObject>(info), env_(info.Env()) {
  Status status;
  if (info[0].IsNumber()) {
    const auto number = [&](size_t i) { return info[i].ToNumber(); };
    RotatingBloomOptions options;
    options.capacity = static_cast<uint64_t>(number(0).Int64Value());
    options.error_rate = number(1).DoubleValue();
    options.window_ms = number(2).Int64Value();
    options.slices = number(3).Uint32Value();
    options.max_bytes = static_cast<size_t>(number(4).Int64Value());
    options.seed = RandomSeed();
    status = RotatingBloom::Make(options, &filter_);
  } else {
    KeyReader reader(env_);
    std::string_view bytes;
    if (!reader.Read(info[0], &bytes)) return;
    status = RotatingBloom::Parse(bytes, TimeOf(info[1]), &filter_);
  }
  if (!status.ok()) {
    const bool is_option = status.code == Code::kBadRequest || status.code == Code::kUnavailable;
    Throw(env_, is_option ? "BAD_OPTION" : std::string(CodeName(status.code)), status.message,
          status.code == Code::kUnavailable ? "capacity" : status.field);
    return;
  }
  TellMemory();
}

RotatingBloomObject::~RotatingBloomObject() {
  filter_.reset();
  TellMemory();
}

// The collector of garbage knows of this memory only by being told. Close enough: at each beginning of a generation.
void RotatingBloomObject::TellMemory() {
  const auto bytes = filter_ == nullptr ? 0 : static_cast<int64_t>(filter_->bytes());
  if (bytes != told_bytes_) Napi::MemoryManagement::AdjustExternalMemory(env_, bytes - told_bytes_);
  told_bytes_ = bytes;
}

bool RotatingBloomObject::NeedOpen() const {
  if (filter_ == nullptr) Throw(env_, "CLOSED", "the filter is closed");
  return filter_ != nullptr;
}

bool RotatingBloomObject::Hash(const Napi::CallbackInfo& info, uint64_t* hash) const {
  if (!NeedOpen()) return false;
  const uint64_t seed = filter_->options().seed;
  KeyReader reader(env_);
  std::string_view key;
  if (!reader.Read(info[0], &key)) return false;
  *hash = BloomFilter::Hash(key, seed);
  return NeedOpen();
}

Napi::Value RotatingBloomObject::Add(const Napi::CallbackInfo& info) {
  uint64_t hash = 0;
  if (!Hash(info, &hash)) return env_.Undefined();
  const bool is_new = filter_->Add(hash, TimeOf(info[1]));
  TellMemory();
  return Napi::Boolean::New(env_, is_new);
}

Napi::Value RotatingBloomObject::Has(const Napi::CallbackInfo& info) {
  uint64_t hash = 0;
  if (!Hash(info, &hash)) return env_.Undefined();
  return Napi::Boolean::New(env_, filter_->Has(hash, TimeOf(info[1])));
}

Napi::Value RotatingBloomObject::AddBatch(const Napi::CallbackInfo& info) {
  std::vector<uint64_t> hashes;
  if (!NeedOpen() || !HashBatch(info, filter_->options().seed, &hashes) || !NeedOpen()) return env_.Undefined();
  const int64_t now_ms = TimeOf(info[2]);
  const Napi::Value answers = AnswerBatch(
      env_, hashes, [this](uint64_t hash) { filter_->Prefetch(hash); },
      [this, now_ms](uint64_t hash) { return filter_->Add(hash, now_ms); });
  TellMemory();
  return answers;
}

Napi::Value RotatingBloomObject::HasBatch(const Napi::CallbackInfo& info) {
  std::vector<uint64_t> hashes;
  if (!NeedOpen() || !HashBatch(info, filter_->options().seed, &hashes) || !NeedOpen()) return env_.Undefined();
  const int64_t now_ms = TimeOf(info[2]);
  return AnswerBatch(
      env_, hashes, [this](uint64_t hash) { filter_->Prefetch(hash); },
      [this, now_ms](uint64_t hash) { return filter_->Has(hash, now_ms); });
}

Napi::Value RotatingBloomObject::Serialize(const Napi::CallbackInfo&) {
  if (!NeedOpen()) return env_.Undefined();
  const auto buffer = Napi::Buffer<uint8_t>::New(env_, filter_->SerializedBytes());
  if (!env_.IsExceptionPending()) filter_->SerializeTo(buffer.Data());
  return buffer;
}

Napi::Value RotatingBloomObject::Stats(const Napi::CallbackInfo& info) {
  if (!NeedOpen()) return env_.Undefined();
  const RotatingBloom::Stats now = filter_->GetStats(TimeOf(info[0]));
  const RotatingBloomOptions& options = filter_->options();
  auto stats = Napi::Object::New(env_);
  stats.Set("items", static_cast<double>(now.items));
  stats.Set("capacity", static_cast<double>(options.capacity));
  stats.Set("errorRate", options.error_rate);
  stats.Set("estimatedErrorRate", now.estimated_error_rate);
  stats.Set("bytes", static_cast<double>(filter_->bytes()));
  stats.Set("maxBytes", static_cast<double>(options.max_bytes));
  stats.Set("generations", static_cast<double>(now.generations));
  stats.Set("windowMs", static_cast<double>(options.window_ms));
  stats.Set("slices", options.slices);
  stats.Set("saturated", now.saturated);
  return stats;
}

Napi::Value RotatingBloomObject::Close(const Napi::CallbackInfo&) {
  filter_.reset();
  TellMemory();
  return env_.Undefined();
}

}  // namespace everyonce
