// How messages go: what must outlive a record is kept elsewhere, then the record and the floor change in one write.

#include <algorithm>
#include <map>
#include <utility>

#include "core/window_dedup.h"
#include "log/log_context.h"
#include "log/retention.h"

namespace everyonce {
namespace {

constexpr size_t kRecordsAtOnce = 512;
constexpr size_t kBytesPerWork = 512;
constexpr size_t kForgottenAtOnce = 128;  // kept answers that are no longer needed

}  // namespace

struct Retention::Removal {
  struct Taken {
    uint64_t seq = 0;
    uint64_t n = 0;
    KeptAnswer answer;
  };
  using Pair = std::pair<std::string, std::string>;  // user, device
  std::map<Pair, std::vector<Taken>> by_device;
  uint64_t from = 0;
  uint64_t to = 0;  // 0: nothing
  uint64_t system_count = 0;
  uint64_t bytes = 0;
};

Status Retention::RemoveSome(Conversation* conversation, bool* done) {
  Removal removal;
  Status status = Gather(conversation, &removal);
  *done = removal.to == 0;
  if (!status.ok() || *done) return status;
  context_.Touch(conversation);
  status = KeepAnswers(conversation, removal);
  if (status.ok()) status = KeepWindow(conversation, removal);
  if (status.ok()) status = Commit(conversation, removal);
  if (!status.ok()) Drop(status);
  return status;
}

// The next records that a rule lets go, as many as a slice may take.
Status Retention::Gather(Conversation* conversation, Removal* removal) {
  const uint64_t head = conversation->head();
  const uint64_t over = options_.messages > 0 && head > options_.messages ? head - options_.messages : 0;
  const uint64_t to = std::max(over, job_->acked_to);
  const int64_t too_old_ms = context_.now_ms() - options_.max_age_ms;
  removal->from = conversation->floor() + 1;
  if (removal->from > head) return Status::Ok();
  // What a consumer group has not passed stays, whatever the rules say.
  uint64_t passed = 0;
  Status status = context_.feed().LowestPosition(conversation->conv(), &passed);
  if (!status.ok() || removal->from > passed) return status;
  Status inner;
  size_t count = 0;
  status = conversation->ScanLog(removal->from, std::min(head, passed), [&](uint64_t seq, std::string_view value) {
    LogRecord record;
    if (!DecodeLogRecord(value, &record) || seq != removal->from + count) {
      inner = Status::Error(Code::kStoreCorrupt, conversation->conv() + ": no log record at " + std::to_string(seq));
      return false;
    }
    if (seq > to && !(options_.max_age_ms > 0 && record.at_ms < too_old_ms)) return false;
    removal->to = seq;
    removal->bytes += value.size();
    removal->system_count = record.system_count;
    if (record.from != "system") {
      removal->by_device[{std::string(record.from), std::string(record.device)}].push_back(
          {seq, record.n, {record.mid, record.at_ms, std::string(record.id)}});
    }
    Spend(1 + value.size() / kBytesPerWork);
    return ++count < kRecordsAtOnce && !Spent();
  });
  return status.ok() ? inner : status;
}

// For duplicates: what the records tell of each device's last 64 n. And for its acks: that they were its own.
Status Retention::KeepAnswers(Conversation* conversation, const Removal& removal) {
  for (const auto& [pair, taken] : removal.by_device) {
    const auto& [user, device] = pair;
    Status status = conversation->KeepSettled(user, device, removal.to);
    Producer* producer = nullptr;
    if (status.ok()) status = conversation->FindProducer(user, device, &producer);
    if (!status.ok()) return status;
    if (producer == nullptr) continue;  // it sends without n only
    for (const Removal::Taken& one : taken) {
      if (one.n == 0 || !producer->Holds(one.n)) continue;
      context_.store().Put(Space::kProducers, key::Answer(conversation->conv(), user, device, one.n, one.seq),
                           one.answer.Encode());
    }
    if (producer->last() <= kProducerWindow) continue;
    // Those of n before that are kept no longer.
    std::vector<std::string> forgotten;
    const uint64_t first_kept = producer->last() - kProducerWindow + 1;
    status = context_.kv().Scan(Space::kProducers, key::Answer(conversation->conv(), user, device, 0, 0),
                                key::Answer(conversation->conv(), user, device, first_kept, 0), false,
                                [&](std::string_view answer_key, std::string_view) {
                                  forgotten.emplace_back(answer_key);
                                  return forgotten.size() < kForgottenAtOnce;
                                });
    if (!status.ok()) return status;
    Spend(forgotten.size());
    for (std::string& each : forgotten) context_.store().Remove(Space::kProducers, std::move(each));
  }
  return Status::Ok();
}

// Sends without n are told apart until their window is over, whatever is removed.
Status Retention::KeepWindow(Conversation* conversation, const Removal& removal) {
  for (const auto& [pair, taken] : removal.by_device) {
    for (const Removal::Taken& one : taken) {
      if (one.n != 0) continue;
      std::string window_key = key::Window(conversation->conv(), pair.first, one.answer.id);
      std::string value;
      bool found = false;
      Status status = context_.store().Get(Space::kWindow, window_key, &value, &found);
      if (!status.ok()) return status;
      WindowEntry entry;
      // The id may have been used anew since.
      if (!found || !WindowEntry::Decode(value, &entry) || entry.seq != one.seq) continue;
      entry.mid = one.answer.mid;
      entry.message_at_ms = one.answer.at_ms;
      entry.device = pair.second;
      context_.store().Put(Space::kWindow, std::move(window_key), entry.Encode());
    }
  }
  return Status::Ok();
}

Status Retention::Commit(Conversation* conversation, const Removal& removal) {
  for (uint64_t seq = removal.from; seq <= removal.to; ++seq) {
    context_.store().Remove(Space::kLog, key::Log(conversation->conv(), seq));
  }
  conversation->RaiseFloor(removal.to, removal.system_count);
  conversation->StageSnapshots();
  Status status = context_.store().Write();
  if (!status.ok()) return {Code::kUnavailable, status.message, {}};
  conversation->Settle();
  context_.ClearTouched();
  context_.store().Clear();
  context_.counters.removed_messages += removal.to - removal.from + 1;
  context_.counters.removed_bytes += removal.bytes;
  return status;
}

// What was staged is forgotten, and with it the conversation that rests on it.
void Retention::Drop(const Status& status) {
  if (status.code == Code::kUnavailable) return;  // the log forgets everything
  context_.ClearTouched();
  context_.store().Clear();
  context_.Evict(job_->conv);
}

}  // namespace everyonce
