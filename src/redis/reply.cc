#include "redis/reply.h"

#include <hiredis/hiredis.h>

#include <charconv>

namespace everyonce {
namespace {

// Replies here are nested four deep at most (CLUSTER SLOTS); hiredis's own bound is 7.
constexpr int kMaxDepth = 9;
constexpr size_t kKeptBufferBytes = 1u << 20;

RedisReply Convert(const redisReply& raw, int depth) {
  RedisReply reply;
  switch (raw.type) {
    case REDIS_REPLY_STRING:
      reply.type = RedisReply::Type::kText;
      break;
    case REDIS_REPLY_STATUS:
      reply.type = RedisReply::Type::kStatus;
      break;
    case REDIS_REPLY_ERROR:
      reply.type = RedisReply::Type::kError;
      break;
    case REDIS_REPLY_INTEGER:
      reply.type = RedisReply::Type::kInteger;
      reply.integer = raw.integer;
      return reply;
    case REDIS_REPLY_ARRAY:
      reply.type = RedisReply::Type::kArray;
      if (depth == 0) return reply;
      reply.elements.reserve(raw.elements);
      for (size_t i = 0; i < raw.elements; ++i) reply.elements.push_back(Convert(*raw.element[i], depth - 1));
      return reply;
    default:  // nil, and the types of RESP3, which is never asked for
      return reply;
  }
  reply.text.assign(raw.str, static_cast<size_t>(raw.len));
  return reply;
}

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

RedisParser::RedisParser(size_t max_reply_bytes) : reader_(redisReaderCreate()), max_reply_bytes_(max_reply_bytes) {
  // hiredis gives its buffer back whenever it has grown past this and is empty, and grows it anew for the next replies.
  reader_->maxbuf = kKeptBufferBytes;
}

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
  *reply = Convert(*static_cast<redisReply*>(raw), kMaxDepth);
  freeReplyObject(raw);
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
