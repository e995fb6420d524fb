#include "addon/bloom_object.h"

#include <string_view>
#include <utility>
#include <vector>

#include "addon/bloom_batch.h"
#include "addon/errors.h"
#include "addon/keys.h"
#include "addon/random_seed.h"

namespace everyonce {

Napi::Function BloomObject::Define(Napi::Env env) {
  return DefineClass(
      env, "BloomFilter",
      {InstanceMethod<&BloomObject::Add>("add"), InstanceMethod<&BloomObject::Has>("has"),
       InstanceMethod<&BloomObject::AddBatch>("addBatch"), InstanceMethod<&BloomObject::HasBatch>("hasBatch"),
       InstanceMethod<&BloomObject::Serialize>("serialize"), InstanceMethod<&BloomObject::Stats>("stats"),
       InstanceMethod<&BloomObject::Close>("close")});
}

BloomObject::BloomObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<BloomObject>(info), env_(info.Env()) {
  std::unique_ptr<BloomFilter> filter;
  if (info[0].IsNumber() ? Make(info, &filter) : Parse(info, &filter)) Take(std::move(filter));
}

// (capacity, errorRate)
bool BloomObject::Make(const Napi::CallbackInfo& info, std::unique_ptr<BloomFilter>* filter) const {
  const auto capacity = static_cast<uint64_t>(info[0].As<Napi::Number>().Int64Value());
  const double error_rate = info[1].ToNumber().DoubleValue();
  const uint64_t blocks = BloomFilter::BlocksFor(capacity, error_rate);
  if (blocks > 0) *filter = BloomFilter::Make(capacity, error_rate, blocks, RandomSeed());
  if (*filter != nullptr) return true;
  const char* why = blocks == 0 ? "\"capacity\" at this \"errorRate\" asks for more than 1 GiB"
                                : "there is no memory for this \"capacity\"";
  Throw(env_, "BAD_OPTION", why, "capacity");
  return false;
}

// (bytes)
bool BloomObject::Parse(const Napi::CallbackInfo& info, std::unique_ptr<BloomFilter>* filter) const {
  KeyReader reader(env_);
  std::string_view bytes;
  if (!reader.Read(info[0], &bytes)) return false;
  const Status status = BloomFilter::Parse(bytes, filter);
  if (!status.ok()) Throw(env_, status);
  return status.ok();
}

BloomObject::~BloomObject() { Take(nullptr); }

// The collector of garbage knows of this memory only by being told.
void BloomObject::Take(std::unique_ptr<BloomFilter> filter) {
  const auto before = static_cast<int64_t>(filter_ == nullptr ? 0 : filter_->bytes());
  filter_ = std::move(filter);
  const auto after = static_cast<int64_t>(filter_ == nullptr ? 0 : filter_->bytes());
  if (after != before) Napi::MemoryManagement::AdjustExternalMemory(env_, after - before);
}

bool BloomObject::NeedOpen() const {
  if (filter_ == nullptr) Throw(env_, "CLOSED", "the filter is closed");
  return filter_ != nullptr;
}

bool BloomObject::Hash(const Napi::CallbackInfo& info, uint64_t* hash) const {
  if (!NeedOpen()) return false;
  const uint64_t seed = filter_->seed();
  KeyReader reader(env_);
  std::string_view key;
  if (!reader.Read(info[0], &key)) return false;
  *hash = BloomFilter::Hash(key, seed);
  return NeedOpen();
}

Napi::Value BloomObject::Add(const Napi::CallbackInfo& info) {
  uint64_t hash = 0;
  if (!Hash(info, &hash)) return env_.Undefined();
  return Napi::Boolean::New(env_, filter_->Add(hash));
}

Napi::Value BloomObject::Has(const Napi::CallbackInfo& info) {
  uint64_t hash = 0;
  if (!Hash(info, &hash)) return env_.Undefined();
  return Napi::Boolean::New(env_, filter_->Has(hash));
}

Napi::Value BloomObject::AddBatch(const Napi::CallbackInfo& info) {
  std::vector<uint64_t> hashes;
  if (!NeedOpen() || !HashBatch(info, filter_->seed(), &hashes) || !NeedOpen()) return env_.Undefined();
  return AnswerBatch(
      env_, hashes, [this](uint64_t hash) { filter_->Prefetch(hash); },
      [this](uint64_t hash) { return filter_->Add(hash); });
}

Napi::Value BloomObject::HasBatch(const Napi::CallbackInfo& info) {
  std::vector<uint64_t> hashes;
  if (!NeedOpen() || !HashBatch(info, filter_->seed(), &hashes) || !NeedOpen()) return env_.Undefined();
  return AnswerBatch(
      env_, hashes, [this](uint64_t hash) { filter_->Prefetch(hash); },
      [this](uint64_t hash) { return filter_->Has(hash); });
}

Napi::Value BloomObject::Serialize(const Napi::CallbackInfo&) {
  if (!NeedOpen()) return env_.Undefined();
  const auto buffer = Napi::Buffer<uint8_t>::New(env_, filter_->SerializedBytes());
  if (!env_.IsExceptionPending()) filter_->SerializeTo(buffer.Data());
  return buffer;
}

Napi::Value BloomObject::Stats(const Napi::CallbackInfo&) {
  if (!NeedOpen()) return env_.Undefined();
  auto stats = Napi::Object::New(env_);
  stats.Set("items", static_cast<double>(filter_->items()));
  stats.Set("capacity", static_cast<double>(filter_->capacity()));
  stats.Set("errorRate", filter_->error_rate());
  stats.Set("estimatedErrorRate", filter_->EstimatedErrorRate());
  stats.Set("bytes", static_cast<double>(filter_->bytes()));
  return stats;
}

Napi::Value BloomObject::Close(const Napi::CallbackInfo&) {
  Take(nullptr);
  return env_.Undefined();
}

}  // namespace everyonce
