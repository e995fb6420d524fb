#include "log/log_context.h"

#include <algorithm>
#include <utility>

#include "core/byte_codec.h"
#include "core/identifiers.h"
#include "log/generation.h"

namespace everyonce {
namespace {

// How far ahead message ids are reserved in the store, and how near the end of it the next reservation is due: after a
// restart no id may repeat even if the clock has stepped back meanwhile (semantics b, time reservation).
constexpr int64_t kReserveMs = 3000;
constexpr int64_t kRenewBelowMs = 1000;

}  // namespace

LogContext::LogContext(std::unique_ptr<Kv> kv, EmbeddedLogOptions options)
    : kv_(std::move(kv)),
      options_(std::move(options)),
      store_(kv_.get()),
      now_ms_(options_.now_ms),
      mids_(options_.worker),
      feed_(this) {}

Status LogContext::Open() {
  if (options_.new_epochs && !generation_raised_) {
    Status raised = BeginGeneration(kv_.get(), now_ms_, options_.random ? options_.random() : 0);
    if (!raised.ok()) return raised;
    generation_raised_ = true;
  }
  uint64_t reserved = 0;
  Status status = ReadMetaNumber(kv_.get(), key::MidReservation(options_.worker), &reserved);
  if (status.ok()) status = ReadMetaNumber(kv_.get(), key::Generation(), &generation_);
  if (status.ok()) status = ReadMetaNumber(kv_.get(), key::GenerationEpoch(), &generation_epoch_);
  if (!status.ok()) return status;
  mids_reserved_until_ms_ = static_cast<int64_t>(reserved);
  // Ids that this process has given out stay behind it, also where the store does not know of them.
  mids_ = Snowflake(options_.worker, std::max(mids_reserved_until_ms_, mids_.last_ms()));
  if (options_.tokens && !signer_) status = OpenTokens();
  return status.ok() ? feed_.Open() : status;
}

// The key is made once and kept, durably before the first token is signed with it.
Status LogContext::OpenTokens() {
  std::string token_key = options_.token_key;
  bool found = !token_key.empty();
  if (!found) {
    Status status = kv_->Get(Space::kMeta, key::TokenKey(), &token_key, &found);
    if (!status.ok()) return status;
  }
  if (!found) {
    token_key.clear();
    ByteWriter writer(&token_key);
    for (int i = 0; i < 4; ++i) writer.Fixed64(options_.random ? options_.random() : 0);
    WriteBatch batch;
    batch.Put(Space::kMeta, key::TokenKey(), token_key);
    Status status = kv_->Write(batch, true);
    if (!status.ok()) return status;
  }
  if (token_key.size() < kMinTokenKeyBytes) {
    return Status::Error(Code::kStoreCorrupt, "the key of message tokens is too short");
  }
  signer_.emplace(token_key);
  return Status::Ok();
}

std::string LogContext::NewToken(std::string_view user) {
  const uint64_t random = options_.random ? options_.random() : 0;
  return signer_->Issue(user, now_ms_ + options_.token_ttl_ms, random, ++tokens_issued_);
}

bool LogContext::IsGoodToken(std::string_view user, std::string_view id, int64_t* expires_ms) const {
  return signer_ && signer_->Verify(user, id, expires_ms) && now_ms_ < *expires_ms;
}

void LogContext::DropCaches() {
  by_conv_.clear();
  conversations_.clear();
  devices_.clear();
  touched_.clear();
  feed_.Suspend();
  store_.Clear();
}

Status LogContext::Find(std::string_view conv, Conversation** conversation) {
  *conversation = nullptr;
  const auto cached = by_conv_.find(conv);
  if (cached != by_conv_.end()) {
    conversations_.splice(conversations_.begin(), conversations_, cached->second);
    *conversation = cached->second->get();
    return Status::Ok();
  }
  std::unique_ptr<Conversation> loaded;
  Status status = Conversation::Load(&store_, conv, &loaded);
  if (!status.ok() || loaded == nullptr) return status;
  if (loaded->exists() && loaded->generation() != generation_ && !options_.late_epochs) {
    status = Renew(conv, &loaded);
    if (!status.ok()) return status;
  }
  *conversation = Cache(std::move(loaded));
  return status;
}

// The tail of this log may have been lost: a new epoch before anyone is told of the log, and not part of a group, which
// may fail: it is staged in a store of its own. Not synced: were it lost, the same epoch would begin at the same seq
// again, since whatever is synced later brings it along.
Status LogContext::Renew(std::string_view conv, std::unique_ptr<Conversation>* loaded) {
  StagedStore alone(kv_.get());
  std::unique_ptr<Conversation> renewed;
  Status status = Conversation::Load(&alone, conv, &renewed);
  if (!status.ok()) return status;
  renewed->BeginEpoch(std::max(renewed->epoch() + 1, generation_epoch_), generation_, now_ms_);
  renewed->StageSnapshots();
  status = alone.Write();
  if (status.ok()) status = Conversation::Load(&store_, conv, loaded);
  return status;
}

Conversation* LogContext::NewGroup(std::string_view conv) {
  Conversation* conversation = Cache(Conversation::New(&store_, conv));
  BeginEpoch(conversation);
  return conversation;
}

Conversation* LogContext::Cache(std::unique_ptr<Conversation> conversation) {
  conversations_.push_front(std::move(conversation));
  Conversation* cached = conversations_.front().get();
  by_conv_.emplace(cached->conv(), conversations_.begin());
  return cached;
}

Status LogContext::FindFor(std::string_view user, std::string_view conv, Conversation** conversation) {
  *conversation = nullptr;
  if (IsDirect(conv)) {
    const DirectUsers users = UsersOfDirect(conv);
    if (user != users.first && user != users.second) return Status::Ok();
  }
  Status status = Find(conv, conversation);
  if (*conversation != nullptr && (*conversation)->SpansOf(user) == nullptr) *conversation = nullptr;
  return status;
}

void LogContext::Trim() {
  while (conversations_.size() > options_.cache_conversations) {
    by_conv_.erase(conversations_.back()->conv());
    conversations_.pop_back();
  }
  // Records of devices are small and cheap to read again.
  if (devices_.size() > 4 * options_.cache_conversations) devices_.clear();
}

void LogContext::Evict(std::string_view conv) {
  const auto cached = by_conv_.find(conv);
  if (cached == by_conv_.end()) return;
  const auto entry = cached->second;
  by_conv_.erase(cached);
  conversations_.erase(entry);
}

Status LogContext::FindDevice(std::string_view user, std::string_view device, DeviceRecord** record) {
  std::string device_key = key::Device(user, device);
  const auto cached = devices_.find(device_key);
  if (cached != devices_.end()) {
    *record = &cached->second;
    return Status::Ok();
  }
  std::string value;
  bool found = false;
  DeviceRecord loaded;
  Status status = kv_->Get(Space::kMarks, device_key, &value, &found);
  if (!status.ok()) return status;
  if (found && !DeviceRecord::Decode(value, &loaded)) {
    return Status::Error(Code::kStoreCorrupt, "no record of a device of " + std::string(user));
  }
  *record = &devices_.emplace(std::move(device_key), loaded).first->second;
  return status;
}

void LogContext::StageDevice(std::string_view user, std::string_view device, const DeviceRecord& record) {
  std::string device_key = key::Device(user, device);
  devices_[device_key] = record;
  store_.Put(Space::kMarks, std::move(device_key), record.Encode());
}

Status LogContext::ConversationsOf(std::string_view user, std::string_view after, size_t limit,
                                   std::vector<std::string>* convs) {
  convs->clear();
  if (limit == 0) return Status::Ok();
  const std::string all = key::UserConversation(user, "");
  std::string from = all + std::string(after);
  if (!after.empty()) from.push_back('\0');  // the next key
  return kv_->Scan(Space::kConversations, from, key::After(all), false,
                   [&](std::string_view user_key, std::string_view) {
                     convs->emplace_back(user_key.substr(all.size()));
                     return convs->size() < limit;
                   });
}

void LogContext::BeginEpochIfDue(Conversation* conversation) {
  if (!conversation->exists()) return BeginEpoch(conversation);
  if (conversation->generation() != generation_) BeginEpoch(conversation);
}

void LogContext::BeginEpoch(Conversation* conversation) {
  const uint64_t random = options_.random ? options_.random() : 0;
  // On Redis each process names epochs by its own clock; here, by that of the opening.
  const int64_t at_ms = options_.late_epochs ? options_.now_ms : now_ms_;
  conversation->BeginEpoch(EpochTable::NewEpoch(conversation->epoch(), at_ms, random), generation_, now_ms_);
}

void LogContext::StageMidReservation() {
  if (mids_.last_ms() + kRenewBelowMs <= mids_reserved_until_ms_) return;
  mids_reserved_until_ms_ = mids_.last_ms() + kReserveMs;
  store_.Put(Space::kMeta, key::MidReservation(options_.worker),
             MetaNumber(static_cast<uint64_t>(mids_reserved_until_ms_)));
}

void LogContext::Touch(Conversation* conversation) {
  if (conversation->Enlist()) touched_.push_back(conversation);
}

}  // namespace everyonce
