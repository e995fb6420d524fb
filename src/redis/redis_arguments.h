#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "redis/redis_keys.h"

namespace everyonce {

// Arguments of a command as they go over the wire (RESP), in one piece: a call for a group of messages has thousands of
// them, and a string for each would cost more than all else that is done for it.
class RedisArguments {
 public:
  RedisArguments() = default;
  explicit RedisArguments(const std::vector<std::string>& list) {
    for (const std::string& argument : list) Add(argument);
  }

  void Reserve(size_t bytes) { bytes_.reserve(bytes); }
  // Its memory stays, for the next one's.
  void Clear() {
    bytes_.clear();
    count_ = 0;
  }

  void Add(std::string_view argument) {
    bytes_ += '$';
    AppendNumber(argument.size());
    bytes_.append("\r\n").append(argument).append("\r\n");
    ++count_;
  }

  void Add(const RedisKey& key) {
    size_t size = 0;
    for (const std::string_view piece : key.pieces) size += piece.size();
    bytes_ += '$';
    AppendNumber(size);
    bytes_.append("\r\n");
    for (const std::string_view piece : key.pieces) bytes_.append(piece);
    bytes_.append("\r\n");
    ++count_;
  }

  void AddNumber(uint64_t number) {
    char digits[20];
    const char* end = std::to_chars(digits, digits + sizeof digits, number).ptr;
    Add({digits, static_cast<size_t>(end - digits)});
  }

  // Several, each a text, a key or a number.
  template <typename... Argument>
  void AddAll(const Argument&... arguments) {
    (AddOne(arguments), ...);
  }

  size_t count() const { return count_; }
  const std::string& bytes() const { return bytes_; }

 private:
  void AddOne(std::string_view argument) { Add(argument); }
  void AddOne(const RedisKey& key) { Add(key); }
  void AddOne(uint64_t number) { AddNumber(number); }

  void AppendNumber(uint64_t number) {
    char digits[20];
    bytes_.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
  }

  std::string bytes_;
  size_t count_ = 0;
};

}  // namespace everyonce
