// How a Conversation comes out of the store: the snapshot, then the log's tail behind it.

#include <utility>

#include "core/identifiers.h"
#include "log/conversation.h"

namespace everyonce {

Conversation::Conversation(StagedStore* store, std::string_view conv)
    : store_(store), conv_(conv), direct_(IsDirect(conv)), all_(1), members_(std::make_shared<MemberList>()) {}

Status Conversation::Corrupt(const char* what, uint64_t seq) const {
  return Status::Error(Code::kStoreCorrupt, conv_ + ": " + what + " at seq " + std::to_string(seq));
}

std::unique_ptr<Conversation> Conversation::New(StagedStore* store, std::string_view conv) {
  return std::unique_ptr<Conversation>(new Conversation(store, conv));
}

Status Conversation::Load(StagedStore* store, std::string_view conv, std::unique_ptr<Conversation>* out) {
  out->reset();
  std::unique_ptr<Conversation> loaded = New(store, conv);
  std::string value;
  bool found = false;
  Status status = store->Get(Space::kConversations, key::Conversation(conv), &value, &found);
  if (!status.ok()) return status;
  if (found) {
    if (!ConversationRecord::Decode(value, &loaded->record_)) return loaded->Corrupt("no conversation record", 0);
  } else if (!loaded->direct_) {
    return Status::Ok();
  }
  status = loaded->LoadMembers();
  if (status.ok() && found) status = loaded->LoadTail();
  if (status.ok()) *out = std::move(loaded);
  return status;
}

Status Conversation::LoadMembers() {
  if (direct_) {
    const DirectUsers users = UsersOfDirect(conv_);
    members_ = std::make_shared<MemberList>(MemberList{std::string(users.first), std::string(users.second)});
    return Status::Ok();
  }
  const std::string from = key::Member(conv_, "");
  bool whole = true;
  Status status = store_->kv()->Scan(Space::kConversations, from, key::After(from), false,
                                     [&](std::string_view member_key, std::string_view value) {
                                       VisibleSpans spans;
                                       whole = DecodeSpans(value, &spans);
                                       spans_.emplace(member_key.substr(from.size()), std::move(spans));
                                       return whole;
                                     });
  if (!status.ok()) return status;
  if (!whole) return Corrupt("no membership record", 0);
  RebuildMemberList();
  return Status::Ok();
}

void Conversation::RebuildMemberList() {
  auto members = std::make_shared<MemberList>();
  for (const auto& [user, spans] : spans_) {
    if (!spans.empty() && spans.back().open()) members->push_back(user);
  }
  members_ = std::move(members);
}

Status Conversation::LoadTail() {
  head_ = record_.snapshot_seq;
  system_count_ = record_.system_count;
  last_at_ms_ = record_.last_at_ms;
  // From the snapshot's own seq, if it is still there: its record says how long the run of one sender is.
  const uint64_t first = record_.snapshot_seq == 0 ? 1 : record_.snapshot_seq;
  Status inner;
  Status status = store_->kv()->Scan(Space::kLog, key::Log(conv_, first), key::Log(conv_, kMaxInteger), false,
                                     [&](std::string_view log_key, std::string_view value) {
                                       LogRecord record;
                                       if (!DecodeLogRecord(value, &record)) {
                                         inner = Corrupt("no log record", key::NumberAtEnd(log_key));
                                       } else {
                                         inner = ApplyTail(key::NumberAtEnd(log_key), record);
                                       }
                                       return inner.ok();
                                     });
  return status.ok() ? inner : status;
}

void Conversation::NoteLast(uint64_t seq, const LogRecord& record) {
  head_ = seq;
  system_count_ = record.system_count;
  last_at_ms_ = record.at_ms;
  run_ = record.run;
  if (last_from_ != record.from) last_from_ = record.from;
  if (last_device_ != record.device) last_device_ = record.device;
}

Status Conversation::ApplyTail(uint64_t seq, const LogRecord& record) {
  if (seq == record_.snapshot_seq) {
    NoteLast(seq, record);
    return Status::Ok();
  }
  if (seq != head_ + 1) return Corrupt("a hole in the log", head_ + 1);
  NoteLast(seq, record);
  uint64_t as_of_seq = 0;
  if (record.n != 0) {
    ProducerState* state = nullptr;
    Status status = LoadProducer(record.from, record.device, &state, &as_of_seq);
    if (!status.ok()) return status;
    if (seq > as_of_seq) {
      if (record.n == state->producer.last() && state->producer.Extends(seq)) {
        state->producer.AcceptNextPart(HashOfId(record.id));
      } else if (record.n == state->producer.last() + 1) {
        state->producer.Accept(seq, HashOfId(record.id));
      } else {
        return Corrupt("a hole in a producer's numbers", seq);
      }
      NoteChanged(state);
    }
  }
  if (record.from == "system") return Status::Ok();
  OwnState* own = nullptr;
  Status status = LoadOwn(record.from, &own, &as_of_seq);
  if (status.ok() && seq > as_of_seq) CountOwn(record.from, seq, own, false);
  return status;
}

Status Conversation::LoadProducer(std::string_view user, std::string_view device, ProducerState** state,
                                  uint64_t* as_of_seq) {
  Pair pair{user, device};
  const auto known = producers_.find(pair);
  if (known != producers_.end()) {
    *state = &known->second;
    *as_of_seq = known->second.as_of_seq;
    return Status::Ok();
  }
  std::string value;
  bool found = false;
  Status status = store_->Get(Space::kProducers, key::Producer(conv_, user, device), &value, &found);
  if (!status.ok()) return status;
  ProducerState loaded{std::string(user), std::string(device), {}, 0, false, false};
  if (found && !Producer::Decode(value, &loaded.producer, &loaded.as_of_seq)) {
    return Corrupt("no producer record", 0);
  }
  *as_of_seq = loaded.as_of_seq;
  *state = &producers_.emplace(std::move(pair), std::move(loaded)).first->second;
  return Status::Ok();
}

Status Conversation::LoadOwn(std::string_view user, OwnState** state, uint64_t* as_of_seq) {
  const auto known = own_.find(user);
  if (known != own_.end()) {
    *state = &known->second;
    *as_of_seq = known->second.as_of_seq;
    return Status::Ok();
  }
  std::string value;
  bool found = false;
  Status status = store_->Get(Space::kConversations, key::Own(conv_, user), &value, &found);
  if (!status.ok()) return status;
  OwnState loaded;
  if (found && !OwnRecord::Decode(value, &loaded.record, &loaded.as_of_seq)) return Corrupt("no count of a sender", 0);
  *as_of_seq = loaded.as_of_seq;
  *state = &own_.emplace(std::string(user), std::move(loaded)).first->second;
  return Status::Ok();
}

Status Conversation::FindProducer(std::string_view user, std::string_view device, Producer** producer) {
  ProducerState* state = nullptr;
  uint64_t as_of_seq = 0;
  *producer = nullptr;
  Status status = LoadProducer(user, device, &state, &as_of_seq);
  if (!status.ok()) return status;
  if (state->producer.known()) {
    *producer = &state->producer;
  } else {
    producers_.erase(Pair{user, device});  // asking for devices that never were must not fill the memory
  }
  return status;
}

Status Conversation::FindReadMark(std::string_view user, ReadRecord** mark) {
  const auto known = reads_.find(user);
  if (known != reads_.end()) {
    *mark = &known->second;
    return Status::Ok();
  }
  ReadRecord loaded;
  std::string value;
  bool found = false;
  Status status = store_->Get(Space::kMarks, key::Read(user, conv_), &value, &found);
  if (!status.ok()) return status;
  if (found && !ReadRecord::Decode(value, &loaded)) return Corrupt("no read mark", 0);
  if (found && loaded.epoch != epoch()) {
    // A new epoch cuts the mark to what survived of its own.
    uint64_t keep = 0;
    if (!epochs().KeepOf(loaded.epoch, head_, &keep)) keep = 0;
    loaded.epoch = epoch();
    if (loaded.seq > keep) {
      loaded.seq = keep;
      status = OwnCountAt(user, keep, &loaded.own_count);
      if (status.ok()) status = SystemCountAt(keep, &loaded.system_count);
      if (!status.ok()) return status;
    }
  }
  *mark = &reads_.emplace(std::string(user), loaded).first->second;
  return Status::Ok();
}

Status Conversation::FindDeviceMark(std::string_view user, std::string_view device, DeviceMark** mark) {
  Pair pair{user, device};
  const auto known = marks_.find(pair);
  if (known != marks_.end()) {
    *mark = &known->second;
    return Status::Ok();
  }
  GotRecord loaded;
  std::string value;
  bool found = false;
  Status status = store_->Get(Space::kMarks, key::Got(user, device, conv_), &value, &found);
  if (!status.ok()) return status;
  if (found && !GotRecord::Decode(value, &loaded)) return Corrupt("no acked ranges", 0);
  if (found && loaded.epoch != epoch()) {
    uint64_t keep = 0;
    if (!epochs().KeepOf(loaded.epoch, head_, &keep)) keep = 0;
    loaded.acked.CutAbove(keep);
  }
  DeviceMark fresh;
  fresh.acked = std::move(loaded.acked);
  *mark = &marks_.emplace(std::move(pair), std::move(fresh)).first->second;
  return Status::Ok();
}

}  // namespace everyonce
