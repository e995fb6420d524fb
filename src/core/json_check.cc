#include "core/json_check.h"

#include <bit>
#include <cstring>

namespace everyonce {
namespace {

bool IsDigit(char byte) { return byte >= '0' && byte <= '9'; }

// -1 for a byte that is no hexadecimal digit.
int HexDigit(char byte) {
  if (IsDigit(byte)) return byte - '0';
  const char lower = static_cast<char>(byte | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// How many of the 8 bytes come before the first quote, backslash or control byte, which end a run that a string may
// hold as it is; 8 where there is none. Looks at all of them at once, by the old trick of a borrow that marks zero
// bytes: a mark may be false only above a true one, and the lowest is what counts.
size_t PlainBytes(const char* bytes) {
  constexpr uint64_t kOnes = 0x0101010101010101;
  constexpr uint64_t kHighs = 0x8080808080808080;
  uint64_t word = 0;
  std::memcpy(&word, bytes, sizeof(word));
  static_assert(std::endian::native == std::endian::little, "the first byte must be the lowest");
  const uint64_t quote = word ^ (kOnes * '"');
  const uint64_t backslash = word ^ (kOnes * '\\');
  const uint64_t marks =
      (((quote - kOnes) & ~quote) | ((backslash - kOnes) & ~backslash) | ((word - kOnes * 0x20) & ~word)) & kHighs;
  return static_cast<size_t>(std::countr_zero(marks)) / 8;
}

// One bit per open bracket, set for an object. Only the words in use are ever written: clearing 8 KiB for each value
// would cost more than most values take to read.
class BracketStack {
 public:
  bool Push(bool is_object) {
    if (depth_ == kMaxJsonDepth) return false;
    const uint64_t bit = uint64_t{1} << (depth_ % 64);
    uint64_t& word = words_[depth_ / 64];
    if (depth_ % 64 == 0) word = 0;
    word = is_object ? word | bit : word & ~bit;
    ++depth_;
    return true;
  }
  void Pop() { --depth_; }
  bool TopIsObject() const { return (words_[(depth_ - 1) / 64] >> ((depth_ - 1) % 64) & 1) != 0; }
  size_t depth() const { return depth_; }

 private:
  size_t depth_ = 0;
  uint64_t words_[kMaxJsonDepth / 64];
};

// The 4 hexadecimal digits of a checked `\u` escape.
uint32_t HexUnit(const char* digits) {
  uint32_t unit = 0;
  for (int i = 0; i < 4; ++i) unit = unit * 16 + static_cast<uint32_t>(HexDigit(digits[i]));
  return unit;
}

void AppendUtf8(uint32_t point, std::string* text) {
  const auto append = [text](uint32_t byte) { text->push_back(static_cast<char>(byte)); };
  const auto append_rest = [&append](uint32_t bits) { append(0x80 | (bits & 0x3f)); };
  if (point < 0x80) {
    append(point);
  } else if (point < 0x800) {
    append(0xc0 | point >> 6);
    append_rest(point);
  } else if (point < 0x10000) {
    append(0xe0 | point >> 12);
    append_rest(point >> 6);
    append_rest(point);
  } else {
    append(0xf0 | point >> 18);
    append_rest(point >> 12);
    append_rest(point >> 6);
    append_rest(point);
  }
}

}  // namespace

void JsonReader::SkipSpace() {
  while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) ++at_;
}

bool JsonReader::SkipString(bool* escaped) {
  const char* at = at_ + 1;  // behind the quote; a local, so that it stays in a register
  const auto fail_at = [&] {
    at_ = at;
    return Fail();
  };
  for (;;) {
    while (end_ - at >= 8) {
      const size_t plain = PlainBytes(at);
      at += plain;
      if (plain < 8) break;
    }
    if (at == end_) return fail_at();
    const char byte = *at;
    if (byte == '"') {
      at_ = at + 1;
      return true;
    }
    if (static_cast<uint8_t>(byte) < 0x20) return fail_at();
    ++at;
    if (byte != '\\') continue;
    *escaped = true;
    if (at == end_) return fail_at();
    if (*at == 'u') {
      for (int i = 0; i < 4; ++i) {
        ++at;
        if (at == end_ || HexDigit(*at) < 0) return fail_at();
      }
    } else if (std::memchr("\"\\/bfnrt", *at, 8) == nullptr) {
      return fail_at();
    }
    ++at;
  }
}

bool JsonReader::SkipNumber() {
  const auto skip_digits = [this] {
    const char* first = at_;
    while (at_ != end_ && IsDigit(*at_)) ++at_;
    return at_ != first;
  };
  if (*at_ == '-') ++at_;
  if (at_ != end_ && *at_ == '0') {
    ++at_;  // and no digit after it: `01` leaves the 1 to whoever expects a comma
  } else if (!skip_digits()) {
    return Fail();
  }
  if (at_ != end_ && *at_ == '.') {
    ++at_;
    if (!skip_digits()) return Fail();
  }
  if (at_ != end_ && (*at_ == 'e' || *at_ == 'E')) {
    ++at_;
    if (at_ != end_ && (*at_ == '+' || *at_ == '-')) ++at_;
    if (!skip_digits()) return Fail();
  }
  return true;
}

bool JsonReader::SkipLiteral(std::string_view literal) {
  for (const char byte : literal) {
    if (at_ == end_ || *at_ != byte) return Fail();
    ++at_;
  }
  return true;
}

bool JsonReader::SkipScalar(bool* escaped) {
  switch (*at_) {
    case '"':
      return SkipString(escaped);
    case 't':
      return SkipLiteral("true");
    case 'f':
      return SkipLiteral("false");
    case 'n':
      return SkipLiteral("null");
    default:
      return *at_ == '-' || IsDigit(*at_) ? SkipNumber() : Fail();
  }
}

bool JsonReader::Open(char bracket) {
  SkipSpace();
  if (failed_ || at_ == end_ || *at_ != bracket) return false;
  ++at_;
  first_item_ = true;
  return true;
}

bool JsonReader::NextItem(char closing_bracket) {
  if (failed_) return false;
  SkipSpace();
  if (at_ == end_) return Fail();
  if (*at_ == closing_bracket) {
    ++at_;
    first_item_ = false;  // what was closed is itself an item of what is around it
    return false;
  }
  if (!first_item_) {
    if (*at_ != ',') return Fail();
    ++at_;  // what follows must be an item: the closing bracket is none, so `[1,]` fails where the item is read
  }
  first_item_ = false;
  return true;
}

bool JsonReader::ReadKey(JsonValue* key) {
  if (failed_) return false;
  SkipSpace();
  const char* const start = at_;
  if (at_ == end_ || *at_ != '"') return Fail();
  bool escaped = false;
  if (!SkipString(&escaped)) return false;
  *key = {std::string_view(start, static_cast<size_t>(at_ - start)), 0, escaped};
  SkipSpace();
  if (at_ == end_ || *at_ != ':') return Fail();
  ++at_;
  return true;
}

bool JsonReader::ReadValue(JsonValue* value) {
  if (failed_) return false;
  SkipSpace();
  if (at_ == end_) return Fail();
  const char* const start = at_;
  bool escaped = false;
  if (*at_ != '{' && *at_ != '[') {
    if (!SkipScalar(&escaped)) return false;
    *value = {std::string_view(start, static_cast<size_t>(at_ - start)), 0, escaped};
    return true;
  }

  BracketStack open;
  JsonValue key;
  size_t deepest = 0;
  // Each turn reads one item: a scalar, or an opening bracket, and then whatever closes after it.
  for (;;) {
    SkipSpace();
    if (at_ == end_) return Fail();
    const bool is_object = *at_ == '{';
    if (is_object || *at_ == '[') {
      if (!open.Push(is_object)) return Fail();
      if (open.depth() > deepest) deepest = open.depth();
      ++at_;
      first_item_ = true;
    } else if (!SkipScalar(&escaped)) {
      return false;
    }
    while (!NextItem(open.TopIsObject() ? '}' : ']')) {
      if (failed_) return false;
      open.Pop();
      if (open.depth() == 0) {
        *value = {std::string_view(start, static_cast<size_t>(at_ - start)), deepest, false};
        return true;
      }
    }
    if (open.TopIsObject() && !ReadKey(&key)) return false;
  }
}

bool JsonReader::AtEnd() {
  SkipSpace();
  return !failed_ && at_ == end_;
}

JsonCheck CheckJson(std::string_view text, size_t max_depth) {
  JsonReader reader(text);
  JsonValue value;
  if (!reader.ReadValue(&value)) return {false, reader.offset(), 0};
  const size_t end = reader.offset();
  if (!reader.AtEnd()) return {false, reader.offset(), value.depth};
  return {value.depth <= max_depth, end, value.depth};
}

bool UnescapeJsonString(std::string_view json, std::string* text) {
  text->clear();
  const std::string_view inside = json.substr(1, json.size() - 2);
  for (size_t i = 0; i < inside.size();) {
    const size_t backslash = inside.find('\\', i);
    text->append(inside, i, backslash - i);
    if (backslash == std::string_view::npos) break;
    const char escape = inside[backslash + 1];
    i = backslash + 2;
    if (escape != 'u') {
      static constexpr std::string_view kEscapes = "bfnrt";
      const size_t known = kEscapes.find(escape);
      text->push_back(known == std::string_view::npos ? escape : "\b\f\n\r\t"[known]);
      continue;
    }
    uint32_t point = HexUnit(&inside[i]);
    i += 4;
    if (point >= 0xdc00 && point < 0xe000) return false;
    if (point >= 0xd800 && point < 0xdc00) {
      if (inside.substr(i, 2) != "\\u") return false;
      const uint32_t low = HexUnit(&inside[i + 2]);
      if (low < 0xdc00 || low >= 0xe000) return false;
      point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
      i += 6;
    }
    AppendUtf8(point, text);
  }
  return true;
}

}  // namespace everyonce
