#include "core/json_check.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/seed.h"

namespace everyonce {
namespace {

constexpr size_t kAnyDepth = kMaxJsonDepth;

std::string Repeat(std::string_view text, size_t times) {
  std::string repeated;
  for (size_t i = 0; i < times; ++i) repeated += text;
  return repeated;
}

// The grammar again, written to be read rather than to be fast: the pages of RFC 8259 as recursive functions. Each
// takes a position and gives the one behind what it read, or nothing.
class Oracle {
 public:
  using End = std::optional<size_t>;

  static bool Accepts(std::string_view text, size_t* depth) {
    Oracle oracle(text);
    const End end = oracle.Value(oracle.Space(0), 0);
    *depth = oracle.deepest_;
    return end && oracle.Space(*end) == text.size();
  }

 private:
  explicit Oracle(std::string_view text) : text_(text) {}

  char At(size_t at) const { return at < text_.size() ? text_[at] : '\x01'; }  // \x01: legal nowhere
  bool Is(size_t at, std::string_view any_of) const {
    return at < text_.size() && any_of.find(text_[at]) != std::string_view::npos;
  }
  size_t Space(size_t at) const {
    while (Is(at, " \t\r\n")) ++at;
    return at;
  }
  End Digits(size_t at) const {
    if (!Is(at, "0123456789")) return {};
    while (Is(at, "0123456789")) ++at;
    return at;
  }
  End Number(size_t at) const {
    if (At(at) == '-') ++at;
    End end = At(at) == '0' ? End(at + 1) : Digits(at);
    if (end && At(*end) == '.') end = Digits(*end + 1);
    if (end && Is(*end, "eE")) end = Digits(Is(*end + 1, "+-") ? *end + 2 : *end + 1);
    return end;
  }
  End String(size_t at) const {
    if (At(at) != '"') return {};
    for (++at; At(at) != '"'; ++at) {
      if (static_cast<unsigned char>(At(at)) < 0x20) return {};
      if (At(at) != '\\') continue;
      ++at;
      if (At(at) == 'u') {
        for (int i = 0; i < 4; ++i) {
          if (!Is(++at, "0123456789abcdefABCDEF")) return {};
        }
      } else if (!Is(at, "\"\\/bfnrt")) {
        return {};
      }
    }
    return at + 1;
  }
  End Items(size_t at, bool is_object, size_t depth) {
    const char closing = is_object ? '}' : ']';
    at = Space(at + 1);
    if (At(at) == closing) return at + 1;
    for (;;) {
      if (is_object) {
        const End key = String(at);
        if (!key) return {};
        at = Space(*key);
        if (At(at) != ':') return {};
        at = Space(at + 1);
      }
      const End item = Value(at, depth);
      if (!item) return {};
      at = Space(*item);
      if (At(at) == closing) return at + 1;
      if (At(at) != ',') return {};
      at = Space(at + 1);
    }
  }
  End Value(size_t at, size_t depth) {
    if (Is(at, "{[")) {
      deepest_ = std::max(deepest_, depth + 1);
      return Items(at, At(at) == '{', depth + 1);
    }
    if (At(at) == '"') return String(at);
    for (const std::string_view literal : {"true", "false", "null"}) {
      if (text_.substr(std::min(at, text_.size())).starts_with(literal)) return at + literal.size();
    }
    return Number(at);
  }

