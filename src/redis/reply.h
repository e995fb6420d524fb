#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

struct redisReader;

namespace everyonce {

// One answer of a Redis server, by value.
struct RedisReply {
  enum class Type : uint8_t { kNil, kText, kStatus, kError, kInteger, kArray };
  Type type = Type::kNil;
  int64_t integer = 0;
  std::string text;  // kText, kStatus, kError
  std::vector<RedisReply> elements;

  bool is_error() const { return type == Type::kError; }
  bool is_text() const { return type == Type::kText || type == Type::kStatus; }
  bool is_array() const { return type == Type::kArray; }
  // An error begins with this word (`MOVED`, `NOSCRIPT` …).
  bool HasErrorCode(std::string_view word) const;
  // The number that an integer or a text is; false where it is none, or negative.
  [[nodiscard]] bool ToNumber(uint64_t* number) const;
};

// Bytes in, replies out: hiredis's parser, with a bound on what one reply may cost. No I/O.
class RedisParser {
 public:
  // `max_reply_bytes`: fed since the last whole reply; more is an error.
  explicit RedisParser(size_t max_reply_bytes);
  ~RedisParser();
  RedisParser(const RedisParser&) = delete;
  RedisParser& operator=(const RedisParser&) = delete;

  // False: the stream is broken for good, see error().
  bool Feed(const char* bytes, size_t size);
  // Takes the next whole reply. False: none yet, or the stream is broken (error() is not empty).
  bool Next(RedisReply* reply);
  const std::string& error() const { return error_; }

 private:
  struct Free {
    void operator()(redisReader* reader) const;
  };
  std::unique_ptr<redisReader, Free> reader_;
  RedisReply building_;  // the reply that the parser is in
  size_t max_reply_bytes_;
  size_t unparsed_bytes_ = 0;
  std::string error_;
};

// Appends one command in the protocol's form.
void AppendRedisCommand(const std::vector<std::string_view>& arguments, std::string* out);
void AppendRedisCommand(const std::vector<std::string>& arguments, std::string* out);

}  // namespace everyonce
