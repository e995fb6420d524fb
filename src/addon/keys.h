#pragma once

#include <napi.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace everyonce {

// Keys as the filters take them: a string (its UTF-8) or a Uint8Array, so also a Buffer (its bytes). Reading may run
// JavaScript of the caller's (getters of an array, and what they call), so all keys of a call are read and hashed
// before anything is done with them. A false return leaves an exception pending.
class KeyReader {
 public:
  explicit KeyReader(Napi::Env env) : env_(env) {}

  // `key` is good until the next Read.
  bool Read(napi_value value, std::string_view* key);

 private:
  bool Fail(const char* what) const;
  bool ReadBytes(napi_value value, std::string_view* key);

  static constexpr size_t kInlineBytes = 512;

  Napi::Env env_;
  char inline_[kInlineBytes];
  std::string long_;
};

// The longest batch: what it returns has a byte for each key.
inline constexpr uint32_t kMaxBatchKeys = 1u << 26;

// Hashes the keys of a batch: of an array (info[0]), or of the pieces of one Uint8Array (info[0]) between offsets
// (info[1], a Uint32Array of one more than there are keys).
bool HashBatch(const Napi::CallbackInfo& info, uint64_t seed, std::vector<uint64_t>* hashes);

}  // namespace everyonce
