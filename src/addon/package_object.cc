#include "addon/package_object.h"

#include <algorithm>
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
constexpr size_t kFieldsOfPart = 4;
constexpr uint8_t kHasAnswer = 128;  // the same stands in lib/primitives/package-reorder.js

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

// A string that must be one of its own, whose bytes are UTF-8.
napi_value Text(napi_env env, std::string_view bytes) {
  napi_value string = nullptr;
  napi_create_string_utf8(env, bytes.data(), bytes.size(), &string);
  return string;
}

// The parts of a package that is complete: a string each, or [kind, Buffer]; of one that is over for what it said: {
// reason, missing
// }; else the verdict + 16 × the reason, see lib/primitives/native.js.
Napi::Value Answer(Napi::Env env, const PackageAssembler::Outcome& outcome) {
  if (outcome.verdict == PackageAssembler::Verdict::kComplete) {
    auto parts = Napi::Array::New(env, outcome.taken.parts.size());
    uint32_t at = 0;
    for (const auto& [index, part] : outcome.taken.parts) {
      const Napi::HandleScope scope(env);
      if (part.type == kText) {
        napi_set_element(env, parts, at++, Text(env, part.body));
        continue;
      }
      auto other = Napi::Array::New(env, 2);
      other.Set(0u, part.type);
      other.Set(1u, Napi::Buffer<char>::Copy(env, part.body.data(), part.body.size()));
      parts.Set(at++, other);
    }
    return parts;
  }
  if (outcome.taken.parts.empty()) {
    const int number = static_cast<int>(outcome.verdict) + 16 * static_cast<int>(outcome.reason);
    return Napi::Number::New(env, number);
  }
  auto over = Napi::Object::New(env);
  over.Set("reason", static_cast<int>(outcome.reason));
  over.Set("missing", Numbers(env, PackageAssembler::MissingOf(outcome.taken)));
  return over;
}

uint32_t UnitsOf(std::string_view text) {
  uint32_t units = 0;
  for (const char byte : text) {
    const auto lead = static_cast<unsigned char>(byte);
    units += static_cast<uint32_t>((lead & 0xc0) != 0x80) + static_cast<uint32_t>(lead >= 0xf0);
  }
  return units;
}

// The texts of a complete package as one, and their lengths behind those that are there. False: not all are texts.
bool Join(const PackageAssembler::Outcome& outcome, std::string* joined, std::vector<uint32_t>* lengths) {
  joined->clear();
  for (const auto& [index, part] : outcome.taken.parts) {
    if (part.type != kText) return false;
  }
  for (const auto& [index, part] : outcome.taken.parts) {
    *joined += part.body;
    lengths->push_back(UnitsOf(part.body));
  }
  return true;
}

// Pieces of a text one after the other, by their lengths in UTF-16 units, as JavaScript counts.
class TextPieces {
 public:
  explicit TextPieces(std::string_view text) : text_(text) {}

  std::string_view Next(size_t units) {
    size_t end = at_;
    for (; units > 0 && end < text_.size(); --units) {
      // Ahead by one character; one of four bytes is two units.
      const auto lead = static_cast<unsigned char>(text_[end]);
      const size_t bytes = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
      end += bytes;
      if (bytes == 4) --units;
    }
    end = std::min(end, text_.size());
    const std::string_view piece = text_.substr(at_, end - at_);
    at_ = end;
    return piece;
  }

 private:
  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

Napi::Function PackageObject::Define(Napi::Env env) {
  using Self = PackageObject;
  return DefineClass(env, "PackageReorder",
                     {InstanceMethod<&Self::Push>("push"), InstanceMethod<&Self::PushBatch>("pushBatch"),
                      InstanceMethod<&Self::Expire>("expire"), InstanceMethod<&Self::NextDeadline>("nextDeadline"),
                      InstanceMethod<&Self::Stats>("stats"), InstanceMethod<&Self::Close>("close")});
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

// (source, id, index, total, kind, payload, nowMs) → what Answer gives
Napi::Value PackageObject::Push(const Napi::CallbackInfo& info) {
  KeyReader reader(env_);
  std::string_view payload;
  if (!NeedOpen() || !reader.Read(info[5], &payload) || !NeedOpen()) return env_.Undefined();
  const std::string source = Name(env_, info[0]);
  const std::string id = Name(env_, info[1]);
  const std::string kind = Name(env_, info[4]);
  return Answer(env_, packages_->Push(source, id, info[2].As<Napi::Number>().Uint32Value(),
                                      info[3].As<Napi::Number>().Uint32Value(), kind, payload,
                                      info[6].As<Napi::Number>().Int64Value()));
}

// (source, text: the ids and payloads of all parts in turn, fields: Uint32Array of [id length, payload length, index,
// total] a part, nowMs) → [verdicts: Uint8Array, + kHasAnswer where there is more to say; answers: for those in turn
// what Answer gives, or a complete package of texts as one string; lengths: Uint32Array, of each payload in such a
// string]. Lengths are in UTF-16 units.
Napi::Value PackageObject::PushBatch(const Napi::CallbackInfo& info) {
  if (!NeedOpen()) return env_.Undefined();
  const std::string source = Name(env_, info[0]);
  const std::string text = info[1].As<Napi::String>().Utf8Value();
  const auto fields = info[2].As<Napi::Uint32Array>();
  const int64_t now_ms = info[3].As<Napi::Number>().Int64Value();
  const size_t count = fields.ElementLength() / kFieldsOfPart;
  auto verdicts = Napi::Uint8Array::New(env_, count);
  auto answers = Napi::Array::New(env_);
  TextPieces pieces(text);
  std::vector<uint32_t> lengths;
  std::string joined;
  const uint32_t* field = fields.Data();
  uint8_t* out = verdicts.Data();
  uint32_t answered = 0;
  for (size_t i = 0; i < count; ++i, field += kFieldsOfPart) {
    const std::string_view id = pieces.Next(field[0]);
    const std::string_view payload = pieces.Next(field[1]);
    const PackageAssembler::Outcome outcome = packages_->Push(source, id, field[2], field[3], kText, payload, now_ms);
    out[i] = static_cast<uint8_t>(outcome.verdict);
    if (outcome.taken.parts.empty()) continue;
    out[i] += kHasAnswer;
    const Napi::HandleScope scope(env_);
    const bool is_joined = outcome.verdict == PackageAssembler::Verdict::kComplete && Join(outcome, &joined, &lengths);
    napi_set_element(env_, answers, answered++, is_joined ? Text(env_, joined) : Answer(env_, outcome));
  }
  auto all_lengths = Napi::Uint32Array::New(env_, lengths.size());
  std::copy(lengths.begin(), lengths.end(), all_lengths.Data());
  auto all = Napi::Array::New(env_, 3);
  all.Set(0u, verdicts);
  all.Set(1u, answers);
  all.Set(2u, all_lengths);
  return all;
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
