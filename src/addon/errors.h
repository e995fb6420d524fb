#pragma once

#include <napi.h>

#include <string>

#include "core/status.h"

namespace everyonce {

// Throws (sets pending) an Error with `code` (as in lib/protocol/codes.js, upper case) and, where known, `field`.
// lib/server makes an EveryonceError of it.
inline void Throw(Napi::Env env, const std::string& code, const std::string& message, const std::string& field = {}) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, code));
  if (!field.empty()) error.Set("field", Napi::String::New(env, field));
  error.ThrowAsJavaScriptException();
}

inline void Throw(Napi::Env env, const Status& status) {
  Throw(env, std::string(CodeName(status.code)), status.message, status.field);
}

}  // namespace everyonce
