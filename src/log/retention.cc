// Who may be removed: the round over the conversations, and the rules.

#include "log/retention.h"

#include <algorithm>
#include <utility>

#include "log/log_context.h"

namespace everyonce {
namespace {

constexpr size_t kNamesAtOnce = 64;
constexpr size_t kWorkOfLook = 8;
constexpr size_t kWorkOfLoad = 64;
constexpr size_t kWorkOfDevice = 4;
constexpr int64_t kSeenMs = int64_t{30} * 24 * 3600 * 1000;

}  // namespace

bool Retention::Spent() const {
  if (work_ == 0) return true;
  return options_.clock_us && options_.clock_us() - started_us_ >= options_.slice_us;
}

Status Retention::Slice(int64_t* again_ms) {
  *again_ms = options_.slice_every_ms;
  work_ = options_.slice_work;
  if (options_.clock_us) started_us_ = options_.clock_us();
  while (!Spent()) {
    if (job_) {
      bool done = false;
      Status status = Work(&done);
      if (status.code == Code::kUnavailable) return status;
      if (!status.ok()) ++context_.counters.retention_failures;  // one conversation that can't be read stops no other
      if (done || !status.ok()) {
        if (!job_->was_cached) context_.Evict(job_->conv);
        job_.reset();
      }
      continue;
    }
    if (names_.empty()) {
      if (at_end_) {
        at_end_ = false;
        after_.clear();
        ++context_.counters.retention_runs;
        context_.counters.retention_at_ms = context_.now_ms();
        GiveBack();
        *again_ms = options_.every_ms;
        break;
      }
      Status status = NextNames();
      if (!status.ok()) return status;
      continue;
    }
    const Named named = std::move(names_.front());
    names_.pop_front();
    bool wanted = false;
    Status status = Look(named, &wanted);
    if (status.code == Code::kUnavailable) return status;
    if (!status.ok()) ++context_.counters.retention_failures;
    if (!status.ok() || !wanted) continue;
    job_.emplace(Job());
    job_->conv = named.conv;
    job_->was_cached = context_.IsCached(named.conv);
  }
  context_.Trim();
  return Status::Ok();
}

// Worth it only where much was removed: the store has its own housekeeping.
void Retention::GiveBack() {
  const uint64_t removed = context_.counters.removed_bytes;
  if (removed - given_back_bytes_ < options_.give_back_bytes) return;
  given_back_bytes_ = removed;
  context_.kv().GiveBack(Space::kLog);
}

Status Retention::NextNames() {
  const std::string all = key::Conversation("");
  std::string from = key::Conversation(after_);
  if (!after_.empty()) from.push_back('\0');  // the next key
  Status status = context_.kv().Scan(Space::kConversations, from, key::After(all), false,
                                     [&](std::string_view conv_key, std::string_view value) {
                                       ConversationRecord record;
                                       after_ = conv_key.substr(all.size());
                                       // One that can't be read is found again, and told, when it is loaded.
                                       const bool whole = ConversationRecord::Decode(value, &record);
                                       names_.push_back({after_, whole ? record.floor : 0});
                                       return names_.size() < kNamesAtOnce;
                                     });
  at_end_ = status.ok() && names_.size() < kNamesAtOnce;
  return status;
}

// Most conversations have nothing to remove: the ends of their logs tell, without loading them.
Status Retention::Look(const Named& named, bool* wanted) {
  Spend(kWorkOfLook);
  const std::string from = key::Log(named.conv, named.floor + 1);
  const std::string to = key::Log(named.conv, kMaxInteger);
  uint64_t head = 0;
  const auto at_head = [&](std::string_view log_key, std::string_view) {
    head = key::NumberAtEnd(log_key);
    return false;
  };
  Status status = context_.kv().Scan(Space::kLog, from, to, true, at_head);
  if (!status.ok() || head == 0) return status;
  *wanted = options_.until_acked || (options_.messages > 0 && head - named.floor > options_.messages);
  if (*wanted || options_.max_age_ms == 0) return status;
  return context_.kv().Scan(Space::kLog, from, to, false, [&](std::string_view, std::string_view value) {
    LogRecord record;
    *wanted = !DecodeLogRecord(value, &record) || record.at_ms < context_.now_ms() - options_.max_age_ms;
    return false;
  });
}

Status Retention::Work(bool* done) {
  *done = true;
  if (!context_.IsCached(job_->conv)) Spend(kWorkOfLoad);
  Conversation* conversation = nullptr;
  Status status = context_.Find(job_->conv, &conversation);
  if (!status.ok() || conversation == nullptr || !conversation->exists()) return status;
  // Who joined since may see it, and has acked nothing.
  if (job_->system_count != conversation->system_count()) job_->judged = false;
  if (options_.until_acked && !job_->judged) status = Judge(conversation);
  if (!status.ok()) return status;
  *done = false;
  return options_.until_acked && !job_->judged ? status : RemoveSome(conversation, done);
}

// Up to where everybody has acked, asking some at a time. Marks only rise, so what was found stays true; only who
// joins meanwhile may need more.
Status Retention::Judge(Conversation* conversation) {
  Job& job = *job_;
  if (job.users.empty() || job.system_count != conversation->system_count()) {
    job.users = conversation->UsersEver();
    job.system_count = conversation->system_count();
    job.asked = 0;
    job.acked_to = conversation->head();
  }
  while (job.asked < job.users.size() && job.acked_to > conversation->floor()) {
    Status status = AskUser(conversation, job.users[job.asked]);
    if (!status.ok()) return status;
    ++job.asked;
    if (Spent()) return Status::Ok();
  }
  job.judged = true;
  return Status::Ok();
}

Status Retention::AskUser(Conversation* conversation, const std::string& user) {
  const VisibleSpans* spans = conversation->SpansOf(user);
  std::vector<std::string> devices;
  Status status = RecentDevices(user, &devices);
  Spend(kWorkOfDevice * (1 + devices.size()));
  if (!status.ok() || spans == nullptr) return status;
  if (devices.empty() && conversation->IsMember(user)) {
    job_->acked_to = std::min(job_->acked_to, NextVisible(*spans, conversation->floor() + 1) - 1);
  }
  for (const std::string& device : devices) {
    uint64_t settled = 0;
    status = conversation->PeekSettled(user, device, &settled);
    if (!status.ok()) return status;
    if (settled < conversation->VisibleHead(*spans)) job_->acked_to = std::min(job_->acked_to, settled);
  }
  return status;
}

Status Retention::RecentDevices(std::string_view user, std::vector<std::string>* devices) {
  const std::string all = key::Device(user, "");
  return context_.kv().Scan(Space::kMarks, all, key::After(all), false,
                            [&](std::string_view device_key, std::string_view value) {
                              DeviceRecord record;
                              // One that can't be read is taken as seen: it holds, and nothing is lost.
                              const bool whole = DeviceRecord::Decode(value, &record);
                              const bool seen = record.last_seen_ms > context_.now_ms() - kSeenMs;
                              if (!whole || (record.first_hello_ms != 0 && seen)) {
                                devices->emplace_back(device_key.substr(all.size()));
                              }
                              return true;
                            });
}

}  // namespace everyonce
