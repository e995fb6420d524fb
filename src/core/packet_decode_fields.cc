#include "core/packet_decode_fields.h"

#include <charconv>

#include "core/identifiers.h"
#include "core/limits.h"

namespace everyonce {
namespace {

// In the order of Key, which is by length.
constexpr std::array<std::string_view, kKeys> kKeyNames = {
    "t",     "v",     "n",     "pe",    "at",     "id",     "to",      "rid",    "pkg",   "ids",
    "seq",   "live",  "conv",  "type",  "body",   "from",   "next",    "hold",   "token", "epoch",
    "limit", "order", "after", "count", "device", "before", "members", "history"};
constexpr size_t kMaxKeyBytes = 7;

// A short name as one integer, so that names are compared without a call. The length is the highest byte: no two names
// become the same, whatever bytes a client sends.
constexpr uint64_t Packed(std::string_view name) {
  uint64_t packed = uint64_t{name.size()} << 56;
  for (size_t i = 0; i < name.size(); ++i) packed |= uint64_t{static_cast<uint8_t>(name[i])} << (8 * i);
  return packed;
}

constexpr std::array<uint64_t, kKeys> kPackedNames = [] {
  std::array<uint64_t, kKeys> packed{};
  for (size_t i = 0; i < kKeys; ++i) packed[i] = Packed(kKeyNames[i]);
  return packed;
}();

// kFirstOfLength[k]: the first name of k bytes. A key is compared only with the names of its own length.
constexpr std::array<size_t, kMaxKeyBytes + 2> kFirstOfLength = [] {
  std::array<size_t, kMaxKeyBytes + 2> first{};
  for (size_t length = 0; length < first.size(); ++length) {
    while (first[length] < kKeys && kKeyNames[first[length]].size() < length) ++first[length];
  }
  return first;
}();

std::optional<Key> FindKey(std::string_view name) {
  if (name.size() > kMaxKeyBytes) return std::nullopt;
  const uint64_t packed = Packed(name);
  for (size_t i = kFirstOfLength[name.size()]; i < kFirstOfLength[name.size() + 1]; ++i) {
    if (kPackedNames[i] == packed) return static_cast<Key>(i);
  }
  return std::nullopt;
}

std::string_view Inside(std::string_view quoted) { return quoted.substr(1, quoted.size() - 2); }

// A JSON integer literal from 0 to kMaxInteger. `1.0` and `1e3` are none: a reader that keeps numbers as text and one
// that keeps them as doubles must not come to different ends.
std::optional<uint64_t> ParseInteger(std::string_view json) {
  constexpr size_t kMaxDigits = 16;
  if (json.empty() || json.size() > kMaxDigits) return std::nullopt;
  uint64_t value = 0;
  const char* const end = json.data() + json.size();
  const auto result = std::from_chars(json.data(), end, value);
  if (result.ec != std::errc() || result.ptr != end || value > kMaxInteger) return std::nullopt;
  return value;
}

}  // namespace

std::string_view KeyName(Key key) { return kKeyNames[static_cast<size_t>(key)]; }

bool PacketFields::Read(JsonReader* reader) {
  present_ = 0;
  JsonValue name;
  JsonValue value;
  while (reader->NextItem('}')) {
    if (!reader->ReadKey(&name) || !reader->ReadValue(&value)) return false;
    std::string_view text = Inside(name.text);
    if (name.escaped) {
      if (!UnescapeJsonString(name.text, &unescaped_key_)) continue;
      text = unescaped_key_;
    }
    const std::optional<Key> key = FindKey(text);
    if (!key) continue;
    values_[static_cast<size_t>(*key)] = value;
    present_ |= uint32_t{1} << static_cast<size_t>(*key);
  }
  return !reader->failed();
}

void FieldReader::Fail(Key key, std::string_view words, Code code) {
  if (mistake_) return;
  const std::string name(KeyName(key));
  mistake_ = Status::Error(code, "\"" + name + "\" " + std::string(words) + ".", name);
}

void FieldReader::FailToBe(Key key, std::string_view words) { Fail(key, "must be " + std::string(words)); }

bool FieldReader::Find(Key key, Need need) {
  if (fields_.Has(key)) return true;
  if (need == Need::kRequired) Fail(key, "is missing");
  return false;
}

std::optional<std::string_view> FieldReader::TextOf(const JsonValue& value) {
  if (!value.IsString()) return std::nullopt;
  if (!value.escaped) return Inside(value.text);
  if (!UnescapeJsonString(value.text, &unescaped_)) return std::nullopt;
  return unescaped_;
}

void FieldReader::Text(Key key, Need need, const TextRule& rule, std::string* out) {
  if (!Find(key, need)) return;
  const std::optional<std::string_view> text = TextOf(Get(key));
  if (!text || !rule.accepts(*text)) return FailToBe(key, rule.words);
  out->assign(*text);
}

void FieldReader::Integer(Key key, Need need, uint64_t min, std::optional<uint64_t>* out) {
  if (!Find(key, need)) return;
  const std::optional<uint64_t> value = ParseInteger(Get(key).text);
  if (!value || *value < min) {
    return FailToBe(key, "an integer from " + std::to_string(min) + " to " + std::to_string(kMaxInteger));
  }
  *out = value;
}

void FieldReader::Integer(Key key, Need need, uint64_t min, uint64_t* out) {
  std::optional<uint64_t> value;
  Integer(key, need, min, &value);
  if (value) *out = *value;
}

void FieldReader::Flag(Key key, bool* out) {
  if (!Find(key, Need::kOptional)) return;
  const std::string_view text = Get(key).text;
  if (text != "true" && text != "false") return FailToBe(key, "true or false");
  *out = text == "true";
}

void FieldReader::TextList(Key key, size_t max_items, const TextRule& rule, std::vector<std::string>* out) {
  if (!Find(key, Need::kRequired)) return;
  JsonReader reader(Get(key).text);
  if (!reader.Open('[')) return FailToBe(key, "an array");
  JsonValue item;
  while (reader.NextItem(']') && reader.ReadValue(&item)) {
    if (out->size() == max_items) {
      out->clear();
      return Fail(key, "may hold at most " + std::to_string(max_items));
    }
    const std::optional<std::string_view> text = TextOf(item);
    if (!text || !rule.accepts(*text)) {
      out->clear();
      return Fail(key, "must hold only what is " + std::string(rule.words));
    }
    out->emplace_back(*text);
  }
}

void FieldReader::Rid(Need need, std::string* out) {
  if (!Find(Key::kRid, need)) return;
  const JsonValue& value = Get(Key::kRid);
  bool valid;
  if (value.IsString()) {
    const std::optional<std::string_view> text = TextOf(value);
    valid = text && text->size() <= kMaxRidBytes;
  } else {
    const bool negative = value.text.starts_with('-');
    valid = ParseInteger(value.text.substr(negative ? 1 : 0)).has_value();
  }
  if (valid) {
    out->assign(value.text);
  } else if (need == Need::kRequired) {
    FailToBe(Key::kRid, "a string of at most 64 bytes or an integer");
  }
}

// `"conv":[epoch,seq]`. The last position given for a conversation counts.
bool FieldReader::ReadPosition(const JsonValue& key, const JsonValue& value, std::vector<Position>* out) {
  const std::optional<std::string_view> conv = TextOf(key);
  if (!conv || !IsConversation(*conv)) return false;
  Position position{std::string(*conv)};
  JsonReader reader(value.text);
  if (!reader.Open('[')) return false;
  JsonValue item;
  for (uint64_t* out_part : {&position.epoch, &position.seq}) {
    if (!reader.NextItem(']') || !reader.ReadValue(&item)) return false;
    const std::optional<uint64_t> part = ParseInteger(item.text);
    if (!part) return false;
    *out_part = *part;
  }
  if (reader.NextItem(']')) return false;
  for (Position& known : *out) {
    if (known.conv != position.conv) continue;
    known = std::move(position);
    return true;
  }
  out->push_back(std::move(position));
  return true;
}

void FieldReader::Positions(Need need, std::vector<Position>* out) {
  if (!Find(Key::kAt, need)) return;
  JsonReader reader(Get(Key::kAt).text);
  if (!reader.Open('{')) return FailToBe(Key::kAt, "an object of positions");
  JsonValue key;
  JsonValue value;
  size_t entries = 0;
  bool valid = true;
  while (reader.NextItem('}') && reader.ReadKey(&key) && reader.ReadValue(&value)) {
    if (++entries > kMaxPositionsPerPacket) {
      too_many_positions_ = true;
      Fail(Key::kAt, "may hold at most " + std::to_string(kMaxPositionsPerPacket) + " positions");
      break;
    }
    valid = valid && ReadPosition(key, value, out);
  }
  if (!valid) FailToBe(Key::kAt, "an object of positions, each \"conversation id\": [epoch, seq]");
  if (!valid || too_many_positions_) out->clear();
}

void FieldReader::Package(std::optional<PackagePart>* out, std::string* id) {
  if (!Find(Key::kPkg, Need::kOptional)) return;
  JsonReader reader(Get(Key::kPkg).text);
  std::optional<uint64_t> index;
  std::optional<uint64_t> total;
  JsonValue name;
  JsonValue value;
  const bool is_object = reader.Open('{');
  while (is_object && reader.NextItem('}') && reader.ReadKey(&name) && reader.ReadValue(&value)) {
    const std::string key(TextOf(name).value_or(""));
    if (key == "id") {
      const std::string_view text = TextOf(value).value_or("");
      id->assign(IsPackageId(text) ? text : "");
    } else if (key == "i") {
      index = ParseInteger(value.text);
    } else if (key == "total") {
      total = ParseInteger(value.text);
    }
  }
  if (id->empty() || !index || !total || *total < 1 || *total > kMaxPackageParts || *index >= *total) {
    return FailToBe(Key::kPkg, "{\"id\": 1 to 64 letters, digits, _ or -, \"i\": 0 to total - 1, \"total\": 1 to 256}");
  }
  *out = PackagePart{*id, static_cast<uint32_t>(*index), static_cast<uint32_t>(*total)};
}

}  // namespace everyonce
