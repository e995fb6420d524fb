// Messages and who sees them: from records of the store to those in Redis, whose form stands in lua/shared/.

#include <set>
#include <utility>

#include "migrate/store_reader.h"

namespace everyonce {
namespace {

// A conversation keeps what is read of its senders: now and then it is read anew.
constexpr size_t kLookupsAtOnce = 1024;
constexpr char kNoReplicationId[] = "moved";

std::string Text(uint64_t number) { return std::to_string(number); }

std::string EpochsText(const EpochTable& epochs) {
  std::string text;
  for (const EpochTable::Entry& entry : epochs.entries()) {
    if (!text.empty()) text.push_back(',');
    text.append(Text(entry.epoch)).append(":").append(Text(entry.first_seq));
  }
  return text;
}

std::string SpansText(const VisibleSpans& spans) {
  std::string text;
  for (const VisibleSpan& span : spans) {
    if (!text.empty()) text.push_back(';');
    text.append(Text(span.from)).append("-").append(span.open() ? "*" : Text(span.to));
    text.append("-").append(Text(span.system_before)).append("-").append(Text(span.system_at_end));
  }
  return text;
}

// 8 bytes each, big-endian, as struct.pack('>I8') of lua/shared/append.lua.
std::string PackedSeqs(const std::vector<uint64_t>& seqs) {
  std::string bytes;
  bytes.reserve(8 * seqs.size());
  for (const uint64_t seq : seqs) {
    for (int shift = 56; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(seq >> shift));
  }
  return bytes;
}

}  // namespace

// Makes it the conversation at hand.
Status StoreReader::Open(std::string_view conv) {
  if (conversation_ != nullptr && conv_ == conv && ++lookups_ < kLookupsAtOnce) return Status::Ok();
  conversation_.reset();
  conv_ = conv;
  lookups_ = 0;
  record_ = {};
  tail_.clear();
  std::string value;
  bool found = false;
  Status status = kv_->Get(Space::kConversations, key::Conversation(conv), &value, &found);
  if (!status.ok()) return status;
  if (found && !ConversationRecord::Decode(value, &record_)) return Corrupt(conv);
  status = Conversation::Load(&unchanged_, conv, &conversation_);
  if (status.ok() && conversation_ == nullptr) status = Corrupt(conv);
  if (!status.ok() || !found || conversation_->head() == record_.snapshot_seq) return status;
  bool whole = true;
  status = conversation_->ScanLog(
      record_.snapshot_seq + 1, conversation_->head(), [&](uint64_t seq, std::string_view bytes) {
        LogRecord record;
        whole = DecodeLogRecord(bytes, &record);
        if (!whole) return false;
        tail_.push_back({seq, record.n, std::string(record.from), std::string(record.device)});
        return true;
      });
  return status.ok() && !whole ? Corrupt(conv) : status;
}

Status StoreReader::TakeRecord(std::string_view key, std::string_view value) {
  constexpr size_t kSeqBytes = 9;  // with the zero before it
  LogRecord record;
  if (key.size() <= kSeqBytes || !DecodeLogRecord(value, &record)) return Corrupt(key);
  const std::string_view conv = key.substr(0, key.size() - kSeqBytes);
  const uint64_t seq = key::NumberAtEnd(key);
  if (conv != log_conv_) {
    log_conv_ = conv;
    log_first_ = seq;
  } else if (seq != log_last_ + 1) {
    return Corrupt(key);  // a hole
  }
  log_last_ = seq;
  out_->Record(ConversationKeys(conv).Log(), log_first_, seq, record);
  ++counts_.messages;
  counts_.bytes += record.body.size();
  return Status::Ok();
}

Status StoreReader::TakeConversation(std::string_view key, std::string_view value) {
  if (key.empty()) return Corrupt(key);
  const std::string_view rest = key.substr(1);
  if (key[0] == 'h') return TakeHead(rest, value);
  const std::vector<std::string_view> parts = PartsOfKey(rest, 2);
  if (key[0] == 'u') {
    out_->Sorted(UserIndexKey(parts[0]), 0, parts[1]);
    return Status::Ok();
  }
  if (key[0] == 'm') {
    VisibleSpans spans;
    if (!DecodeSpans(value, &spans)) return Corrupt(key);
    out_->Hash(ConversationKeys(parts[0]).Members(), parts[1], SpansText(spans));
    ++counts_.members;
    return Status::Ok();
  }
  if (key[0] == 'f') {
    OwnRecord record;
    uint64_t as_of_seq = 0;
    if (!OwnRecord::Decode(value, &record, &as_of_seq)) return Corrupt(key);
    Status status = Open(parts[0]);
    if (status.ok()) PutOwn(parts[0], parts[1], record, as_of_seq);
    return status;
  }
  if (key[0] != 'o') return Corrupt(key);
  uint64_t count_before = 0;
  std::vector<uint64_t> seqs;
  if (!DecodeOwnBlock(value, &count_before, &seqs)) return Corrupt(key);
  const std::string_view user = PartsOfKey(parts[1], 2)[0];
  out_->Bytes(ConversationKeys(parts[0]).Own(user), 8 * count_before, PackedSeqs(seqs));
  return Status::Ok();
}

Status StoreReader::TakeHead(std::string_view conv, std::string_view) {
  Status status = Open(conv);
  if (!status.ok()) return status;
  const ConversationKeys keys(conv);
  const uint64_t head = conversation_->head();
  std::string storage;
  LogRecord last;
  bool found = false;
  status = conversation_->ReadLog(head, &storage, &last, &found);
  if (!status.ok()) return status;
  const std::string meta = keys.Meta();
  out_->Hash(meta, "h", Text(head));
  out_->Hash(meta, "ep", EpochsText(conversation_->epochs()));
  out_->Hash(meta, "rid", kNoReplicationId);
  out_->Hash(meta, "sc", Text(conversation_->system_count()));
  out_->Hash(meta, "at", Text(static_cast<uint64_t>(found ? last.at_ms : record_.last_at_ms)));
  out_->Hash(meta, "mv", conversation_->direct() ? "0" : Text(head));
  if (found) {
    out_->Hash(meta, "lw", std::string(last.from) + "/" + std::string(last.device));
    out_->Hash(meta, "run", Text(last.run));
  }
  if (!conversation_->direct()) {
    out_->Hash(meta, "cr", conversation_->creator());
    out_->Hash(meta, "ha", conversation_->history_all() ? "1" : "0");
  }
  if (conversation_->floor() != 0) {
    out_->Hash(meta, "fl", Text(conversation_->floor()));
    out_->Hash(meta, "fs", Text(record_.floor_system_count));
  }
  out_->Sorted(PartitionKeys(keys.partition()).catalogue, 0, conv);
  out_->Length(keys.Log(), head - conversation_->floor());
  ++counts_.conversations;
  status = TakeTail(conv);
  return status.ok() ? TakePositions(conv, keys.partition()) : status;
}

// Senders that only the log's tail knows: there is no snapshot of them yet.
Status StoreReader::TakeTail(std::string_view conv) {
  std::set<std::pair<std::string_view, std::string_view>> seen;
  std::set<std::string_view> users;
  std::string value;
  bool found = false;
  for (const TailEntry& entry : tail_) {
    if (entry.n != 0 && seen.emplace(entry.from, entry.device).second) {
      Status status = kv_->Get(Space::kProducers, key::Producer(conv, entry.from, entry.device), &value, &found);
      if (status.ok() && !found) status = PutProducer(conv, entry.from, entry.device);
      if (!status.ok()) return status;
    }
    if (entry.from != "system" && users.insert(entry.from).second) {
      Status status = kv_->Get(Space::kConversations, key::Own(conv, entry.from), &value, &found);
      if (!status.ok()) return status;
      if (!found) PutOwn(conv, entry.from, OwnRecord(), 0);
    }
  }
  return Status::Ok();
}

// The user's own messages that fill no block yet, and those of the tail. What lies before is in blocks; where there are
// none any more, zeros stand for it, which count as well.
void StoreReader::PutOwn(std::string_view conv, std::string_view user, const OwnRecord& record, uint64_t as_of_seq) {
  std::vector<uint64_t> seqs = record.recent;
  const uint64_t before = record.total - seqs.size();
  for (const TailEntry& entry : tail_) {
    if (entry.seq > as_of_seq && entry.from == user) seqs.push_back(entry.seq);
  }
  out_->Bytes(ConversationKeys(conv).Own(user), 8 * before, PackedSeqs(seqs));
}

}  // namespace everyonce
