#include "redis/reply.h"

#include <hiredis/hiredis.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace everyonce {
namespace {

constexpr size_t kKeptBufferBytes = 1u << 20;
// What an array says of its size is believed up to here before its elements are there.
constexpr size_t kMaxReserved = 1024;

// hiredis calls back for each value as it is read; these put it where it belongs in the reply, so that nothing is made
// twice. An array's elements come one after the other, and only the last of them is ever added to.
RedisReply* PlaceOf(const redisReadTask* task, RedisReply::Type type) {
  auto* place = static_cast<RedisReply*>(task->privdata);
  if (task->parent != nullptr) place = &static_cast<RedisReply*>(task->parent->obj)->elements.emplace_back();
  place->type = type;
  return place;
}

void* CreateString(const redisReadTask* task, char* text, size_t size) {
  RedisReply* place = PlaceOf(task, task->type == REDIS_REPLY_ERROR    ? RedisReply::Type::kError
                                    : task->type == REDIS_REPLY_STATUS ? RedisReply::Type::kStatus
                                                                       : RedisReply::Type::kText);
  place->text.assign(text, size);
  return place;
}

// The type of `count` is int in hiredis 0.14, size_t from 1.0 on.
template <typename Count>
void* CreateArray(const redisReadTask* task, Count count) {
  RedisReply* place = PlaceOf(task, RedisReply::Type::kArray);
  place->elements.reserve(std::min(static_cast<size_t>(count), kMaxReserved));
  return place;
}

void* CreateInteger(const redisReadTask* task, long long value) {
  RedisReply* place = PlaceOf(task, RedisReply::Type::kInteger);
  place->integer = value;
  return place;
}

void* CreateNil(const redisReadTask* task) { return PlaceOf(task, RedisReply::Type::kNil); }

// They belong to the parser.
void FreeNothing(void* /*reply*/) {}

redisReplyObjectFunctions MakeFunctions() {
  redisReplyObjectFunctions functions{};  // what RESP3 adds stays null: it is never asked for
  functions.createString = CreateString;
  functions.createArray = CreateArray;
  functions.createInteger = CreateInteger;
  functions.createNil = CreateNil;
  functions.freeObject = FreeNothing;
  return functions;
}

redisReplyObjectFunctions functions = MakeFunctions();

}  // namespace

bool RedisReply::HasErrorCode(std::string_view word) const {
  if (!is_error() || !std::string_view(text).starts_with(word)) return false;
  return text.size() == word.size() || text[word.size()] == ' ';
}

bool RedisReply::ToNumber(uint64_t* number) const {
  if (type == Type::kInteger) {
    *number = static_cast<uint64_t>(integer);
    return integer >= 0;
  }
  if (!is_text() || text.empty()) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc() && end == text.data() + text.size();
}

void RedisParser::Free::operator()(redisReader* reader) const { redisReaderFree(reader); }

RedisParser::RedisParser(size_t max_reply_bytes)
    : reader_(redisReaderCreateWithFunctions(&functions)), max_reply_bytes_(max_reply_bytes) {
  reader_->privdata = &building_;
  // hiredis gives its buffer back whenever it has grown past this and is empty, and grows it anew for the next replies.
  reader_->maxbuf = kKeptBufferBytes;
}

RedisParser::~RedisParser() = default;

bool RedisParser::Feed(const char* bytes, size_t size) {
  if (!error_.empty()) return false;
  unparsed_bytes_ += size;
  if (redisReaderFeed(reader_.get(), bytes, size) == REDIS_OK) return true;
  error_ = reader_->errstr;
  return false;
}

bool RedisParser::Next(RedisReply* reply) {
  if (!error_.empty()) return false;
  void* raw = nullptr;
  if (redisReaderGetReply(reader_.get(), &raw) != REDIS_OK) {
    error_ = std::string("not what a Redis server says: ") + reader_->errstr;
    return false;
  }
  if (raw == nullptr) {
    if (unparsed_bytes_ > max_reply_bytes_)
      error_ = "a reply of more than " + std::to_string(max_reply_bytes_) + " bytes";
    return false;
  }
  *reply = std::exchange(building_, {});
  unparsed_bytes_ = reader_->len - reader_->pos;
  return true;
}

namespace {

template <typename Arguments>
void Append(const Arguments& arguments, std::string* out) {
  out->append("*").append(std::to_string(arguments.size())).append("\r\n");
  for (const auto& argument : arguments) {
    out->append("$").append(std::to_string(argument.size())).append("\r\n");
    out->append(argument).append("\r\n");
  }
}

}  // namespace

void AppendRedisCommand(const std::vector<std::string_view>& arguments, std::string* out) { Append(arguments, out); }
void AppendRedisCommand(const std::vector<std::string>& arguments, std::string* out) { Append(arguments, out); }

}  // namespace everyonce
