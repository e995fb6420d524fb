#include "store/counter.h"

#include <algorithm>

#include "core/byte_codec.h"

namespace everyonce {
namespace {

constexpr uint8_t kVersion = 1;

struct CounterRecord {
  uint64_t value = 0;
  uint64_t generation = 0;
  int64_t at_ms = 0;

  std::string Encode() const {
    std::string bytes;
    ByteWriter writer(&bytes);
    writer.Byte(kVersion);
    writer.Varint(value);
    writer.Varint(generation);
    writer.Varint(static_cast<uint64_t>(at_ms));
    return bytes;
  }
  bool Decode(std::string_view bytes) {
    ByteReader reader(bytes);
    const uint8_t version = reader.Byte();
    value = reader.Varint();
    generation = reader.Varint();
    at_ms = static_cast<int64_t>(reader.Varint());
    return reader.AtEnd() && version == kVersion;
  }
};

// As of now: a jump that is due has been made.
Status Read(const StoreRoom& room, const std::string& key, CounterRecord* record) {
  std::string value;
  bool found = false;
  Status status = room.table->Get(key, &value, &found);
  if (!status.ok()) return status;
  if (!found) {
    record->value = kJump * room.generation;
  } else if (!record->Decode(value)) {
    return Status::Error(Code::kStoreCorrupt, "no counter is stored under its key");
  } else if (record->generation != room.generation) {
    const int64_t unused_ms = std::max<int64_t>(0, room.now_ms - record->at_ms);
    record->value += kJump + kJumpPerMs * static_cast<uint64_t>(unused_ms);
  }
  record->generation = room.generation;
  return status;
}

}  // namespace

Status TakeNumbers(const StoreRoom& room, const std::string& key, uint64_t count, uint64_t max, uint64_t* first) {
  CounterRecord record;
  Status status = Read(room, key, &record);
  if (!status.ok()) return status;
  if (record.value > max || count > max - record.value) {
    return Status::Error(Code::kTooLarge, "no numbers are left there");
  }
  *first = record.value + 1;
  record.value += count;
  record.at_ms = std::max(record.at_ms, room.now_ms);
  room.table->Put(key, record.Encode());
  return status;
}

Status LastNumber(const StoreRoom& room, const std::string& key, uint64_t* last) {
  CounterRecord record;
  Status status = Read(room, key, &record);
  *last = record.value;
  return status;
}

}  // namespace everyonce
