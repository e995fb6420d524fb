#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>

#include "core/seq_index.h"
#include "core/stream_reorder.h"

namespace everyonce {

// StreamReorder as lib/primitives/stream-reorder.js uses it; the contract is in lib/primitives/native.js. It decides
// over numbers; payloads stay in JavaScript. In mode hold `stream_` is there, in mode insert `index_`.
class StreamObject : public Napi::ObjectWrap<StreamObject> {
 public:
  static Napi::Function Define(Napi::Env env);
  explicit StreamObject(const Napi::CallbackInfo& info);

 private:
  Napi::Value Push(const Napi::CallbackInfo& info);
  Napi::Value PushBatch(const Napi::CallbackInfo& info);
  Napi::Value Hole(const Napi::CallbackInfo& info);
  Napi::Value DueGaps(const Napi::CallbackInfo& info);
  Napi::Value NextDeadline(const Napi::CallbackInfo& info);
  Napi::Value Stats(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);

  bool NeedOpen() const;
  double Take(uint64_t seq, size_t bytes, int64_t now_ms);
  double InsertOne(uint64_t seq);
  double Insert(uint64_t seq, int64_t now_ms);
  void Watch(int64_t now_ms);

  Napi::Env env_;
  std::unique_ptr<StreamReorder> stream_;
  std::unique_ptr<SeqIndex> index_;
  GapTimer timer_;  // of mode insert
};

}  // namespace everyonce
