#include "core/packet_decode.h"

#include "core/identifiers.h"

namespace everyonce {
namespace {

struct TypeName {
  std::string_view name;
  PacketType type;
};
constexpr TypeName kTypeNames[] = {
    {"send", PacketType::kSend},     {"got", PacketType::kGot},         {"ping", PacketType::kPing},
    {"pong", PacketType::kPong},     {"read", PacketType::kRead},       {"pull", PacketType::kPull},
    {"hello", PacketType::kHello},   {"resume", PacketType::kResume},   {"status", PacketType::kStatus},
    {"skip", PacketType::kSkip},     {"history", PacketType::kHistory}, {"counts", PacketType::kCounts},
    {"create", PacketType::kCreate}, {"add", PacketType::kAdd},         {"remove", PacketType::kRemove},
    {"leave", PacketType::kLeave},   {"signal", PacketType::kSignal},   {"tokens", PacketType::kTokens},
};

PacketType FindType(std::string_view name) {
  for (const TypeName& known : kTypeNames) {
    if (known.name == name) return known.type;
  }
  return PacketType::kUnknown;
}

constexpr TextRule kConversationRule = {
    IsConversation, "a conversation id: dm:A:B with two different users, the smaller one first, or g:NAME"};
constexpr TextRule kGroupRule = {IsGroup, "a group's conversation id: g:NAME, NAME = [A-Za-z0-9_.@-]{1,96}"};
constexpr TextRule kMessageIdRule = {IsMessageId, "a string of 8 to 64 letters, digits, _ or -"};
constexpr TextRule kDeviceRule = {IsDevice, "a string of 1 to 64 letters, digits, _ or -, neither server nor system"};
constexpr TextRule kTypeRule = {IsMessageType, "a string of 1 to 32 of [a-z0-9._-], and not system.*"};
constexpr TextRule kUserRule = {IsUser, "a user id: 1 to 64 of [A-Za-z0-9_.@-], and not system"};
constexpr TextRule kAnyTextRule = {[](std::string_view) { return true; }, "a string"};
constexpr TextRule kTokenRule = {[](std::string_view text) { return text.size() <= kMaxTokenBytes; },
                                 "a string of at most 8192 bytes"};
constexpr TextRule kNextRule = {[](std::string_view text) { return !text.empty() && text.size() <= kMaxNextBytes; },
                                "a string of 1 to 4096 bytes"};
constexpr TextRule kOrderRule = {[](std::string_view text) { return text == "oldest" || text == "newest"; },
                                 "\"oldest\" or \"newest\""};
constexpr TextRule kHistoryRule = {[](std::string_view text) { return text == "all"; }, "\"all\""};

constexpr Need kRequired = Need::kRequired;
constexpr Need kOptional = Need::kOptional;

// At most `max_bytes` of valid UTF-8, and no half character at the end.
std::string CutText(std::string_view text, size_t max_bytes) {
  if (text.size() <= max_bytes) return std::string(text);
  while (max_bytes > 0 && (static_cast<uint8_t>(text[max_bytes]) & 0xc0) == 0x80) --max_bytes;
  return std::string(text.substr(0, max_bytes));
}

void ReadBody(FieldReader* reader, const Limits& limits, std::string* body) {
  if (!reader->Find(Key::kBody, kRequired)) return;
  const JsonValue& value = reader->Get(Key::kBody);
  if (value.text.size() > limits.body_bytes) {
    return reader->Fail(Key::kBody, "may have at most " + std::to_string(limits.body_bytes) + " bytes",
                        Code::kTooLarge);
  }
  if (value.depth > kMaxBodyDepth) {
    return reader->Fail(Key::kBody, "may be nested at most " + std::to_string(kMaxBodyDepth) + " deep");
  }
  body->assign(value.text);
}

// conv, id and n come first: they say what a nack is about, whatever else is wrong.
void ReadSend(FieldReader* reader, const Limits& limits, Packet* packet, std::string* package_id) {
  reader->Text(Key::kConv, kRequired, kConversationRule, &packet->conv);
  reader->Text(Key::kId, kRequired, kMessageIdRule, &packet->id);
  reader->Integer(Key::kN, kOptional, 1, &packet->n);
  packet->message_type = "text";
  reader->Text(Key::kType, kOptional, kTypeRule, &packet->message_type);
  reader->Integer(Key::kAt, kOptional, 0, &packet->at);
  reader->Package(&packet->package, package_id);
  // The parts of a package share one n, so they need one.
  if (packet->package) reader->Find(Key::kN, kRequired);
  ReadBody(reader, limits, &packet->body);
}

void ReadHello(FieldReader* reader, Packet* packet) {
  reader->Integer(Key::kV, kRequired, 0, &packet->version);
  reader->Text(Key::kDevice, kRequired, kDeviceRule, &packet->device);
  reader->Integer(Key::kPe, kRequired, 1, &packet->pe);
  reader->Text(Key::kToken, kOptional, kTokenRule, &packet->token);
  reader->Flag(Key::kLive, &packet->live);
  reader->Positions(kOptional, &packet->positions);
}

// from..to, in this order and not empty.
void ReadRange(FieldReader* reader, Packet* packet) {
  reader->Integer(Key::kFrom, kRequired, 1, &packet->from);
  reader->Integer(Key::kTo, kRequired, 1, &packet->to);
  if (packet->from && packet->to && *packet->from > *packet->to) reader->Fail(Key::kFrom, "must not be above \"to\"");
}

void ReadGot(FieldReader* reader, Packet* packet) {
  reader->Text(Key::kConv, kRequired, kConversationRule, &packet->conv);
  reader->Integer(Key::kEpoch, kOptional, 0, &packet->epoch);
  const bool is_range = reader->Find(Key::kFrom, kOptional) || reader->Find(Key::kTo, kOptional);
  if (!is_range) {
    reader->Integer(Key::kSeq, kRequired, 0, &packet->seq);
  } else if (reader->Find(Key::kSeq, kOptional)) {
    reader->Fail(Key::kSeq, "can't be given together with \"from\" and \"to\"");
  } else {
    ReadRange(reader, packet);
  }
}

void ReadPull(FieldReader* reader, Packet* packet) {
  reader->Text(Key::kConv, kOptional, kConversationRule, &packet->conv);
  reader->Integer(Key::kLimit, kRequired, 1, &packet->limit);
  std::string order;
  reader->Text(Key::kOrder, kOptional, kOrderRule, &order);
  packet->newest_first = order == "newest";
  reader->Text(Key::kNext, kOptional, kNextRule, &packet->next);
  reader->Flag(Key::kHold, &packet->hold);
}

void ReadHistory(FieldReader* reader, Packet* packet) {
  reader->Text(Key::kConv, kRequired, kConversationRule, &packet->conv);
  reader->Integer(Key::kBefore, kOptional, 0, &packet->before);
  reader->Integer(Key::kAfter, kOptional, 0, &packet->after);
  reader->Integer(Key::kLimit, kRequired, 1, &packet->limit);
}

void ReadMembers(FieldReader* reader, Packet* packet) {
  const bool is_create = packet->type == PacketType::kCreate;
  reader->Text(Key::kConv, kRequired, is_create ? kGroupRule : kConversationRule, &packet->conv);
  reader->TextList(Key::kMembers, kMaxMembersPerPacket, kUserRule, &packet->members);
  if (!is_create) return;
  std::string history;
  reader->Text(Key::kHistory, kOptional, kHistoryRule, &history);
  packet->history_all = history == "all";
}

void ReadStatus(FieldReader* reader, Packet* packet) {
  reader->Text(Key::kConv, kRequired, kConversationRule, &packet->conv);
  reader->TextList(Key::kIds, kMaxStatusIds, kMessageIdRule, &packet->ids);
  reader->Text(Key::kDevice, kOptional, kDeviceRule, &packet->device);
}

// Whether the answer to this type carries `rid`, which makes it a required key.
bool IsAnsweredByRid(PacketType type) {
  switch (type) {
    case PacketType::kUnknown:
    case PacketType::kHello:
    case PacketType::kPing:
    case PacketType::kPong:
    case PacketType::kSend:
    case PacketType::kGot:
    case PacketType::kRead:
    case PacketType::kSignal:
      return false;
    default:
      return true;
  }
}

void ReadByType(FieldReader* reader, const Limits& limits, Packet* packet, std::string* package_id) {
  switch (packet->type) {
    case PacketType::kUnknown:
    case PacketType::kPing:
    case PacketType::kPong:
      return;
    case PacketType::kHello:
      return ReadHello(reader, packet);
    case PacketType::kResume:
      return reader->Positions(kRequired, &packet->positions);
    case PacketType::kSend:
      return ReadSend(reader, limits, packet, package_id);
    case PacketType::kStatus:
      return ReadStatus(reader, packet);
    case PacketType::kSkip:
      reader->Text(Key::kConv, kRequired, kConversationRule, &packet->conv);
      return ReadRange(reader, packet);
    case PacketType::kGot:
      return ReadGot(reader, packet);
    case PacketType::kPull:
      return ReadPull(reader, packet);
    case PacketType::kHistory:
      return ReadHistory(reader, packet);
    case PacketType::kCounts:
      return reader->Text(Key::kAfter, kOptional, kConversationRule, &packet->after_conv);
    case PacketType::kCreate:
    case PacketType::kAdd:
    case PacketType::kRemove:
      return ReadMembers(reader, packet);
    case PacketType::kLeave:
      return reader->Text(Key::kConv, kRequired, kConversationRule, &packet->conv);
    case PacketType::kRead:
      reader->Text(Key::kConv, kRequired, kConversationRule, &packet->conv);
      reader->Integer(Key::kEpoch, kOptional, 0, &packet->epoch);
      return reader->Integer(Key::kSeq, kRequired, 0, &packet->seq);
    case PacketType::kSignal:
      reader->Text(Key::kConv, kRequired, kConversationRule, &packet->conv);
      return ReadBody(reader, limits, &packet->body);
    case PacketType::kTokens:
      reader->Integer(Key::kCount, kRequired, 1, &packet->count);
      if (packet->count.value_or(0) > kMaxTokensPerPacket) {
        reader->FailToBe(Key::kCount, "an integer from 1 to " + std::to_string(kMaxTokensPerPacket));
      }
      return;
  }
}

}  // namespace

void DecodePacket(const PacketFields& fields, const Limits& limits, DecodedPacket* decoded) {
  Packet& packet = decoded->packet;
  FieldReader reader(fields);
  std::string package_id;
  reader.Text(Key::kT, kRequired, kAnyTextRule, &packet.type_name);
  packet.type = FindType(packet.type_name);
  if (packet.type == PacketType::kUnknown) packet.type_name = CutText(packet.type_name, kMaxTypeNameBytes);
  reader.Rid(IsAnsweredByRid(packet.type) ? kRequired : kOptional, &packet.rid_json);
  ReadByType(&reader, limits, &packet, &package_id);
  if (!reader.mistake()) return;

  PacketError& error = decoded->error.emplace();
  error.status = *reader.mistake();
  error.rid_json = packet.rid_json;
  error.is_hello = packet.type == PacketType::kHello;
  error.is_send = packet.type == PacketType::kSend;
  error.too_many_positions = reader.too_many_positions();
  if (!error.is_send) return;
  error.conv = packet.conv;
  error.id = packet.id;
  error.n = packet.n;
  error.package_id = package_id;
}

}  // namespace everyonce
