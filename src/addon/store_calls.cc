#include "addon/store_calls.h"

#include "addon/errors.h"
#include "core/json_writer.h"
#include "core/limits.h"
#include "log/inspect.h"

namespace everyonce {
namespace {

// Looked at in one task, so that whoever waits for acks does not wait for it.
constexpr uint32_t kMaxConversations = 100;
constexpr uint32_t kMaxMessages = 1000;

std::string ErrorAnswer(const Status& status) {
  std::string json;
  ObjectWriter writer("error", &json);
  writer.String("code", CodeName(status.code));
  writer.String("message", status.message);
  writer.End();
  return json;
}

}  // namespace

bool ReadInspectQuery(const Napi::CallbackInfo& info, size_t first, InspectQuery* query) {
  const Napi::Env env = info.Env();
  const Napi::Value conv = info[first];
  const Napi::Value after = info[first + 1];
  const Napi::Value limit = info[first + 2];
  if (conv.IsString()) query->conv = conv.As<Napi::String>().Utf8Value();
  if (conv.IsString() ? query->conv.empty() : !conv.IsNull()) {
    Throw(env, "BAD_OPTION", "\"conv\" must be a conversation or null", "conv");
    return false;
  }
  const double number = after.IsNumber() ? after.As<Napi::Number>().DoubleValue() : -1;
  if (conv.IsNull() ? !after.IsString() : !(number >= 0 && number <= static_cast<double>(kMaxInteger))) {
    Throw(env, "BAD_OPTION", "\"after\" must be a name, or a seq where a conversation is asked for", "after");
    return false;
  }
  if (conv.IsNull()) {
    query->after_conv = after.As<Napi::String>().Utf8Value();
  } else {
    query->after_seq = static_cast<uint64_t>(number);
  }
  const uint32_t most = conv.IsNull() ? kMaxConversations : kMaxMessages;
  const double wanted = limit.IsNumber() ? limit.As<Napi::Number>().DoubleValue() : 0;
  if (!(wanted >= 1)) {
    Throw(env, "BAD_OPTION", "\"limit\" must be a number from 1 on", "limit");
    return false;
  }
  query->limit = wanted < most ? static_cast<size_t>(wanted) : most;
  return true;
}

bool ReadDirectory(const Napi::CallbackInfo& info, size_t first, std::string* dir) {
  if (info[first].IsString()) *dir = info[first].As<Napi::String>().Utf8Value();
  if (!dir->empty() && dir->find('\0') == std::string::npos) return true;
  Throw(info.Env(), "BAD_OPTION", "\"dir\" must be a directory's path", "dir");
  return false;
}

std::string InspectAnswer(Kv* kv, const InspectQuery& query) {
  if (kv == nullptr) return ErrorAnswer(Status::Error(Code::kUnsupported, "what is in Redis is not inspected here"));
  std::string found;
  const Status status = query.conv.empty() ? InspectConversations(kv, query.after_conv, query.limit, &found)
                                           : InspectConversation(kv, query.conv, query.after_seq, query.limit, &found);
  if (!status.ok()) return ErrorAnswer(status);
  std::string json;
  ObjectWriter writer("ok", &json);
  writer.Json("found", found);
  writer.End();
  return json;
}

std::string CheckpointAnswer(RocksKv* rocks, const std::string& dir) {
  const Status status = rocks->Checkpoint(dir);
  return status.ok() ? R"({"t":"ok"})" : ErrorAnswer(status);
}

std::string CheckpointAnswer(const std::shared_ptr<SharedStore>& store, const std::string& dir) {
  const Status status = store != nullptr ? store->Checkpoint(dir) : Status::Error(Code::kClosed, "the store is closed");
  return status.ok() ? R"({"t":"ok"})" : ErrorAnswer(status);
}

}  // namespace everyonce
