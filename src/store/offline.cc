#include "store/offline.h"

#include <utility>

#include "core/byte_codec.h"
#include "core/limits.h"
#include "log/log_format.h"
#include "store/counter.h"
#include "store/offline_token.h"

namespace everyonce {
namespace {

constexpr uint8_t kVersion = 1;
constexpr char kOrderKey[] = "o";

std::string Prefix(std::string_view receiver, char kind) {
  std::string prefix = "o";
  key::AppendPart(receiver, &prefix);
  prefix.push_back(kind);
  return prefix;
}
std::string NameKey(std::string_view receiver, std::string_view msg_id) { return Prefix(receiver, 'i').append(msg_id); }
std::string CountKey(std::string_view receiver, std::string_view sender) {
  return Prefix(receiver, 'c').append(sender);
}
// Of the items of a receiver, or of one sender's: both end in the order.
std::string WalkPrefix(std::string_view receiver, std::string_view sender) {
  std::string prefix = Prefix(receiver, sender.empty() ? 'm' : 's');
  if (!sender.empty()) key::AppendPart(sender, &prefix);
  return prefix;
}
std::string Ordered(std::string prefix, uint64_t order) {
  key::AppendNumber(order, &prefix);
  return prefix;
}

Status Corrupt(std::string_view receiver) {
  return Status::Error(Code::kStoreCorrupt, "an offline record of " + std::string(receiver) + " can't be read");
}

std::string EncodeItem(const OfflineItem& item) {
  std::string value;
  ByteWriter writer(&value);
  writer.Byte(kVersion);
  writer.Bytes(item.sender);
  writer.Bytes(item.msg_id);
  writer.Raw(item.body);
  return value;
}

bool DecodeItem(std::string_view value, OfflineItem* item) {
  ByteReader reader(value);
  const uint8_t version = reader.Byte();
  item->sender = reader.Bytes();
  item->msg_id = reader.Bytes();
  item->body = reader.rest();
  return reader.ok() && version == kVersion;
}

// Where a name's item is; order 0: it was acked, and is forgotten at forget_at_ms.
struct OfflineName {
  uint64_t order = 0;
  int64_t forget_at_ms = 0;

