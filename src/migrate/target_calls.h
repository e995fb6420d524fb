#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "log/log_format.h"

namespace everyonce {

// What is to be in Redis, and nothing about how it gets there: each can be written, however often, and read back.
enum class TargetKind : uint8_t {
  kHash,     // items: field, value …
  kSorted,   // score, member …
  kBytes,    // offset, bytes: within a text
  kText,     // value
  kLog,      // the first seq of the whole log; then of each record its seq and the values of kLogFields, ascending
  kCounter,  // value, when it was last used (Unix ms): see lua/take.lua
  kLength,   // how many records the log has: to be read only
};
// Of a record, in the order of lua/shared/append.lua.
inline constexpr std::array<std::string_view, 10> kLogFields = {"m", "a", "n", "f", "d", "i", "t", "b", "s", "r"};

struct TargetCall {
  TargetKind kind = TargetKind::kHash;
  std::string key;
  std::vector<std::string> items = {};
  int64_t expires_ms = 0;  // the key, Unix ms; 0: never
  size_t bytes = 0;
};

// A queue of them. What follows one another under one key is one call, as far as that stays small: while Redis does one
// it does nothing else.
class TargetCalls {
 public:
  void Hash(std::string key, std::string_view field, std::string_view value);
  void Sorted(std::string key, uint64_t score, std::string_view member);
  void Bytes(std::string key, uint64_t offset, std::string bytes);
  void Text(std::string key, std::string_view value, int64_t expires_ms);
  void Record(std::string key, uint64_t first_seq, uint64_t seq, const LogRecord& record);
  void Counter(std::string key, uint64_t value, int64_t at_ms);
  // What was put last expires then, at the latest of what its key is told. REQUIRES: a hash or a sorted set.
  void Expiry(int64_t at_ms);
  void Length(std::string key, uint64_t count);

  bool empty() const { return calls_.empty(); }
  // As much as is worth while to send at once.
  bool full() const { return bytes_ >= kFullBytes || calls_.size() >= kFullCalls; }
  // REQUIRES: !empty().
  TargetCall Take();

 private:
  static constexpr size_t kFullBytes = size_t{512} << 10;
  static constexpr size_t kFullCalls = 512;
  static constexpr size_t kItemsPerCall = 1024;
  static constexpr size_t kBytesPerCall = size_t{256} << 10;

  TargetCall* Begin(TargetKind kind, std::string key);
  // The last call where more of the same may go with it, or a new one.
  TargetCall* Extend(TargetKind kind, std::string key);
  void Add(TargetCall* call, std::string_view item);
  void AddNumber(TargetCall* call, uint64_t number) { Add(call, std::to_string(number)); }

  std::deque<TargetCall> calls_;
  size_t bytes_ = 0;
};

}  // namespace everyonce
