// The decoder against test/vectors, which say in JSON what protocol.md says in prose.

#include <gtest/gtest.h>
#include <simdjson.h>

#include <filesystem>
#include <string>
#include <vector>

#include "core/packet.h"

namespace everyonce {
namespace {

using simdjson::dom::element;

// By value, so that a loop over one keeps it alive. The vectors are ours: a wrong type there is a broken test.
simdjson::dom::array Array(element json) { return json.get_array().value_unsafe(); }
simdjson::dom::object Object(element json) { return json.get_object().value_unsafe(); }
std::string_view String(element json) { return json.get_string().value_unsafe(); }
element Member(element json, std::string_view key) { return json[key].value_unsafe(); }

// The tests run from the project's root, or from a folder below it.
std::string VectorPath(const std::string& name) {
  for (std::filesystem::path folder = std::filesystem::current_path();; folder = folder.parent_path()) {
    const std::filesystem::path path = folder / "test" / "vectors" / name;
    if (std::filesystem::exists(path) || folder == folder.parent_path()) return path.string();
  }
}

// One vector, its `fill` applied.
class Vector {
 public:
  explicit Vector(element json) : json_(json) {}

  std::string Name() const { return std::string(String(Member(json_, "name"))); }
  std::string Frame() const { return Filled(String(Member(json_, "frame"))); }
  bool IsRefused() const { return json_["refused"].error() == simdjson::SUCCESS; }
  std::vector<element> Packets() const {
    std::vector<element> packets;
    for (element packet : Array(Member(json_, "packets"))) packets.push_back(packet);
    return packets;
  }

  std::string Filled(std::string_view text) const {
    std::string filled(text);
    simdjson::dom::object fill;
    if (json_["fill"].get(fill) != simdjson::SUCCESS) return filled;
    for (const auto [marker, value] : fill) {
      const std::string_view piece = value.at(0).get_string().value_unsafe();
      std::string repeated;
      for (uint64_t times = value.at(1).get_uint64().value_unsafe(), i = 0; i < times; ++i) repeated += piece;
      for (size_t at = filled.find(marker); at != std::string::npos; at = filled.find(marker, at + repeated.size())) {
        filled.replace(at, marker.size(), repeated);
      }
    }
    return filled;
  }

  // A scalar or list as text: one form for what is expected and what came.
  std::string Text(element value) const {
    if (value.is_string()) return Filled(String(value));
    if (value.is_array()) {
      std::string text;
      for (element item : Array(value)) text += Text(item) + ",";
      return text;
    }
    if (value.is_null()) return "absent";
    return simdjson::minify(value);
  }

