// Consumer groups (semantics h): in Redis each has tables of its own in every partition, which hold only the
// conversations that it has not passed (lua/shared/feed.lua).

#include <algorithm>
#include <utility>

#include "core/byte_codec.h"
#include "migrate/store_reader.h"
#include "redis/redis_group.h"

namespace everyonce {
namespace {

std::string Text(uint64_t number) { return std::to_string(number); }

// A list of texts as Redis's cmsgpack unpacks it: an array of fewer than 16, of strings.
std::string PackedTexts(const std::vector<std::string>& texts) {
  std::string bytes(1, static_cast<char>(0x90 | texts.size()));
  for (const std::string& text : texts) {
    bytes.push_back(static_cast<char>(0xdb));
    for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(text.size() >> shift));
    bytes.append(text);
  }
  return bytes;
}

}  // namespace

Status StoreReader::ReadGroups() {
  groups_.clear();
  const std::string prefix = key::FeedGroup("");
  Status inner;
  Status status = kv_->Scan(Space::kMeta, prefix, key::After(prefix), false,
                            [&](std::string_view group_key, std::string_view value) {
                              auto group = std::make_unique<FeedGroup>();
                              group->name = group_key.substr(prefix.size());
                              if (!FeedRecord::Decode(value, &group->record)) inner = Corrupt(group_key);
                              groups_.push_back(std::move(group));
                              return inner.ok();
                            });
  return status.ok() ? inner : status;
}

// Up to where the group has passed the conversation at hand: what it acked, cut to what survived of that epoch; or
// where a group that begins with what is new begins; or all that retention has removed.
Status StoreReader::PositionOf(const FeedGroup& group, std::string_view conv, uint64_t* position) {
  const uint64_t head = conversation_->head();
  const uint64_t floor = conversation_->floor();
  *position = floor;
  std::string value;
  bool found = false;
  Status status = kv_->Get(Space::kMarks, key::FeedPosition(group.record.mid, conv), &value, &found);
  if (!status.ok()) return status;
  if (found) {
    ByteReader reader(value);
    const uint64_t epoch = reader.Varint();
    const uint64_t acked = reader.Varint();
    if (!reader.AtEnd()) return Corrupt(conv);
    uint64_t keep = 0;
    if (!conversation_->epochs().KeepOf(epoch, head, &keep)) keep = 0;
    *position = std::max(floor, std::min(acked, keep));
    return status;
  }
  if (!group.record.from_now) return status;
  // Mids rise with seq: the first one above the group's, by bisection.
  uint64_t low = floor + 1;
  uint64_t high = head + 1;
  while (low < high) {
    const uint64_t middle = low + (high - low) / 2;
    std::string storage;
    LogRecord record;
    status = conversation_->ReadLog(middle, &storage, &record, &found);
    if (status.ok() && !found) status = Corrupt(conv);
    if (!status.ok()) return status;
    if (record.mid > group.record.mid) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  *position = low - 1;
  return status;
}

Status StoreReader::TakePositions(std::string_view conv, uint32_t partition) {
  const PartitionKeys keys(partition);
  const uint64_t head = conversation_->head();
  for (const auto& group : groups_) {
    uint64_t position = 0;
    Status status = PositionOf(*group, conv, &position);
    if (!status.ok()) return status;
    if (position >= head) continue;
    std::string storage;
    LogRecord record;
    bool found = false;
    status = conversation_->ReadLog(position + 1, &storage, &record, &found);
    if (status.ok() && !found) status = Corrupt(conv);
    if (!status.ok()) return status;
    const auto at_ms = static_cast<uint64_t>(record.at_ms);
    out_->Hash(keys.State(group->name), conv, Text(position) + " " + Text(head) + " " + Text(at_ms) + " 0 0");
    out_->Sorted(keys.News(group->name), at_ms, conv);
    group->lag[partition] += head - position;
  }
  return Status::Ok();
}

Status StoreReader::TakeLetter(std::string_view key, std::string_view value) {
  constexpr size_t kLetterKeyBytes = 17;
  DeadLetter letter;
  if (key.size() != kLetterKeyBytes || !DecodeDeadLetter(value, &letter)) return Corrupt(key);
  const uint64_t number = key::NumberAtEnd(key.substr(0, 9));
  const auto group =
      std::find_if(groups_.begin(), groups_.end(), [number](const auto& one) { return one->record.mid == number; });
  if (group == groups_.end()) return Status::Ok();  // of one that was dropped
  const Message& message = letter.message;
  const uint32_t partition = RedisPartitionOf(message.conv);
  // As lua/feed_ack.lua packs it.
  const std::string packed =
      PackedTexts({Text(letter.attempts), Text(static_cast<uint64_t>(letter.at_ms)), letter.error, message.conv,
                   Text(message.seq), Text(message.epoch), message.from, message.device, Text(message.n), message.id,
                   message.type, message.body, Text(static_cast<uint64_t>(message.at_ms))});
  out_->Hash(PartitionKeys(partition).Letters((*group)->name), Text(message.mid), packed);
  out_->Sorted(FeedLettersKey((*group)->name), 0, FeedLetterName(message.mid, ':') + Text(partition));
  ++(*group)->letters[partition];
  ++counts_.letters;
  return Status::Ok();
}

// Every partition knows every group, and what waits there for it.
void StoreReader::FinishGroups() {
  for (const auto& group : groups_) {
    out_->Hash(FeedGroupsKey(), group->name, "ready " + Text(static_cast<uint64_t>(group->record.created_at_ms)));
    for (uint32_t partition = 0; partition < kRedisPartitions; ++partition) {
      const PartitionKeys keys(partition);
      out_->Hash(keys.groups, group->name, "0-0 0");
      if (group->lag[partition] != 0) out_->Hash(keys.State(group->name), "#lag", Text(group->lag[partition]));
      if (group->letters[partition] != 0) {
        out_->Hash(keys.State(group->name), "#letters", Text(group->letters[partition]));
      }
    }
    ++counts_.groups;
  }
}

}  // namespace everyonce