  std::string Encode() const {
    std::string value;
    ByteWriter writer(&value);
    writer.Byte(kVersion);
    writer.Varint(order);
    writer.Varint(static_cast<uint64_t>(forget_at_ms));
    return value;
  }
};

Status ReadName(const StoreRoom& room, std::string_view receiver, std::string_view msg_id, OfflineName* name,
                bool* found) {
  std::string value;
  Status status = room.table->Get(NameKey(receiver, msg_id), &value, found);
  if (!status.ok() || !*found) return status;
  ByteReader reader(value);
  const uint8_t version = reader.Byte();
  name->order = reader.Varint();
  name->forget_at_ms = static_cast<int64_t>(reader.Varint());
  return reader.AtEnd() && version == kVersion ? status : Corrupt(receiver);
}

Status ReadCount(const StoreRoom& room, std::string_view receiver, std::string_view sender, uint64_t* count) {
  std::string value;
  bool found = false;
  *count = 0;
  Status status = room.table->Get(CountKey(receiver, sender), &value, &found);
  if (!status.ok() || !found) return status;
  ByteReader reader(value);
  *count = reader.Varint();
  return reader.AtEnd() ? status : Corrupt(receiver);
}

void PutCount(const StoreRoom& room, std::string_view receiver, std::string_view sender, uint64_t count) {
  if (count == 0) {
    room.table->Remove(CountKey(receiver, sender));
    return;
  }
  std::string value;
  ByteWriter(&value).Varint(count);
  room.table->Put(CountKey(receiver, sender), std::move(value));
}

// Takes the item of `order` away and remembers its name as acked. `removed` false: there is none any more.
Status Remove(const StoreRoom& room, std::string_view receiver, uint64_t order, int64_t keep_ms, bool* removed) {
  std::string value;
  Status status = room.table->Get(Ordered(WalkPrefix(receiver, ""), order), &value, removed);
  if (!status.ok() || !*removed) return status;
  OfflineItem item;
  uint64_t count = 0;
  if (!DecodeItem(value, &item)) return Corrupt(receiver);
  status = ReadCount(room, receiver, item.sender, &count);
  if (!status.ok()) return status;
  PutCount(room, receiver, item.sender, count - 1);
  room.table->Remove(Ordered(WalkPrefix(receiver, ""), order));
  room.table->Remove(Ordered(WalkPrefix(receiver, item.sender), order));
  const std::string name_key = NameKey(receiver, item.msg_id);
  const OfflineName acked = {.order = 0, .forget_at_ms = room.now_ms + keep_ms};
  room.table->Put(name_key, acked.Encode());
  MoveExpiry(room.table, name_key, 0, acked.forget_at_ms);
  return status;
}

// The orders of a page's items, behind `from` (0: from the beginning).
Status ReadOrders(const StoreRoom& room, const OfflineQuery& query, uint64_t from, std::vector<uint64_t>* orders) {
  const std::string prefix = WalkPrefix(query.receiver, query.sender);
  const std::string first = query.newest_first || from == 0 ? prefix : Ordered(prefix, from + 1);
  const std::string last = query.newest_first && from != 0 ? Ordered(prefix, from) : key::Behind(prefix);
  return room.table->Scan(first, last, query.newest_first, [&](std::string_view key, std::string_view) {
    orders->push_back(key::NumberAtEnd(key));
    return orders->size() < query.limit;
  });
}

}  // namespace

bool DecodeOfflineEntry(std::string_view key, std::string_view value, OfflineEntry* entry) {
  *entry = {};
  if (key == kOrderKey) return true;
  ByteReader named(key.substr(1));
  entry->receiver = named.Bytes();
  const uint8_t kind = named.Byte();
  const std::string_view rest = named.rest();
  ByteReader reader(value);
  switch (kind) {
    case 'm':
      entry->kind = OfflineEntryKind::kItem;
      entry->order = rest.size() == sizeof entry->order ? key::NumberAtEnd(rest) : 0;
      return entry->order != 0 && DecodeItem(value, &entry->item);
    case 'i': {
      entry->kind = OfflineEntryKind::kName;
      entry->item.msg_id = rest;
      const uint8_t version = reader.Byte();
      entry->order = reader.Varint();
      entry->forget_at_ms = static_cast<int64_t>(reader.Varint());
      return reader.AtEnd() && version == kVersion;
    }
    case 'c':
      entry->kind = OfflineEntryKind::kCount;
      entry->item.sender = rest;
      entry->count = reader.Varint();
      return reader.AtEnd();
    default:
      return kind == 's';
  }
}

Status AppendOffline(const StoreRoom& room, std::string_view receiver, const OfflineItem& item, bool* added) {
  OfflineName name;
  uint64_t count = 0;
  bool found = false;
  *added = false;
  Status status = ReadName(room, receiver, item.msg_id, &name, &found);
  if (!status.ok()) return status;
  if (found && (name.order != 0 || name.forget_at_ms > room.now_ms)) return status;
  const std::string name_key = NameKey(receiver, item.msg_id);
  status = ReadCount(room, receiver, item.sender, &count);
  if (status.ok()) status = TakeNumbers(room, kOrderKey, 1, kMaxInteger, &name.order);
  if (!status.ok()) return status;
  if (found) MoveExpiry(room.table, name_key, name.forget_at_ms, 0);
  name.forget_at_ms = 0;
  room.table->Put(name_key, name.Encode());
  room.table->Put(Ordered(WalkPrefix(receiver, ""), name.order), EncodeItem(item));
  room.table->Put(Ordered(WalkPrefix(receiver, item.sender), name.order), {});
  PutCount(room, receiver, item.sender, count + 1);
  *added = true;
  return status;
}

Status CountOffline(const StoreRoom& room, std::string_view receiver, std::vector<SenderCount>* counts) {
  const std::string prefix = Prefix(receiver, 'c');
  bool readable = true;
  Status status =
      room.table->Scan(prefix, key::Behind(prefix), false, [&](std::string_view key, std::string_view value) {
        ByteReader reader(value);
        counts->push_back({std::string(key.substr(prefix.size())), reader.Varint()});
        readable = reader.AtEnd();
        return readable;
      });
  return status.ok() && !readable ? Corrupt(receiver) : status;
}

Status PullOffline(const StoreRoom& room, const OfflineQuery& query, int64_t keep_ms, OfflinePage* page) {
  OfflineToken token;
  const uint64_t walk = WalkOf(query.receiver, query.sender, query.newest_first);
  if (!query.next.empty() && (!OfflineToken::Decode(query.next, &token) || token.walk != walk)) {
    return Status::Error(Code::kBadRequest, "\"next\" is not of a page of this receiver, sender and order", "next");
  }
  // Read first, change last: what fails has acked nothing.
  std::vector<uint64_t> orders;
  Status status = ReadOrders(room, query, token.orders.empty() ? 0 : token.orders.back(), &orders);
  if (!status.ok()) return status;
  OfflineToken next = {.generation = room.generation, .walk = walk, .orders = {}};
  size_t bytes = 0;
  for (const uint64_t order : orders) {
    std::string value;
    bool found = false;
    OfflineItem item;
    status = room.table->Get(Ordered(WalkPrefix(query.receiver, ""), order), &value, &found);
    if (!status.ok()) return status;
    if (!found || !DecodeItem(value, &item)) return Corrupt(query.receiver);
    bytes += value.size();
    if (bytes > kMaxOfflinePageBytes && !page->items.empty()) break;
    page->items.push_back(std::move(item));
    next.orders.push_back(order);
  }
  if (!next.orders.empty()) page->next = next.Encode();
  if (token.generation != room.generation) return status;
  for (const uint64_t order : token.orders) {
    bool removed = false;
    status = Remove(room, query.receiver, order, keep_ms, &removed);
    if (!status.ok()) return status;
  }
  return status;
}

Status AckOffline(const StoreRoom& room, std::string_view receiver, const std::vector<std::string>& msg_ids,
                  int64_t keep_ms, uint64_t* acked) {
  *acked = 0;
  for (const std::string& msg_id : msg_ids) {
    OfflineName name;
    bool found = false;
    Status status = ReadName(room, receiver, msg_id, &name, &found);
    if (!status.ok()) return status;
    if (!found || name.order == 0) continue;
    bool removed = false;
    status = Remove(room, receiver, name.order, keep_ms, &removed);
    if (!status.ok()) return status;
    if (removed) ++*acked;
  }
  return Status::Ok();
}

}  // namespace everyonce
