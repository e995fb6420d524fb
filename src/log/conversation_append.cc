// How a Conversation changes: numbering and storing messages, membership, and the snapshots that keep its tail short.

#include <algorithm>
#include <utility>

#include "core/identifiers.h"
#include "log/conversation.h"

namespace everyonce {

Producer* Conversation::MakeProducer(std::string_view user, std::string_view device) {
  ProducerState& state = producers_[Pair{user, device}];
  state.user = user;
  state.device = device;
  return &state.producer;
}

void Conversation::BeginEpoch(uint64_t epoch, uint64_t generation, int64_t now_ms) {
  changed_ = true;
  record_changed_ = true;
  if (!exists()) {
    record_.created_at_ms = now_ms;
    if (direct_) {
      for (const std::string& user : *members_) {
        store_->Put(Space::kConversations, key::UserConversation(user, conv_), "");
      }
    }
  }
  record_.generation = generation;
  record_.epochs.Begin(epoch, head_ + 1);
}

Status Conversation::Append(Message* message, int64_t now_ms, bool more) {
  // What may fail comes first: a message that is not stored changes nothing.
  OwnState* own = nullptr;
  if (message->from != "system") {
    Status status = FindOwn(message->from, &own);
    if (!status.ok()) return status;
  }
  changed_ = true;
  message->conv = conv_;
  message->seq = head_ + 1;
  message->epoch = epoch();
  message->at_ms = std::max(now_ms, last_at_ms_);

  LogRecord record;
  record.mid = message->mid;
  record.at_ms = message->at_ms;
  record.n = message->n;
  record.from = message->from;
  record.device = message->device;
  record.id = message->id;
  record.type = message->type;
  record.body = message->body;
  record.system_count = system_count_ + (IsSystemType(message->type) ? 1 : 0);
  record.run = BelongsTo(record, last_from_, last_device_) ? run_ + 1 : 1;
  if (pending_.empty()) pending_from_ = message->seq;
  pending_.push_back(store_->PutRecord(key::Log(conv_, message->seq), EncodeLogRecord(record)));
  store_->RequireSync();
  NoteLast(message->seq, record);
  if (own != nullptr) CountOwn(message->from, message->seq, own, true);
  if (message->n != 0) {
    ProducerState& state = producers_[Pair{message->from, message->device}];
    state.user = message->from;
    state.device = message->device;
    if (message->n == state.producer.last()) {
      state.producer.AcceptNextPart(HashOfId(message->id));
    } else {
      state.producer.Accept(message->seq, HashOfId(message->id));
    }
    NoteChanged(&state);
    if (!more && state.producer.block_complete()) StageBlock(state.user, state.device, state.producer);
  }
  return Status::Ok();
}

void Conversation::CountOwn(std::string_view user, uint64_t seq, OwnState* own, bool stage) {
  if (!own->changed) changed_own_.emplace_back(user, own);
  own->changed = true;
  ++own->record.total;
  own->record.recent.push_back(seq);
  if (own->record.recent.size() < kOwnBlock) return;
  if (stage) {
    store_->Put(Space::kConversations, key::OwnBlock(conv_, user, own->record.recent.front()),
                EncodeOwnBlock(own->record.total - kOwnBlock, own->record.recent));
  }
  own->record.recent.clear();
}

void Conversation::StageBlock(std::string_view user, std::string_view device, const Producer& producer) {
  store_->Put(Space::kProducers, key::ProducerBlock(conv_, user, device, Producer::BlockOf(producer.last())),
              producer.EncodeBlock());
}

void Conversation::NoteChanged(ProducerState* state) {
  if (!state->changed) changed_producers_.push_back(state);
  state->changed = true;
}

void Conversation::MarkProducerAlone(std::string_view user, std::string_view device) {
  ProducerState& state = producers_[Pair{user, device}];
  NoteChanged(&state);
  state.alone = true;
  changed_ = true;
  store_->RequireSync();
}

void Conversation::ChangeMembers(const std::vector<std::string>& added, const std::vector<std::string>& removed) {
  changed_ = true;
  for (const std::string& user : added) {
    VisibleSpans& spans = spans_[user];
    if (record_.history_all) spans.clear();
    VisibleSpan span;
    if (!record_.history_all) {
      span.from = head_;
      span.system_before = system_count_ - 1;  // the one at head() is the change itself
    }
    // Back in the very next message: one span goes on, so that spans never touch.
    if (!spans.empty() && spans.back().to + 1 == span.from) {
      spans.back().to = kMaxInteger;
    } else {
      spans.push_back(span);
    }
    store_->Put(Space::kConversations, key::UserConversation(user, conv_), "");
    store_->Put(Space::kConversations, key::Member(conv_, user), EncodeSpans(spans));
  }
  for (const std::string& user : removed) {
    VisibleSpans& spans = spans_[user];
    spans.back().to = head_;
    spans.back().system_at_end = system_count_;
    store_->Put(Space::kConversations, key::Member(conv_, user), EncodeSpans(spans));
  }
  RebuildMemberList();
  store_->RequireSync();
}

std::vector<std::string> Conversation::UsersEver() const {
  if (direct_) return *members_;
  std::vector<std::string> users;
  for (const auto& [user, spans] : spans_) {
    if (!spans.empty()) users.push_back(user);
  }
  return users;
}

void Conversation::RaiseFloor(uint64_t floor, uint64_t system_count) {
  changed_ = true;
  record_changed_ = true;  // the snapshot moves to head: no tail is read across what is gone
  record_.floor = floor;
  record_.floor_system_count = system_count;
}

void Conversation::StageSnapshots() {
  const bool due = record_changed_ || head_ - record_.snapshot_seq >= kSnapshotEvery;
  std::erase_if(changed_producers_, [&](ProducerState* state) {
    if (!due && !state->alone) return false;
    store_->Put(Space::kProducers, key::Producer(conv_, state->user, state->device), state->producer.Encode(head_));
    state->changed = false;
    state->alone = false;
    return true;
  });
  if (!due) return;
  for (auto& [user, own] : changed_own_) {
    store_->Put(Space::kConversations, key::Own(conv_, user), own->record.Encode(head_));
    own->changed = false;
  }
  changed_own_.clear();
  record_.snapshot_seq = head_;
  record_.system_count = system_count_;
  record_.last_at_ms = last_at_ms_;
  store_->Put(Space::kConversations, key::Conversation(conv_), record_.Encode());
  record_changed_ = false;
}

void Conversation::Settle() {
  enlisted_ = false;
  changed_ = false;
  pending_.clear();
}

}  // namespace everyonce
