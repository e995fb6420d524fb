// What the primitives keep, where lib/primitives/redis/keys.js says that it lies in Redis.

#include <algorithm>
#include <array>
#include <utility>

#include "core/claim.h"
#include "migrate/store_reader.h"
#include "store/counter.h"
#include "store/offline.h"
#include "store/workers.h"

namespace everyonce {
namespace {

constexpr uint32_t kPartitions = 256;
constexpr char kWorkersKey[] = "eo:{workers}:snowflakes";
// A name that was acked in the offline table, before the next ack there forgets what is due.
constexpr char kNotAsked[] = "moved";

std::string Text(uint64_t number) { return std::to_string(number); }
std::string TextMs(int64_t ms) { return std::to_string(ms); }

// CRC-32 as of zlib (RFC 1952), which keys.js takes from Node.
uint32_t Crc32(std::string_view bytes) {
  uint32_t crc = ~uint32_t{0};
  for (const char byte : bytes) {
    crc ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb88320u : 0u);
  }
  return ~crc;
}

std::string KeyOf(std::string_view name, std::string_view kind) {
  return "eo:{k" + Text(Crc32(name) % kPartitions) + "}:" + std::string(kind) + ":" + std::string(name);
}

// 16 digits, so that they sort by their number (lua/offline_append.lua).
std::string PlaceOf(uint64_t order) {
  const std::string digits = Text(order);
  return std::string(digits.size() < 16 ? 16 - digits.size() : 0, '0') + digits;
}

}  // namespace

Status StoreReader::TakePrimitive(std::string_view key, std::string_view value) {
  if (key.empty()) return Corrupt(key);
  switch (key[0]) {
    case 'c':
    case 'd':
      return TakeClaim(key, value);
    case 'q':
    case 'g':
      return TakeCounter(key);
    case 'w':
      return TakeWorker(key, value);
    case 'o':
      return TakeOffline(key, value);
    // Fences in Redis are microseconds, above all that were counted here; what is to be removed expires by itself.
    case 'f':
    case 'x':
      return Status::Ok();
    default:
      return Corrupt(key);
  }
}

Status StoreReader::TakeClaim(std::string_view key, std::string_view value) {
  ClaimRecord record;
  if (!ClaimRecord::Decode(value, &record)) return Corrupt(key);
  if (record.forget_at_ms <= now_ms_) return Status::Ok();
  const std::string name = KeyOf(key, "c");
  constexpr std::array<const char*, 4> kPhases = {"I", "C", "D", "F"};
  const bool held = record.phase == ClaimPhase::kClaimed;
  out_->Hash(name, "st", kPhases[static_cast<size_t>(record.phase)]);
  out_->Hash(name, "at", Text(record.attempt));
  if (held || record.phase == ClaimPhase::kIssued) out_->Hash(name, "ow", record.owner);
  if (record.fence != 0) out_->Hash(name, "fe", Text(record.fence));
  if (held) out_->Hash(name, "lu", TextMs(record.lease_until_ms));
  if (!record.fingerprint.empty()) out_->Hash(name, "fp", record.fingerprint);
  if (record.phase == ClaimPhase::kDone || record.phase == ClaimPhase::kFailed) out_->Hash(name, "re", record.result);
  out_->Expiry(record.forget_at_ms);
  ++counts_.claims;
  return Status::Ok();
}

Status StoreReader::TakeCounter(std::string_view key) {
  StagedTable table(kv_);
  const StoreRoom room = {.table = &table, .now_ms = first_ms_, .generation = generation_, .filter = nullptr};
  uint64_t last = 0;
  Status status = LastNumber(room, std::string(key), &last);
  if (!status.ok()) return status;
  out_->Counter(KeyOf(key, "n"), last, first_ms_);
  ++counts_.counters;
  return status;
}

Status StoreReader::TakeWorker(std::string_view key, std::string_view value) {
  StagedTable table(kv_);
  const StoreRoom room = {.table = &table, .now_ms = first_ms_, .generation = generation_, .filter = nullptr};
  WorkerRecord record;
  bool found = false;
  if (key.size() != 3 || value.empty()) return Corrupt(key);
  const uint32_t worker = uint32_t{static_cast<uint8_t>(key[1])} << 8 | static_cast<uint8_t>(key[2]);
  Status status = ReadWorker(room, worker, &record, &found);
  uint64_t newest_fence = 0;
  if (status.ok()) status = LastNumber(room, "f", &newest_fence);
  if (!status.ok() || !found) return status;
  const std::string reserved = TextMs(record.reserved_until_ms);
  out_->Hash(kWorkersKey, Text(worker),
             (record.owner.empty() ? "-" : record.owner) + " " + Text(record.fence) + " " + TextMs(record.lease_ms) +
                 " " + TextMs(record.lease_until_ms) + " " + reserved + " " + reserved + " 0");
  out_->Hash(kWorkersKey, "f", Text(newest_fence));
  ++counts_.workers;
  return status;
}

Status StoreReader::TakeOffline(std::string_view key, std::string_view value) {
  OfflineEntry entry;
  if (!DecodeOfflineEntry(key, value, &entry)) return Corrupt(key);
  const auto part = [&entry](char letter) { return KeyOf(entry.receiver, std::string("o:") + letter); };
  const std::string place = PlaceOf(entry.order);
  const OfflineItem& item = entry.item;
  switch (entry.kind) {
    case OfflineEntryKind::kItem:
      out_->Hash(part('m'), place, item.sender + '\0' + item.msg_id + '\0' + item.body);
      out_->Sorted(part('o'), 0, place);
      out_->Sorted(part('s'), 0, item.sender + '\0' + place);
      ++counts_.waiting;
      return Status::Ok();
    case OfflineEntryKind::kName:
      if (entry.order != 0) {
        out_->Hash(part('i'), item.msg_id, place + " " + kNotAsked);
      } else if (entry.forget_at_ms > now_ms_) {
        out_->Sorted(part('a'), static_cast<uint64_t>(entry.forget_at_ms), item.msg_id);
        out_->Expiry(entry.forget_at_ms);
      }
      return Status::Ok();
    case OfflineEntryKind::kCount:
      out_->Hash(part('c'), item.sender, Text(entry.count));
      return Status::Ok();
    case OfflineEntryKind::kOther:
      return Status::Ok();
  }
  return Status::Ok();
}

}  // namespace everyonce
