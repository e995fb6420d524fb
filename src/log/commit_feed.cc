// The feed's changes: groups come and go, positions rise, messages are parked as dead letters. Positions are marks:
// their group of commands waits for no disk on their account. All else is durable before it is answered.

#include <algorithm>
#include <utility>

#include "core/byte_codec.h"
#include "log/commit.h"
#include "log/feed_table.h"
#include "log/log_context.h"
#include "log/read.h"

namespace everyonce {
namespace {

constexpr uint8_t kVersion = 1;

Outcome NoSuch(std::string_view what) { return Refusal(Code::kBadRequest, "there is no such " + std::string(what)); }

}  // namespace

std::string FeedRecord::Encode() const {
  std::string bytes;
  ByteWriter writer(&bytes);
  writer.Byte(kVersion);
  writer.Fixed64(mid);
  writer.Byte(from_now ? 1 : 0);
  writer.Varint(static_cast<uint64_t>(created_at_ms));
  return bytes;
}

bool FeedRecord::Decode(std::string_view value, FeedRecord* record) {
  ByteReader reader(value);
  if (reader.Byte() != kVersion) reader.Fail();
  record->mid = reader.Fixed64();
  record->from_now = reader.Byte() != 0;
  record->created_at_ms = static_cast<int64_t>(reader.Varint());
  return reader.AtEnd();
}

std::string EncodeDeadLetter(const DeadLetter& letter) {
  std::string bytes;
  ByteWriter writer(&bytes);
  writer.Byte(kVersion);
  writer.Varint(letter.attempts);
  writer.Varint(static_cast<uint64_t>(letter.at_ms));
  writer.Bytes(letter.error);
  writer.Bytes(letter.message.conv);
  writer.Varint(letter.message.epoch);
  writer.Varint(letter.message.seq);
  LogRecord record;
  record.mid = letter.message.mid;
  record.at_ms = letter.message.at_ms;
  record.n = letter.message.n;
  record.from = letter.message.from;
  record.device = letter.message.device;
  record.id = letter.message.id;
  record.type = letter.message.type;
  record.body = letter.message.body;
  writer.Raw(EncodeLogRecord(record));
  return bytes;
}

bool DecodeDeadLetter(std::string_view value, DeadLetter* letter) {
  ByteReader reader(value);
  if (reader.Byte() != kVersion) reader.Fail();
  letter->attempts = reader.Varint();
  letter->at_ms = static_cast<int64_t>(reader.Varint());
  letter->error = reader.Bytes();
  Message& message = letter->message;
  message.conv = reader.Bytes();
  message.epoch = reader.Varint();
  message.seq = reader.Varint();
  LogRecord record;
  if (!reader.ok() || !DecodeLogRecord(reader.rest(), &record)) return false;
  message.mid = record.mid;
  message.at_ms = record.at_ms;
  message.n = record.n;
  message.from = record.from;
  message.device = record.device;
  message.id = record.id;
  message.type = record.type;
  message.body = record.body;
  return true;
}

Outcome DecideFeed(LogContext* context, const Command& command) { return context->feed().Decide(command); }

Outcome FeedTable::Decide(const Command& command) {
  if (command.feed == nullptr) return Refusal(Code::kBadRequest, "no change of a feed");
  const FeedChange& change = *command.feed;
  if (!IsFeedName(change.group)) {
    return Refusal(Code::kBadRequest, "a consumer group's name is 1 to 48 of A-Z a-z 0-9 _ . -");
  }
  if (change.action == FeedAction::kOpen) return OpenGroup(change);
  const auto group = groups_.find(change.group);
  if (group == groups_.end()) return NoSuch("consumer group");
  switch (change.action) {
    case FeedAction::kOpen:
      break;
    case FeedAction::kAck:
      return Ack(group->first, &group->second, change);
    case FeedAction::kPark:
      return Park(group->first, &group->second, change);
    case FeedAction::kMark:
    case FeedAction::kForget:
      return ChangeLetter(&group->second, change);
    case FeedAction::kDrop:
      return Drop(group->first, &group->second);
  }
  return Refusal(Code::kBadRequest, "no such change of a feed");
}

Outcome FeedTable::OpenGroup(const FeedChange& change) {
  if (groups_.contains(change.group)) return {};
  if (groups_.size() >= kMaxFeedGroups) {
    return Refusal(Code::kTooLarge, "there are as many consumer groups as a server takes; drop one");
  }
  FeedRecord record;
  record.mid = context_.NextMid();
  if (record.mid == 0) return Refusal(Code::kUnavailable, "the clock is beyond what message ids can hold");
  record.from_now = change.from_now;
  record.created_at_ms = context_.now_ms();
  groups_[change.group].record = record;
  context_.store().Put(Space::kMeta, key::FeedGroup(change.group), record.Encode());
  context_.store().RequireSync();
  Outcome outcome;
  outcome.first = true;
  return outcome;
}

Status FeedTable::Leased(Group* group, uint64_t lease, Entry** entry, Conversation** conversation) {
  const auto held = group->leases.find(lease);
  if (held == group->leases.end()) {
    return Status::Error(Code::kConflict, "the lease on this conversation has run out", "lease");
  }
  *entry = &group->entries[held->second];
  Status status = context_.Find(held->second, conversation);
  if (status.ok() && *conversation == nullptr) {
    status = Status::Error(Code::kStoreCorrupt, held->second + " is gone");
  }
  if (!status.ok() || (*entry)->located) return status;
  Place place;  // the store has recovered since it was taken
  status = Locate(*group, held->second, (*conversation)->epochs(), &place);
  (*entry)->located = status.ok();
  (*entry)->position = place.position;
  return status;
}

void FeedTable::Pass(Group* group, Conversation* conversation, Entry* entry, uint64_t seq) {
  seq = std::min(seq, conversation->head());
  if (seq <= entry->position) return;
  if (Counts(*group, conversation->conv())) group->lag -= std::min(group->lag, seq - entry->position);
  entry->position = seq;
  std::string value;
  ByteWriter writer(&value);
  writer.Varint(conversation->epoch());
  writer.Varint(seq);
  context_.store().Put(Space::kMarks, key::FeedPosition(group->record.mid, conversation->conv()), std::move(value));
}

Status FeedTable::Release(const std::string& name, Group* group, Conversation* conversation, Entry* entry) {
  group->leases.erase(entry->lease);
  entry->lease = 0;
  if (entry->position >= conversation->head()) {
    group->entries.erase(conversation->conv());
    return Status::Ok();
  }
  std::string storage;
  LogRecord record;
  bool found = false;
  Status status = conversation->ReadLog(entry->position + 1, &storage, &record, &found);
  if (found) entry->oldest_at_ms = record.at_ms;
  Queue(group, conversation->conv(), entry);
  Ring(name, group);
  return status;
}

Outcome FeedTable::Ack(const std::string& name, Group* group, const FeedChange& change) {
  Entry* entry = nullptr;
  Conversation* conversation = nullptr;
  Status status = Leased(group, change.lease, &entry, &conversation);
  if (status.code == Code::kConflict) return Refusal(status.code, status.message);
  if (!status.ok()) return Unavailable(status);
  Pass(group, conversation, entry, change.seq);
  Outcome outcome;
  outcome.got = entry->position;
  if (change.release) status = Release(name, group, conversation, entry);
  return status.ok() ? outcome : Unavailable(status);
}

Outcome FeedTable::Park(const std::string&, Group* group, const FeedChange& change) {
  Entry* entry = nullptr;
  Conversation* conversation = nullptr;
  Status status = Leased(group, change.lease, &entry, &conversation);
  if (status.code == Code::kConflict) return Refusal(status.code, status.message);
  if (!status.ok()) return Unavailable(status);
  if (group->dead_letters >= kMaxDeadLetters) {
    return Unavailable(Status::Error(Code::kUnavailable, "the group has too many dead letters; replay or drop some"));
  }
  std::string storage;
  LogRecord record;
  bool found = false;
  status = conversation->ReadLog(change.seq, &storage, &record, &found);
  if (!status.ok()) return Unavailable(status);
  if (!found) return NoSuch("message");
  DeadLetter letter;
  letter.message = MessageOf(*conversation, change.seq, record);
  letter.message.epoch = conversation->epochs().EpochOf(change.seq);
  letter.attempts = change.attempts;
  letter.error = ShortenedFeedError(change.error);
  letter.at_ms = context_.now_ms();
  const std::string letter_key = key::FeedLetter(group->record.mid, record.mid);
  std::string known;
  status = context_.store().Get(Space::kMarks, letter_key, &known, &found);
  if (!status.ok()) return Unavailable(status);
  if (!found) ++group->dead_letters;  // else the position was lost, and it is parked again
  context_.store().Put(Space::kMarks, letter_key, EncodeDeadLetter(letter));
  context_.store().RequireSync();
  Pass(group, conversation, entry, change.seq);
  return {};
}

Outcome FeedTable::ChangeLetter(Group* group, const FeedChange& change) {
  std::string letter_key = key::FeedLetter(group->record.mid, change.mid);
  std::string value;
  bool found = false;
  Status status = context_.store().Get(Space::kMarks, letter_key, &value, &found);
  if (!status.ok()) return Unavailable(status);
  if (!found) return NoSuch("dead letter");
  context_.store().RequireSync();
  if (change.action == FeedAction::kForget) {
    --group->dead_letters;
    context_.store().Remove(Space::kMarks, std::move(letter_key));
    return {};
  }
  DeadLetter letter;
  if (!DecodeDeadLetter(value, &letter)) {
    return Unavailable(Status::Error(Code::kStoreCorrupt, "no dead letter of " + change.group));
  }
  letter.attempts = change.attempts;
  letter.error = ShortenedFeedError(change.error);
  letter.at_ms = context_.now_ms();
  context_.store().Put(Space::kMarks, std::move(letter_key), EncodeDeadLetter(letter));
  return {};
}

// The record goes at once, and with it all that held the log; what else there is of the group goes in slices (Sweep).
Outcome FeedTable::Drop(const std::string& name, Group* group) {
  context_.store().Put(Space::kMeta, key::FeedDropped(group->record.mid), "");
  context_.store().Remove(Space::kMeta, key::FeedGroup(name));
  context_.store().RequireSync();
  groups_.erase(groups_.find(name));
  return {};
}

bool FeedTable::Sweep(size_t max_keys) {
  const std::string prefix = key::FeedDropped();
  uint64_t mid = 0;
  bool found = false;
  Status status = context_.kv().Scan(Space::kMeta, prefix, key::After(prefix), false,
                                     [&](std::string_view dropped_key, std::string_view) {
                                       mid = key::NumberAtEnd(dropped_key);
                                       found = true;
                                       return false;
                                     });
  if (!status.ok() || !found) return false;
  WriteBatch batch;
  for (const std::string& all : {key::FeedPositions(mid), key::FeedLetters(mid)}) {
    const auto remove = [&](std::string_view name, std::string_view) {
      if (!name.starts_with(all) || batch.operations().size() >= max_keys) return false;
      batch.Remove(Space::kMarks, std::string(name));
      return true;
    };
    status = context_.kv().Scan(Space::kMarks, all, std::string(all.size(), '\xff'), false, remove);
    if (!status.ok()) return false;
  }
  if (batch.empty()) batch.Remove(Space::kMeta, key::FeedDropped(mid));
  return context_.kv().Write(batch, false).ok();
}

}  // namespace everyonce
