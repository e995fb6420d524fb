#include "addon/keys.h"

#include <algorithm>

#include "addon/errors.h"
#include "core/bloom.h"

namespace everyonce {
namespace {

constexpr size_t kLongestCharacter = 4;

// Of a Uint8Array or a Buffer; false: it is something else.
bool BytesOf(napi_env env, napi_value value, std::string_view* bytes) {
  bool is_typed = false;
  if (napi_is_typedarray(env, value, &is_typed) != napi_ok || !is_typed) return false;
  napi_typedarray_type type = napi_int8_array;
  size_t length = 0;
  void* data = nullptr;
  if (napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr) != napi_ok) return false;
  *bytes = {static_cast<const char*>(data), data == nullptr ? 0 : length};
  return type == napi_uint8_array;
}

// An empty array may be one whose memory was detached, or taken away by a resize: those answer no method.
bool IsUsable(Napi::Env env, napi_value array) {
  const Napi::Value keys = Napi::Object(env, array).Get("keys");
  if (env.IsExceptionPending() || !keys.IsFunction()) return !env.IsExceptionPending();
  keys.As<Napi::Function>().Call(array, {});
  if (!env.IsExceptionPending()) return true;
  env.GetAndClearPendingException();
  return false;
}

}  // namespace

bool KeyReader::Fail(const char* what) const {
  if (!env_.IsExceptionPending()) Throw(env_, "INVALID_ARGUMENT", what, "key");
  return false;
}

bool KeyReader::ReadBytes(napi_value value, std::string_view* key) {
  if (!BytesOf(env_, value, key)) return Fail("a key must be a string or a Buffer");
  if (key->empty() && !IsUsable(env_, value)) return Fail("the memory of this Buffer is gone: detached, or resized");
  return true;
}

bool KeyReader::Read(napi_value value, std::string_view* key) {
  size_t length = 0;
  const napi_status status = napi_get_value_string_utf8(env_, value, inline_, kInlineBytes, &length);
  if (status == napi_string_expected) return ReadBytes(value, key);
  if (status != napi_ok) return Fail("the key can not be read");
  if (length + kLongestCharacter < kInlineBytes) {
    *key = {inline_, length};
    return true;
  }
  // It may have been cut: the whole one.
  if (napi_get_value_string_utf8(env_, value, nullptr, 0, &length) != napi_ok) return Fail("the key can not be read");
  long_.resize(length + 1);
  if (napi_get_value_string_utf8(env_, value, long_.data(), long_.size(), &length) != napi_ok) {
    return Fail("the key can not be read");
  }
  *key = {long_.data(), length};
  return true;
}

namespace {

bool HashArray(Napi::Env env, napi_value array, uint64_t seed, std::vector<uint64_t>* hashes) {
  uint32_t count = 0;
  if (napi_get_array_length(env, array, &count) != napi_ok || count > kMaxBatchKeys) {
    Throw(env, "INVALID_ARGUMENT", "a batch is an array of at most 67108864 keys", "keys");
    return false;
  }
  // Not more at once than there surely is: an array's length says nothing about its memory.
  hashes->reserve(std::min(count, 1u << 16));
  KeyReader reader(env);
  std::string_view key;
  for (uint32_t i = 0; i < count; ++i) {
    // Else every key of a long batch would stay alive until the end of the call.
    napi_handle_scope scope = nullptr;
    napi_open_handle_scope(env, &scope);
    napi_value value = nullptr;
    const bool is_read = napi_get_element(env, array, i, &value) == napi_ok && reader.Read(value, &key);
    napi_close_handle_scope(env, scope);
    if (!is_read) return false;
    hashes->push_back(BloomFilter::Hash(key, seed));
  }
  return true;
}

bool HashPieces(const Napi::CallbackInfo& info, uint64_t seed, std::vector<uint64_t>* hashes) {
  const Napi::Env env = info.Env();
  std::string_view bytes;
  if (!BytesOf(env, info[0], &bytes) || (bytes.empty() && !IsUsable(env, info[0]))) {
    if (!env.IsExceptionPending()) Throw(env, "INVALID_ARGUMENT", "keys must be an array or a Buffer in use", "keys");
    return false;
  }
  const auto bad = [&](const char* what) {
    Throw(env, "INVALID_ARGUMENT", what, "offsets");
    return false;
  };
  if (!info[1].IsTypedArray() || info[1].As<Napi::TypedArray>().TypedArrayType() != napi_uint32_array) {
    return bad("with a Buffer of keys, \"offsets\" must be a Uint32Array: where each begins, and where the last ends");
  }
  const auto offsets = info[1].As<Napi::Uint32Array>();
  const size_t count = offsets.ElementLength();
  if (count == 0 || count - 1 > kMaxBatchKeys) return bad("\"offsets\" must be one more than there are keys");
  hashes->reserve(count - 1);
  const uint32_t* at = offsets.Data();
  for (size_t i = 0; i + 1 < count; ++i) {
    // Read once: the memory may be shared with another thread.
    const uint32_t from = at[i];
    const uint32_t to = at[i + 1];
    if (to < from || to > bytes.size()) return bad("\"offsets\" must rise and stay within the Buffer");
    hashes->push_back(BloomFilter::Hash(bytes.substr(from, to - from), seed));
  }
  return true;
}

}  // namespace

bool HashBatch(const Napi::CallbackInfo& info, uint64_t seed, std::vector<uint64_t>* hashes) {
  return info[0].IsArray() ? HashArray(info.Env(), info[0], seed, hashes) : HashPieces(info, seed, hashes);
}

}  // namespace everyonce
