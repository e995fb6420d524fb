#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace everyonce {

// JSON appended to a string, with nothing in between.

// `text`, which is valid UTF-8, as a JSON string: in quotes and escaped.
void WriteJsonString(std::string_view text, std::string* out);

void WriteInteger(uint64_t value, std::string* out);
void WriteInteger(int64_t value, std::string* out);

// Writes an object's members: every key here is plain ASCII, our own and short, so it needs no escaping.
class ObjectWriter {
 public:
  static constexpr size_t kMaxKeyBytes = 16;

  explicit ObjectWriter(std::string* out) : out_(out) { out_->push_back('{'); }
  ObjectWriter(std::string_view type, std::string* out) : ObjectWriter(out) { String("t", type); }

  void String(std::string_view key, std::string_view value) {
    Key(key);
    WriteJsonString(value, out_);
  }
  void Integer(std::string_view key, uint64_t value) {
    Key(key);
    WriteInteger(value, out_);
  }
  void Time(std::string_view key, int64_t value_ms) {
    Key(key);
    WriteInteger(value_ms, out_);
  }
  // A 64-bit id goes as a string: a double would lose its low bits.
  void Id(std::string_view key, uint64_t value) {
    Key(key);
    out_->push_back('"');
    WriteInteger(value, out_);
    out_->push_back('"');
  }
  void Json(std::string_view key, std::string_view json) {
    Key(key);
    out_->append(json);
  }
  void Flag(std::string_view key, bool value) { Json(key, value ? "true" : "false"); }

  // `[write(item), …]`
  template <typename Items, typename Write>
  void List(std::string_view key, const Items& items, Write write) {
    Key(key);
    out_->push_back('[');
    bool first = true;
    for (const auto& item : items) {
      if (!first) out_->push_back(',');
      first = false;
      write(item, out_);
    }
    out_->push_back(']');
  }

  // `,"key":` in one append: the growth check of a string costs more than the copy.
  void Key(std::string_view key) {
    char text[kMaxKeyBytes + 4];
    char* end = text;
    if (!first_) *end++ = ',';
    first_ = false;
    *end++ = '"';
    end = std::copy(key.begin(), key.end(), end);
    *end++ = '"';
    *end++ = ':';
    out_->append(text, end);
  }
  void End() { out_->push_back('}'); }

 private:
  std::string* out_;
  bool first_ = true;
};

}  // namespace everyonce
