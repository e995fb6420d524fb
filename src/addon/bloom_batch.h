#pragma once

#include <napi.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace everyonce {

// A Uint8Array with what `answer` says to each hash, in order. `prefetch` is called a few hashes ahead: a filter larger
// than the caches answers in the time of its memory's bandwidth, not of its latency.
template <typename Prefetch, typename Answer>
Napi::Value AnswerBatch(Napi::Env env, const std::vector<uint64_t>& hashes, Prefetch prefetch, Answer answer) {
  constexpr size_t kAhead = 16;
  auto answers = Napi::Uint8Array::New(env, hashes.size());
  if (env.IsExceptionPending()) return env.Undefined();
  uint8_t* out = answers.Data();
  for (size_t i = 0; i < std::min(kAhead, hashes.size()); ++i) prefetch(hashes[i]);
  for (size_t i = 0; i < hashes.size(); ++i) {
    if (i + kAhead < hashes.size()) prefetch(hashes[i + kAhead]);
    out[i] = answer(hashes[i]) ? 1 : 0;
  }
  return answers;
}

}  // namespace everyonce
