#include "store/workers.h"

#include <algorithm>
#include <limits>

#include "core/byte_codec.h"
#include "core/snowflake.h"
#include "store/claims.h"

namespace everyonce {
namespace {

constexpr uint8_t kVersion = 1;

std::string WorkerKey(uint32_t worker) {
  return {'w', static_cast<char>(worker >> 8), static_cast<char>(worker & 0xff)};
}

// The record of a grant that is still the worker's; null where it is not.
Status ReadHeld(const StoreRoom& room, uint32_t worker, std::string_view owner, uint64_t fence, WorkerRecord* record,
                bool* held) {
  bool found = false;
  Status status = ReadWorker(room, worker, record, &found);
  *held = found && record->fence == fence && record->owner == owner;
  return status;
}

}  // namespace

std::string WorkerRecord::Encode() const {
  std::string bytes;
  ByteWriter writer(&bytes);
  writer.Byte(kVersion);
  writer.Varint(fence);
  writer.Varint(generation);
  writer.Varint(static_cast<uint64_t>(lease_ms));
  writer.Varint(static_cast<uint64_t>(lease_until_ms));
  writer.Varint(static_cast<uint64_t>(reserved_until_ms));
  writer.Raw(owner);
  return bytes;
}

bool WorkerRecord::Decode(std::string_view bytes) {
  ByteReader reader(bytes);
  const uint8_t version = reader.Byte();
  fence = reader.Varint();
  generation = reader.Varint();
  lease_ms = static_cast<int64_t>(reader.Varint());
  lease_until_ms = static_cast<int64_t>(reader.Varint());
  reserved_until_ms = static_cast<int64_t>(reader.Varint());
  owner = reader.rest();
  return reader.ok() && version == kVersion;
}

Status ReadWorker(const StoreRoom& room, uint32_t worker, WorkerRecord* record, bool* found) {
  std::string value;
  Status status = room.table->Get(WorkerKey(worker), &value, found);
  if (!status.ok() || !*found) return status;
  if (!record->Decode(value)) {
    return Status::Error(Code::kStoreCorrupt, "no record of worker " + std::to_string(worker));
  }
  if (record->generation != room.generation) {
    // Whoever had it may go on making ids until the lease that it knows of has run out.
    record->lease_until_ms = std::max(record->lease_until_ms, room.now_ms + record->lease_ms);
    record->reserved_until_ms = std::max(record->reserved_until_ms, record->lease_until_ms);
    record->generation = room.generation;
    room.table->Put(WorkerKey(worker), record->Encode());
  }
  return status;
}

Status LeaseWorker(const StoreRoom& room, std::string_view owner, int64_t lease_ms, int64_t reserve_ms,
                   WorkerGrant* grant, int64_t* retry_ms) {
  *retry_ms = std::numeric_limits<int64_t>::max();
  grant->used_until_ms = std::numeric_limits<int64_t>::max();
  bool any = false;
  // The first that may be used at once; else, where the clock has gone back, the one that has to wait least.
  for (uint32_t worker = 0; worker <= Snowflake::kMaxWorker && (!any || grant->used_until_ms > room.now_ms); ++worker) {
    WorkerRecord record;
    bool found = false;
    Status status = ReadWorker(room, worker, &record, &found);
    if (!status.ok()) return status;
    if (found && record.lease_until_ms > room.now_ms) {
      *retry_ms = std::min(*retry_ms, record.lease_until_ms - room.now_ms);
      continue;
    }
    const bool lost_tail = !found && room.generation > 0;
    const int64_t used_until_ms = lost_tail ? room.now_ms + reserve_ms : record.reserved_until_ms;
    if (any && used_until_ms >= grant->used_until_ms) continue;
    any = true;
    grant->worker = worker;
    grant->used_until_ms = used_until_ms;
  }
  if (!any) return Status::Error(Code::kOverloaded, "all 1024 worker numbers are leased");
  Status status = NextFence(room, &grant->fence);
  if (!status.ok()) return status;
  grant->reserved_until_ms = std::max(room.now_ms, grant->used_until_ms) + reserve_ms;
  const WorkerRecord record = {.fence = grant->fence,
                               .generation = room.generation,
                               .lease_ms = lease_ms,
                               .lease_until_ms = room.now_ms + lease_ms,
                               .reserved_until_ms = grant->reserved_until_ms,
                               .owner = std::string(owner)};
  room.table->Put(WorkerKey(grant->worker), record.Encode());
  return status;
}

Status RenewWorker(const StoreRoom& room, uint32_t worker, std::string_view owner, uint64_t fence, int64_t lease_ms,
                   int64_t reserved_until_ms, bool* held) {
  WorkerRecord record;
  Status status = ReadHeld(room, worker, owner, fence, &record, held);
  if (!status.ok() || !*held) return status;
  record.lease_ms = lease_ms;
  record.lease_until_ms = room.now_ms + lease_ms;
  record.reserved_until_ms = std::max(record.reserved_until_ms, reserved_until_ms);
  room.table->Put(WorkerKey(worker), record.Encode());
  return status;
}

Status ReleaseWorker(const StoreRoom& room, uint32_t worker, std::string_view owner, uint64_t fence,
                     int64_t used_until_ms, bool* held) {
  WorkerRecord record;
  Status status = ReadHeld(room, worker, owner, fence, &record, held);
  if (!status.ok() || !*held) return status;
  record.lease_until_ms = std::min(record.lease_until_ms, room.now_ms);
  record.reserved_until_ms = std::min(record.reserved_until_ms, used_until_ms);
  record.owner.clear();
  room.table->Put(WorkerKey(worker), record.Encode());
  return status;
}

}  // namespace everyonce
