#pragma once

#include <napi.h>

#include <cstdint>
#include <string>

#include "core/status.h"
#include "log/kv.h"
#include "log/rocks_kv.h"
#include "store/shared_store.h"

namespace everyonce {

// What may be asked of a store beside sending and receiving, in the words of lib/server/control.js. The same answers
// come from a running engine, by a task on its thread, and from a stopped store (StoreObject).

struct InspectQuery {
  std::string conv;        // empty: the list of conversations
  std::string after_conv;  // the list: behind it
  uint64_t after_seq = 0;  // a conversation's messages: above it
  size_t limit = 0;
};

// Reads (conv | null, after: string | number, limit) from the arguments at `first` on. False: an error is pending.
bool ReadInspectQuery(const Napi::CallbackInfo& info, size_t first, InspectQuery* query);
// A directory's path. False: an error is pending.
bool ReadDirectory(const Napi::CallbackInfo& info, size_t first, std::string* dir);

// JSON packets: {"t":"ok","found":…} or {"t":"ok"}; {"t":"error","code","message"}.
std::string InspectAnswer(Kv* kv, const InspectQuery& query);
std::string CheckpointAnswer(RocksKv* rocks, const std::string& dir);
std::string CheckpointAnswer(const std::shared_ptr<SharedStore>& store, const std::string& dir);  // null: it is closed

}  // namespace everyonce