 private:
  element json_;
};

std::string Text(const std::optional<uint64_t>& value) { return value ? std::to_string(*value) : "absent"; }
std::string Text(bool value) { return value ? "true" : "false"; }
std::string Text(const std::vector<std::string>& list) {
  std::string text;
  for (const std::string& item : list) text += item + ",";
  return text;
}

// What the decoder made of the key, as text. Fails the test for a key that no packet has.
std::string Actual(std::string_view key, const Packet& packet) {
  if (key == "name") return packet.type_name;
  if (key == "rid") return packet.rid_json;
  if (key == "conv") return packet.conv;
  if (key == "id") return packet.id;
  if (key == "device") return packet.device;
  if (key == "type") return packet.message_type;
  if (key == "body") return packet.body;
  if (key == "token") return packet.token;
  if (key == "next") return packet.next;
  if (key == "v") return std::to_string(packet.version);
  if (key == "pe") return std::to_string(packet.pe);
  if (key == "n") return Text(packet.n);
  if (key == "epoch") return Text(packet.epoch);
  if (key == "seq") return Text(packet.seq);
  if (key == "from") return Text(packet.from);
  if (key == "to") return Text(packet.to);
  if (key == "limit") return Text(packet.limit);
  if (key == "before") return Text(packet.before);
  if (key == "after") return packet.type == PacketType::kCounts ? packet.after_conv : Text(packet.after);
  if (key == "count") return Text(packet.count);
  if (key == "at") return Text(packet.at);
  if (key == "live") return Text(packet.live);
  if (key == "hold") return Text(packet.hold);
  if (key == "order") return packet.newest_first ? "newest" : "oldest";
  if (key == "history") return packet.history_all ? "all" : "";
  if (key == "ids") return Text(packet.ids);
  if (key == "members") return Text(packet.members);
  ADD_FAILURE() << "no packet has the key " << key;
  return "";
}

void ExpectPositions(element expected, const std::vector<Position>& positions) {
  std::string text;
  for (const auto [conv, position] : Object(expected)) {
    text += std::string(conv) + simdjson::minify(position);
  }
  std::string actual;
  for (const Position& position : positions) {
    actual += position.conv + "[" + std::to_string(position.epoch) + "," + std::to_string(position.seq) + "]";
  }
  EXPECT_EQ(actual, text);
}

void ExpectPackage(element expected, const std::optional<PackagePart>& package) {
  ASSERT_TRUE(package.has_value());
  EXPECT_EQ(package->id, String(Member(expected, "id")));
  EXPECT_EQ(package->index, expected["i"].get_uint64().value_unsafe());
  EXPECT_EQ(package->total, expected["total"].get_uint64().value_unsafe());
}

constexpr std::pair<std::string_view, PacketType> kTypes[] = {
    {"", PacketType::kUnknown},      {"hello", PacketType::kHello},     {"resume", PacketType::kResume},
    {"ping", PacketType::kPing},     {"pong", PacketType::kPong},       {"send", PacketType::kSend},
    {"status", PacketType::kStatus}, {"skip", PacketType::kSkip},       {"got", PacketType::kGot},
    {"pull", PacketType::kPull},     {"history", PacketType::kHistory}, {"counts", PacketType::kCounts},
    {"create", PacketType::kCreate}, {"add", PacketType::kAdd},         {"remove", PacketType::kRemove},
    {"leave", PacketType::kLeave},   {"read", PacketType::kRead},       {"signal", PacketType::kSignal},
    {"tokens", PacketType::kTokens},
};

void ExpectPacket(const Vector& vector, element expected, const Packet& packet) {
  for (const auto [key, value] : Object(expected)) {
    SCOPED_TRACE(std::string(key));
    if (key == "t") {
      const std::string_view name = String(value);
      for (const auto& [type_name, type] : kTypes) {
        if (type_name == name) {
          EXPECT_EQ(packet.type, type);
        }
      }
    } else if (key == "at" && value.is_object()) {
      ExpectPositions(value, packet.positions);
    } else if (key == "pkg") {
      ExpectPackage(value, packet.package);
    } else if (key == "length") {
      for (const auto [list, length] : Object(value)) {
        EXPECT_EQ((list == "ids" ? packet.ids : packet.members).size(), length.get_uint64().value_unsafe());
      }
    } else {
      EXPECT_EQ(Actual(key, packet), vector.Text(value));
    }
  }
}

std::string Actual(std::string_view key, const PacketError& error) {
  if (key == "conv") return error.conv;
  if (key == "id") return error.id;
  if (key == "n") return Text(error.n);
  if (key == "pkgId") return error.package_id;
  return error.rid_json;
}

void ExpectError(element expected, const PacketError& error) {
  const std::string_view field = String(Member(expected, "field"));
  EXPECT_EQ(CodeName(error.status.code), String(Member(expected, "error")));
  EXPECT_EQ(error.status.field, field);
  if (!field.empty()) {
    EXPECT_TRUE(error.status.message.starts_with("\"" + std::string(field) + "\" ")) << error.status.message;
  }
  EXPECT_TRUE(error.status.message.ends_with('.')) << error.status.message;
  std::string_view type;
  if (expected["t"].get(type) != simdjson::SUCCESS) type = "";
  EXPECT_EQ(error.is_send, type == "send");
  EXPECT_EQ(error.is_hello, type == "hello");
  for (const auto [key, value] : Object(expected)) {
    SCOPED_TRACE(std::string(key));
    if (key == "conv" || key == "id" || key == "n" || key == "pkgId" || key == "rid") {
      EXPECT_EQ(Actual(key, error), value.is_string() ? String(value)
                                    : value.is_null() ? "absent"
                                                      : simdjson::minify(value));
    } else if (key == "tooManyPositions") {
      EXPECT_EQ(error.too_many_positions, value.get_bool().value_unsafe());
    }
  }
}

void RunVectors(const std::string& name, size_t at_least) {
  simdjson::dom::parser parser;
  simdjson::dom::array vectors;
  ASSERT_EQ(parser.load(VectorPath(name)).get(vectors), simdjson::SUCCESS) << VectorPath(name);
  ASSERT_GE(vectors.size(), at_least) << "are the vectors all there?";
  FrameDecoder decoder;
  for (element json : vectors) {
    const Vector vector(json);
    SCOPED_TRACE(vector.Name());
    std::vector<DecodedPacket> decoded(1);  // what is there already stays
    const Status status = decoder.Decode(vector.Frame(), Limits(), &decoded);
    if (vector.IsRefused()) {
      EXPECT_EQ(status.code, Code::kBadRequest);
      EXPECT_EQ(decoded.size(), 1U);
      continue;
    }
    EXPECT_TRUE(status.ok()) << status.message;
    const std::vector<element> expected = vector.Packets();
    ASSERT_EQ(decoded.size(), 1 + expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      SCOPED_TRACE("packet " + std::to_string(i));
      const DecodedPacket& packet = decoded[1 + i];
      const bool wants_error = expected[i]["error"].error() == simdjson::SUCCESS;
      ASSERT_EQ(packet.error.has_value(), wants_error) << (packet.error ? packet.error->status.message : "");
      if (wants_error) {
        ExpectError(expected[i], *packet.error);
      } else {
        ExpectPacket(vector, expected[i], packet.packet);
      }
    }
  }
}

TEST(PacketVectors, GoodPacketsAreTaken) { RunVectors("good-packets.json", 57); }

TEST(PacketVectors, BadPacketsAreRefusedByName) { RunVectors("bad-packets.json", 228); }

}  // namespace
}  // namespace everyonce
