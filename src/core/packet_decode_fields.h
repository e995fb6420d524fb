#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json_check.h"
#include "core/packet.h"

namespace everyonce {

// The members of one packet, first by key and unread (PacketFields: `t` may come last), then read one by one under the
// rules of protocol.md (FieldReader).

// Every key that some packet has.
enum class Key : uint8_t {
  kT,
  kV,
  kN,
  kPe,
  kAt,
  kId,
  kTo,
  kRid,
  kPkg,
  kIds,
  kSeq,
  kLive,
  kConv,
  kType,
  kBody,
  kFrom,
  kNext,
  kHold,
  kToken,
  kEpoch,
  kLimit,
  kOrder,
  kAfter,
  kCount,
  kDevice,
  kBefore,
  kMembers,
  kHistory,
};
inline constexpr size_t kKeys = static_cast<size_t>(Key::kHistory) + 1;

std::string_view KeyName(Key key);

// The members of one object that have a known key, as checked JSON text: views into the frame.
class PacketFields {
 public:
  // Reads on behind the opening brace, up to and with the closing one. False where the text is not JSON.
  bool Read(JsonReader* reader);

  bool Has(Key key) const { return (present_ >> static_cast<size_t>(key) & 1) != 0; }
  // REQUIRES: Has(key).
  const JsonValue& Get(Key key) const { return values_[static_cast<size_t>(key)]; }

 private:
  static_assert(kKeys <= 32, "present_ has a bit for each key");
  std::array<JsonValue, kKeys> values_;
  uint32_t present_ = 0;
  std::string unescaped_key_;
};

// What a string must be, and the words for it.
struct TextRule {
  bool (*accepts)(std::string_view text);
  const char* words;
};

enum class Need { kRequired, kOptional };

// Reads single keys. Goes on after a mistake, so that an answer can still name what was right; the first mistake is the
// one that is told. What is wrong or absent leaves its destination as it was.
class FieldReader {
 public:
  explicit FieldReader(const PacketFields& fields) : fields_(fields) {}

  // True where the key is there; else false, and a mistake where it was needed.
  bool Find(Key key, Need need);
  const JsonValue& Get(Key key) const { return fields_.Get(key); }

  void Text(Key key, Need need, const TextRule& rule, std::string* out);
  void Integer(Key key, Need need, uint64_t min, std::optional<uint64_t>* out);
  void Integer(Key key, Need need, uint64_t min, uint64_t* out);
  void Flag(Key key, bool* out);
  void TextList(Key key, size_t max_items, const TextRule& rule, std::vector<std::string>* out);
  // As JSON text, ready to be echoed. Optional: what is no rid is no mistake either.
  void Rid(Need need, std::string* out);
  void Positions(Need need, std::vector<Position>* out);
  // `id` also where the rest is wrong.
  void Package(std::optional<PackagePart>* out, std::string* id);

  // Records a mistake with `key`, told as `"key" <words>`.
  void Fail(Key key, std::string_view words, Code code = Code::kBadRequest);
  void FailToBe(Key key, std::string_view words);  // `"key" must be <words>`

  const std::optional<Status>& mistake() const { return mistake_; }
  bool too_many_positions() const { return too_many_positions_; }

 private:
  // The text of a checked string; none for another value, or a string that no UTF-8 can say. A view until the next
  // call.
  std::optional<std::string_view> TextOf(const JsonValue& value);
  bool ReadPosition(const JsonValue& key, const JsonValue& value, std::vector<Position>* out);

  const PacketFields& fields_;
  std::optional<Status> mistake_;
  std::string unescaped_;
  bool too_many_positions_ = false;
};

}  // namespace everyonce
