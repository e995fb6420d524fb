#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace everyonce {

// A walk over the grammar of RFC 8259, byte for byte, that keeps what it walked over as it is. It exists because a body
// is passed on unread: numbers of any size and lone surrogate escapes are legal and must come out unchanged, while
// `[1,,2]` must not get in. It allocates nothing, does not recurse, and looks at each byte once.
//
// It takes any bytes above 0x7f inside strings: whether they are UTF-8 is asked once of a whole frame (FrameDecoder).

// Deeper values are refused. One bit of stack memory each, and more than any frame of the default size can hold.
inline constexpr size_t kMaxJsonDepth = 65536;

// One checked value: its text without the white space around it, how deep it is nested (0: a scalar, 1: `[]`), and for
// a string whether it holds escapes.
struct JsonValue {
  std::string_view text;
  size_t depth = 0;
  bool escaped = false;

  bool IsObject() const { return text.starts_with('{'); }
  bool IsArray() const { return text.starts_with('['); }
  bool IsString() const { return text.starts_with('"'); }
};

// Reads values one after the other, and walks through the members of an object or array from outside:
//
//   JsonReader reader(text);
//   if (reader.Open('[')) {
//     while (reader.NextItem(']')) reader.ReadValue(&value);
//   }
//   if (!reader.AtEnd()) … not JSON
//
// After an error every call returns false.
class JsonReader {
 public:
  explicit JsonReader(std::string_view text) : begin_(text.data()), at_(begin_), end_(begin_ + text.size()) {}

  // Steps over white space and `bracket`. False, and no error, where something else is next.
  bool Open(char bracket);

  // Steps to the next item of what Open opened. False at its end, which is stepped over, and on an error.
  bool NextItem(char closing_bracket);

  // A member's key and its colon. `key` is the checked string with its quotes.
  bool ReadKey(JsonValue* key);

  // One value of any kind.
  bool ReadValue(JsonValue* value);

  // True where nothing but white space is left, and there was no error.
  bool AtEnd();

  bool failed() const { return failed_; }
  size_t offset() const { return static_cast<size_t>(at_ - begin_); }  // of the first wrong byte, after an error

 private:
  bool Fail() {
    failed_ = true;
    return false;
  }
  void SkipSpace();
  bool SkipString(bool* escaped);
  bool SkipNumber();
  bool SkipLiteral(std::string_view literal);
  bool SkipScalar(bool* escaped);

  const char* begin_;
  const char* at_;
  const char* end_;
  bool first_item_ = false;  // of the container last opened
  bool failed_ = false;
};

// What became of checking a whole text.
struct JsonCheck {
  bool ok = false;
  size_t offset = 0;  // ok: where the value ends; else: the first wrong byte, or the end where something is missing
  size_t depth = 0;
};

// Whether `text` is exactly one JSON value, with white space around it at most, nested no deeper than `max_depth`.
JsonCheck CheckJson(std::string_view text, size_t max_depth);

// The text that a checked JSON string (with its quotes) stands for, as UTF-8. False where it holds a lone surrogate
// escape, which no UTF-8 can say. `text` is overwritten.
bool UnescapeJsonString(std::string_view json, std::string* text);

}  // namespace everyonce
