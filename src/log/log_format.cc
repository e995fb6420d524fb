#include "log/log_format.h"

#include <initializer_list>

#include "core/byte_codec.h"

namespace everyonce {
namespace {

// Of every value here; a store with another one is refused when it is opened (RocksKv::kFormatVersion).
constexpr uint8_t kVersion = 1;

struct Value {
  std::string bytes;
  ByteWriter writer{&bytes};
  Value() { writer.Byte(kVersion); }
};

ByteReader Open(std::string_view value) {
  ByteReader reader(value);
  if (reader.Byte() != kVersion) reader.Fail();
  return reader;
}

}  // namespace

std::string EncodeLogRecord(const LogRecord& record) {
  std::string bytes;
  bytes.reserve(64 + record.from.size() + record.device.size() + record.id.size() + record.type.size() +
                record.body.size());
  ByteWriter writer(&bytes);
  writer.Byte(kVersion);
  writer.Fixed64(record.mid);
  writer.Varint(static_cast<uint64_t>(record.at_ms));
  writer.Varint(record.n);
  writer.Varint(record.system_count);
  writer.Varint(record.run);
  writer.Bytes(record.from);
  writer.Bytes(record.device);
  writer.Bytes(record.id);
  writer.Bytes(record.type);
  writer.Raw(record.body);
  return bytes;
}

bool DecodeLogRecord(std::string_view value, LogRecord* record) {
  ByteReader reader = Open(value);
  record->mid = reader.Fixed64();
  record->at_ms = static_cast<int64_t>(reader.Varint());
  record->n = reader.Varint();
  record->system_count = reader.Varint();
  record->run = reader.Varint();
  record->from = reader.Bytes();
  record->device = reader.Bytes();
  record->id = reader.Bytes();
  record->type = reader.Bytes();
  record->body = reader.rest();
  return reader.ok();
}

std::string ConversationRecord::Encode() const {
  Value value;
  value.writer.Varint(static_cast<uint64_t>(created_at_ms));
  value.writer.Bytes(creator);
  value.writer.Byte(history_all ? 1 : 0);
  value.writer.Varint(generation);
  value.writer.Varint(epochs.entries().size());
  for (const EpochTable::Entry& entry : epochs.entries()) {
    value.writer.Varint(entry.epoch);
    value.writer.Varint(entry.first_seq);
  }
  value.writer.Varint(snapshot_seq);
  value.writer.Varint(system_count);
  value.writer.Varint(static_cast<uint64_t>(last_at_ms));
  if (floor == 0) return value.bytes;
  value.writer.Varint(floor);
  value.writer.Varint(floor_system_count);
  return value.bytes;
}

bool ConversationRecord::Decode(std::string_view value, ConversationRecord* record) {
  ByteReader reader = Open(value);
  record->created_at_ms = static_cast<int64_t>(reader.Varint());
  record->creator = reader.Bytes();
  record->history_all = reader.Byte() != 0;
  record->generation = reader.Varint();
  const uint64_t epochs_count = reader.Varint();
  if (epochs_count > kMaxEpochs) return false;
  for (uint64_t i = 0; i < epochs_count; ++i) {
    const uint64_t epoch = reader.Varint();
    record->epochs.Begin(epoch, reader.Varint());
  }
  record->snapshot_seq = reader.Varint();
  record->system_count = reader.Varint();
  record->last_at_ms = static_cast<int64_t>(reader.Varint());
  if (reader.AtEnd()) return true;
  record->floor = reader.Varint();
  record->floor_system_count = reader.Varint();
  return reader.AtEnd() && record->floor <= record->snapshot_seq;
}

std::string KeptAnswer::Encode() const {
  Value value;
  value.writer.Fixed64(mid);
  value.writer.Varint(static_cast<uint64_t>(at_ms));
  value.writer.Bytes(id);
  return value.bytes;
}

bool KeptAnswer::Decode(std::string_view value, KeptAnswer* answer) {
  ByteReader reader = Open(value);
  answer->mid = reader.Fixed64();
  answer->at_ms = static_cast<int64_t>(reader.Varint());
  answer->id = reader.Bytes();
  return reader.AtEnd();
}

std::string EncodeSpans(const VisibleSpans& spans) {
  Value value;
  value.writer.Varint(spans.size());
  for (const VisibleSpan& span : spans) {
    value.writer.Varint(span.from);
    value.writer.Varint(span.open() ? 0 : span.to);
    value.writer.Varint(span.system_before);
    value.writer.Varint(span.system_at_end);
  }
  return value.bytes;
}

bool DecodeSpans(std::string_view value, VisibleSpans* spans) {
  ByteReader reader = Open(value);
  spans->clear();
  const uint64_t count = reader.Varint();
  for (uint64_t i = 0; i < count && reader.ok(); ++i) {
    VisibleSpan span;
    span.from = reader.Varint();
    span.to = reader.Varint();
    if (span.to == 0) span.to = kMaxInteger;
    span.system_before = reader.Varint();
    span.system_at_end = reader.Varint();
    if (span.from == 0 || span.from > span.to || (i > 0 && span.from <= spans->back().to)) reader.Fail();
    spans->push_back(span);
  }
  return reader.AtEnd();
}

std::string OwnRecord::Encode(uint64_t as_of_seq) const {
  Value value;
  value.writer.Varint(as_of_seq);
  value.writer.Varint(total);
  value.writer.Varint(recent.size());
  uint64_t last = 0;
  for (uint64_t seq : recent) {
    value.writer.Varint(seq - last);
    last = seq;
  }
  return value.bytes;
}

bool OwnRecord::Decode(std::string_view value, OwnRecord* record, uint64_t* as_of_seq) {
  ByteReader reader = Open(value);
  *as_of_seq = reader.Varint();
  record->total = reader.Varint();
  const uint64_t count = reader.Varint();
  if (count >= kOwnBlock) return false;
  record->recent.clear();
  uint64_t last = 0;
  for (uint64_t i = 0; i < count; ++i) record->recent.push_back(last += reader.Varint());
  return reader.AtEnd();
}

std::string EncodeOwnBlock(uint64_t count_before, const std::vector<uint64_t>& seqs) {
  Value value;
  value.writer.Varint(count_before);
  uint64_t last = 0;
  for (uint64_t seq : seqs) {
    value.writer.Varint(seq - last);
    last = seq;
  }
  return value.bytes;
}

bool DecodeOwnBlock(std::string_view value, uint64_t* count_before, std::vector<uint64_t>* seqs) {
  ByteReader reader = Open(value);
  *count_before = reader.Varint();
  seqs->clear();
  uint64_t last = 0;
  for (size_t i = 0; i < kOwnBlock; ++i) seqs->push_back(last += reader.Varint());
  return reader.AtEnd();
}

std::string GotRecord::Encode() const {
  Value value;
  value.writer.Varint(epoch);
  acked.Encode(&value.bytes);
  return value.bytes;
}

bool GotRecord::Decode(std::string_view value, GotRecord* record) {
  ByteReader reader = Open(value);
  record->epoch = reader.Varint();
  std::string_view rest = reader.rest();
  return reader.ok() && AckedRanges::Decode(&rest, &record->acked) && rest.empty();
}

std::string ReadRecord::Encode() const {
  Value value;
  value.writer.Varint(epoch);
  value.writer.Varint(seq);
  value.writer.Varint(own_count);
  value.writer.Varint(system_count);
  return value.bytes;
}

bool ReadRecord::Decode(std::string_view value, ReadRecord* record) {
  ByteReader reader = Open(value);
  record->epoch = reader.Varint();
  record->seq = reader.Varint();
  record->own_count = reader.Varint();
  record->system_count = reader.Varint();
  return reader.AtEnd();
}

std::string DeviceRecord::Encode() const {
  Value value;
  value.writer.Varint(pe);
  value.writer.Varint(static_cast<uint64_t>(first_hello_ms));
  value.writer.Varint(static_cast<uint64_t>(last_seen_ms));
  return value.bytes;
}

bool DeviceRecord::Decode(std::string_view value, DeviceRecord* record) {
  ByteReader reader = Open(value);
  record->pe = reader.Varint();
  record->first_hello_ms = static_cast<int64_t>(reader.Varint());
  record->last_seen_ms = static_cast<int64_t>(reader.Varint());
  return reader.AtEnd();
}

namespace key {
namespace {

// The kind byte, then the parts with a zero between them.
std::string Joined(char kind, std::initializer_list<std::string_view> parts) {
  std::string key;
  size_t size = parts.size() + 9;
  for (std::string_view part : parts) size += part.size();
  key.reserve(size);
  if (kind != '\0') key.push_back(kind);
  bool first = true;
  for (std::string_view part : parts) {
    if (!first) key.push_back('\0');
    first = false;
    key.append(part);
  }
  return key;
}

void AppendNumber(uint64_t number, std::string* key) {
  for (int shift = 56; shift >= 0; shift -= 8) key->push_back(static_cast<char>(number >> shift));
}

std::string WithNumber(std::string key, uint64_t number) {
  key.push_back('\0');
  AppendNumber(number, &key);
  return key;
}

std::string Numbered(char kind, uint64_t number) {
  std::string key(1, kind);
  AppendNumber(number, &key);
  return key;
}

}  // namespace

std::string Log(std::string_view conv, uint64_t seq) { return WithNumber(Joined('\0', {conv}), seq); }
std::string Conversation(std::string_view conv) { return Joined('h', {conv}); }
std::string Member(std::string_view conv, std::string_view user) { return Joined('m', {conv, user}); }
std::string Own(std::string_view conv, std::string_view user) { return Joined('f', {conv, user}); }
std::string OwnBlock(std::string_view conv, std::string_view user, uint64_t first_seq) {
  return WithNumber(Joined('o', {conv, user}), first_seq);
}
std::string UserConversation(std::string_view user, std::string_view conv) { return Joined('u', {user, conv}); }
std::string Producer(std::string_view conv, std::string_view user, std::string_view device) {
  return Joined('p', {conv, user, device});
}
std::string ProducerBlock(std::string_view conv, std::string_view user, std::string_view device, uint64_t block) {
  return WithNumber(Joined('b', {conv, user, device}), block);
}
std::string Answer(std::string_view conv, std::string_view user, std::string_view device, uint64_t n, uint64_t seq) {
  std::string key = WithNumber(Joined('s', {conv, user, device}), n);
  for (int shift = 56; shift >= 0; shift -= 8) key.push_back(static_cast<char>(seq >> shift));
  return key;
}
std::string Got(std::string_view user, std::string_view device, std::string_view conv) {
  return Joined('g', {user, device, conv});
}
std::string Read(std::string_view user, std::string_view conv) { return Joined('r', {user, conv}); }
std::string Device(std::string_view user, std::string_view device) { return Joined('d', {user, device}); }
std::string Window(std::string_view conv, std::string_view user, std::string_view id) {
  return Joined('\0', {conv, user, id});
}
std::string TokenKey() { return "token key"; }
std::string MidReservation(uint16_t worker) { return "mid " + std::to_string(worker); }
std::string Generation() { return "generation"; }
std::string GenerationEpoch() { return "generation epoch"; }
std::string FeedGroup(std::string_view group) { return "feed " + std::string(group); }
std::string FeedDropped() { return "feeds-dropped"; }
std::string FeedDropped(uint64_t number) { return WithNumber(FeedDropped(), number); }
std::string FeedPositions(uint64_t number) { return Numbered('c', number); }
std::string FeedPosition(uint64_t number, std::string_view conv) { return FeedPositions(number).append(conv); }
std::string FeedLetters(uint64_t number) { return Numbered('x', number); }
std::string FeedLetter(uint64_t number, uint64_t mid) {
  std::string key = FeedLetters(number);
  AppendNumber(mid, &key);
  return key;
}

std::string After(std::string prefix) {
  prefix.back() = static_cast<char>(prefix.back() + 1);
  return prefix;
}

uint64_t NumberAtEnd(std::string_view key) {
  uint64_t number = 0;
  for (char byte : key.substr(key.size() - 8)) number = number << 8 | static_cast<uint8_t>(byte);
  return number;
}

}  // namespace key
}  // namespace everyonce