  std::string_view text_;
  size_t deepest_ = 0;
};

std::string RandomValue(test::Random& random, int depth) {
  static const std::vector<std::string> kScalars = {"0",
                                                    "-1",
                                                    "1.5",
                                                    "2e9",
                                                    "-0.0E+10",
                                                    "true",
                                                    "false",
                                                    "null",
                                                    "\"\"",
                                                    "\"abc\"",
                                                    "\"\\u12aF\"",
                                                    "\"\\n\\\"\"",
                                                    "\"a long text, so that it is read eight bytes at a time\""};
  if (depth == 0 || random.OneIn(3)) return random.Pick(kScalars);
  const bool is_object = random.OneIn(2);
  std::string text(1, is_object ? '{' : '[');
  for (uint64_t items = random.Below(4), i = 0; i < items; ++i) {
    if (i > 0) text += random.OneIn(4) ? " ,\n" : ",";
    if (is_object) text += random.OneIn(4) ? "\"key\" : " : "\"k\":";
    text += RandomValue(random, depth - 1);
  }
  return text + (is_object ? '}' : ']');
}

void Mutate(test::Random& random, std::string* text) {
  static constexpr std::string_view kBytes = "{}[]:,\"\\ue+-.0123456789truefalsn \t\n\r\x00\x1f\x7f\xc3\xa9";
  const size_t at = random.Below(text->size() + 1);
  switch (random.Below(4)) {
    case 0:
      text->insert(at, 1, kBytes[random.Below(kBytes.size())]);
      break;
    case 1:
      text->erase(at, 1 + random.Below(3));
      break;
    case 2:
      if (at < text->size()) (*text)[at] = kBytes[random.Below(kBytes.size())];
      break;
    default:
      text->insert(at, text->substr(random.Below(text->size() + 1), random.Below(8)));
  }
}

TEST(JsonCheck, AgreesWithTheGrammarWrittenPlainly) {
  const uint64_t seed = test::FromEnvironment("EVERYONCE_SEED", 20240601);
  const uint64_t runs = test::FromEnvironment("EVERYONCE_RUNS", 40000);
  SCOPED_TRACE("EVERYONCE_SEED=" + std::to_string(seed));
  test::Random random(seed);
  uint64_t accepted = 0;
  for (uint64_t run = 0; run < runs; ++run) {
    std::string text = RandomValue(random, 4);
    for (uint64_t mutations = random.Below(4), i = 0; i < mutations; ++i) Mutate(random, &text);
    size_t depth = 0;
    const bool legal = Oracle::Accepts(text, &depth);
    const JsonCheck check = CheckJson(text, kAnyDepth);
    ASSERT_EQ(check.ok, legal) << text;
    ASSERT_LE(check.offset, text.size());
    if (legal) {
      ASSERT_EQ(check.depth, depth) << text;
    }
    accepted += legal ? 1 : 0;
  }
  // Both kinds must be there in numbers, or the comparison says little.
  EXPECT_GT(accepted, runs / 5);
  EXPECT_LT(accepted, runs - runs / 5);
}

TEST(JsonCheck, AcceptsEveryKindOfValue) {
  for (const std::string_view text : {"0",
                                      "-0",
                                      "10",
                                      "1.0",
                                      "0.1e1",
                                      "1E-9",
                                      "1e+9",
                                      "123456789012345678901234567890123456789012345678901234567890",
                                      "-1e999999",
                                      "true",
                                      "false",
                                      "null",
                                      "\"\"",
                                      "\"\\ud800\"",
                                      "\"\\uDFFF\\ud800\"",
                                      "\"\\u0000\"",
                                      "\"\x7f\"",
                                      "\"/\"",
                                      "\"\\/\\b\\f\\n\\r\\t\\\\\\\"\"",
                                      "[]",
                                      "{}",
                                      " [ ] ",
                                      "{ }",
                                      "[[],[{}],{}]",
                                      R"({"a":1,"a":2,"":[]})",
                                      "\t1\r\n"}) {
    EXPECT_TRUE(CheckJson(text, kAnyDepth).ok) << text;
  }
}

TEST(JsonCheck, RefusesWhatTheGrammarDoesNotHave) {
  using namespace std::string_view_literals;
  for (const std::string_view text : {""sv,
                                      " "sv,
                                      "{\"a\":tru}"sv,
                                      "truee"sv,
                                      "nul"sv,
                                      "True"sv,
                                      "[1,,2]"sv,
                                      "[1,]"sv,
                                      "[,1]"sv,
                                      "{\"a\":1,}"sv,
                                      "{,}"sv,
                                      "[01]"sv,
                                      "-01"sv,
                                      "-"sv,
                                      "1."sv,
                                      ".5"sv,
                                      "-.5"sv,
                                      "1e"sv,
                                      "1e+"sv,
                                      "+1"sv,
                                      "0x1"sv,
                                      "1 2"sv,
                                      "\"\\u12\""sv,
                                      "\"\\u123g\""sv,
                                      "\"\\x\""sv,
                                      "\"\\"sv,
                                      "\"\\u"sv,
                                      "\"abc"sv,
                                      "\""sv,
                                      "\"a\nb\""sv,
                                      "\"a\0b\""sv,
                                      "\"\x1f\""sv,
                                      "\"long enough\tto be fast\""sv,
                                      "["sv,
                                      "]"sv,
                                      "{"sv,
                                      "[1"sv,
                                      "[1}"sv,
                                      "{\"a\"}"sv,
                                      "{\"a\":}"sv,
                                      "{a:1}"sv,
                                      "{1:1}"sv,
                                      "[\"a\":1]"sv,
                                      "[]]"sv,
                                      "[] []"sv,
                                      "[[]1]"sv,
                                      "[1 2]"sv,
                                      "{\"a\":1\"b\":2}"sv,
                                      "\xef\xbb\xbf[]"sv,
                                      "1\0"sv,
                                      "\0"sv,
                                      "'a'"sv,
                                      "[1]/**/"sv,
                                      "\v1"sv,
                                      "NaN"sv,
                                      "Infinity"sv,
                                      "\"a\" \"b\""sv,
                                      "--1"sv,
                                      "1.e1"sv,
                                      "{\"a\":1 , }"sv}) {
    EXPECT_FALSE(CheckJson(text, kAnyDepth).ok) << text;
  }
}

TEST(JsonCheck, TellsWhereTheTextGoesWrong) {
  EXPECT_EQ(CheckJson("[1,,2]", kAnyDepth).offset, 3U);
  EXPECT_EQ(CheckJson("{\"a\":tru}", kAnyDepth).offset, 8U);
  EXPECT_EQ(CheckJson("[1", kAnyDepth).offset, 2U);
  EXPECT_EQ(CheckJson("[] x", kAnyDepth).offset, 3U);
  EXPECT_EQ(CheckJson(" [] ", kAnyDepth).offset, 3U) << "the end of a good value, without the space behind it";
}

TEST(JsonCheck, CountsNestingAndKeepsTheLimit) {
  EXPECT_EQ(CheckJson("1", 0).depth, 0U);
  EXPECT_EQ(CheckJson("[[1],{\"a\":{\"b\":[]}}]", kAnyDepth).depth, 4U);
  EXPECT_TRUE(CheckJson(Repeat("[", 64) + Repeat("]", 64), 64).ok);
  EXPECT_FALSE(CheckJson(Repeat("[", 65) + Repeat("]", 65), 64).ok);
  EXPECT_FALSE(CheckJson(Repeat("{\"a\":", 65) + "1" + Repeat("}", 65), 64).ok);
  // Brackets of both kinds, deeper than one word of the stack, must still match.
  EXPECT_TRUE(CheckJson(Repeat("[{\"a\":", 100) + "1" + Repeat("}]", 100), kAnyDepth).ok);
  EXPECT_FALSE(CheckJson(Repeat("[{\"a\":", 100) + "1" + Repeat("}]", 40) + "]" + Repeat("}]", 60), kAnyDepth).ok);
  EXPECT_TRUE(CheckJson("[" + Repeat("[", 63) + Repeat("]", 63) + ",[[]]]", 64).ok) << "a word of the stack used again";
  EXPECT_TRUE(CheckJson(Repeat("[", kMaxJsonDepth) + Repeat("]", kMaxJsonDepth), kAnyDepth).ok);
  EXPECT_FALSE(CheckJson(Repeat("[", kMaxJsonDepth + 1) + Repeat("]", kMaxJsonDepth + 1), 2 * kAnyDepth).ok);
  EXPECT_FALSE(CheckJson(Repeat("[", 1000000), kAnyDepth).ok) << "and no stack runs over";
}

TEST(JsonCheck, FindsTheEndOfAStringAtEveryOffset) {
  for (size_t before = 0; before < 20; ++before) {
    for (const std::string_view byte : {"\x01", "\x1f", "\\q"}) {
      const std::string text = "\"" + Repeat("x", before) + std::string(byte) + Repeat("x", 20) + "\"";
      EXPECT_EQ(CheckJson(text, 0).offset, before + byte.size()) << text;
    }
    const std::string text = "\"" + Repeat("\xc3\xa9", before) + "\\\"" + Repeat("\xe2\x82\xac", before) + "\"";
    EXPECT_TRUE(CheckJson(text, 0).ok) << text;
    EXPECT_FALSE(CheckJson(text.substr(0, text.size() - 1), 0).ok) << text;
  }
}

TEST(JsonReader, WalksThroughAnObjectAndAnArrayByTheSameReader) {
  JsonReader reader(R"( [ {"a" : [1, 2] , "b\n":{ }} , "x" ] )");
  JsonValue key;
  JsonValue value;
  ASSERT_TRUE(reader.Open('['));
  ASSERT_TRUE(reader.NextItem(']'));
  EXPECT_FALSE(reader.Open('['));
  ASSERT_TRUE(reader.Open('{'));
  ASSERT_TRUE(reader.NextItem('}'));
  ASSERT_TRUE(reader.ReadKey(&key) && reader.ReadValue(&value));
  EXPECT_EQ(key.text, "\"a\"");
  EXPECT_EQ(value.text, "[1, 2]");
  EXPECT_EQ(value.depth, 1U);
  ASSERT_TRUE(reader.NextItem('}'));
  ASSERT_TRUE(reader.ReadKey(&key) && reader.ReadValue(&value));
  EXPECT_EQ(key.text, R"("b\n")");
  EXPECT_EQ(value.text, "{ }");
  EXPECT_FALSE(reader.NextItem('}'));
  ASSERT_TRUE(reader.NextItem(']'));
  ASSERT_TRUE(reader.ReadValue(&value));
  EXPECT_EQ(value.text, "\"x\"");
  EXPECT_FALSE(reader.NextItem(']'));
  EXPECT_TRUE(reader.AtEnd());
}

TEST(JsonReader, NeedsACommaBehindAnEmptyContainer) {
  JsonReader reader("[{}{}]");
  ASSERT_TRUE(reader.Open('[') && reader.NextItem(']') && reader.Open('{'));
  EXPECT_FALSE(reader.NextItem('}'));
  EXPECT_FALSE(reader.NextItem(']'));
  EXPECT_TRUE(reader.failed());
}

TEST(JsonReader, StaysFailed) {
  JsonReader reader("x []");
  JsonValue value;
  EXPECT_FALSE(reader.ReadValue(&value));
  EXPECT_FALSE(reader.Open('['));
  EXPECT_FALSE(reader.NextItem(']'));
  EXPECT_FALSE(reader.ReadKey(&value));
  EXPECT_FALSE(reader.ReadValue(&value));
  EXPECT_FALSE(reader.AtEnd());
}

TEST(UnescapeJsonString, GivesTheTextAsUtf8) {
  std::string text;
  ASSERT_TRUE(UnescapeJsonString(R"("a\"\\\/\b\f\n\r\tz")", &text));
  EXPECT_EQ(text, "a\"\\/\b\f\n\r\tz");
  ASSERT_TRUE(UnescapeJsonString(R"("\u0041\u00e9\u20AC\ud83D\uDe00!")", &text));
  EXPECT_EQ(text, "Aé€😀!");
  ASSERT_TRUE(UnescapeJsonString(R"("\u0000")", &text));
  EXPECT_EQ(text, std::string(1, '\0'));
  ASSERT_TRUE(UnescapeJsonString(R"("")", &text));
  EXPECT_EQ(text, "");
}

TEST(UnescapeJsonString, RefusesLoneSurrogates) {
  std::string text;
  for (const std::string_view json : {R"("\ud800")", R"("\udc00")", R"("\ud800x")", R"("\ud800\n")",
                                      R"("\ud800\u0041")", R"("\ud83d\ud83d\ude00")", R"("\udbff\ue000")"}) {
    EXPECT_FALSE(UnescapeJsonString(json, &text)) << json;
  }
}

}  // namespace
}  // namespace everyonce
