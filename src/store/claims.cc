#include "store/claims.h"

#include <optional>
#include <utility>

#include "core/limits.h"
#include "store/counter.h"

namespace everyonce {
namespace {

constexpr char kFenceKey[] = "f";

// A record between its reading and its writing.
class StoredClaim {
 public:
  StoredClaim(const StoreRoom& room, const ClaimKey& key)
      : room_(room), key_(key::Of(key.kind, key.key)), filter_(key.kind == 'd' ? room.filter : nullptr) {}

  Status Read() {
    std::string value;
    bool found = false;
    if (filter_ != nullptr && !filter_->MaySee(Name())) return Status::Ok();
    Status status = room_.table->Get(key_, &value, &found);
    if (filter_ != nullptr && status.ok()) filter_->Looked(found);
    if (!status.ok() || !found) return status;
    record.emplace();
    if (!ClaimRecord::Decode(value, &*record)) return Status::Error(Code::kStoreCorrupt, "no claim under its key");
    stored_forget_at_ms_ = record->forget_at_ms;
    return status;
  }
  void Write() {
    if (filter_ != nullptr) filter_->Remember(Name());
    MoveExpiry(room_.table, key_, stored_forget_at_ms_, record->forget_at_ms);
    room_.table->Put(key_, record->Encode());
  }

  std::optional<ClaimRecord> record;

 private:
  std::string_view Name() const { return std::string_view(key_).substr(1); }

  const StoreRoom& room_;
  const std::string key_;
  DedupFilter* const filter_;
  int64_t stored_forget_at_ms_ = 0;
};

}  // namespace

Status NextFence(const StoreRoom& room, uint64_t* fence) { return TakeNumbers(room, kFenceKey, 1, kMaxInteger, fence); }

Status ClaimIn(const StoreRoom& room, const ClaimKey& key, const ClaimRequest& request, ClaimAnswer* answer) {
  StoredClaim stored(room, key);
  uint64_t last_fence = 0;
  Status status = stored.Read();
  if (status.ok()) status = LastNumber(room, kFenceKey, &last_fence);
  if (!status.ok()) return status;
  bool changed = false;
  *answer = Claim(&stored.record, request, room.now_ms, last_fence + 1, &changed);
  if (!changed) return status;
  const bool fenced = answer->state == ClaimState::kAcquired || answer->state == ClaimState::kTakeover;
  if (fenced) {
    // First: it is what may be refused. Within one group the time stands, so it is the same number.
    status = NextFence(room, &last_fence);
    if (!status.ok()) return status;
  }
  stored.Write();
  return status;
}

Status RenewIn(const StoreRoom& room, const ClaimKey& key, std::string_view owner, uint64_t fence, int64_t lease_ms,
               ClaimAnswer* answer) {
  StoredClaim stored(room, key);
  Status status = stored.Read();
  if (!status.ok()) return status;
  bool changed = false;
  *answer = RenewClaim(&stored.record, owner, fence, lease_ms, room.now_ms, &changed);
  if (changed) stored.Write();
  return status;
}

Status CommitIn(const StoreRoom& room, const ClaimKey& key, std::string_view owner, uint64_t fence,
                std::string_view result, int64_t keep_ms, ClaimAnswer* answer) {
  StoredClaim stored(room, key);
  Status status = stored.Read();
  if (!status.ok()) return status;
  bool changed = false;
  *answer = CommitClaim(&stored.record, owner, fence, result, keep_ms, room.now_ms, &changed);
  if (changed) stored.Write();
  return status;
}

Status ReleaseIn(const StoreRoom& room, const ClaimKey& key, const ReleaseRequest& request, ClaimAnswer* answer) {
  StoredClaim stored(room, key);
  Status status = stored.Read();
  if (!status.ok()) return status;
  bool changed = false;
  *answer = ReleaseClaim(&stored.record, request, room.now_ms, &changed);
  if (changed) stored.Write();
  return status;
}

Status IssueIn(const StoreRoom& room, const std::vector<ClaimKey>& keys, std::string_view owner, int64_t ttl_ms,
               uint64_t* issued) {
  *issued = 0;
  for (const ClaimKey& key : keys) {
    StoredClaim stored(room, key);
    Status status = stored.Read();
    if (!status.ok()) return status;
    if (!IssueClaim(&stored.record, owner, ttl_ms, room.now_ms)) continue;
    stored.Write();
    ++*issued;
  }
  return Status::Ok();
}

Status CheckIn(const StoreRoom& room, const ClaimKey& key, int64_t window_ms, bool* fresh) {
  StoredClaim stored(room, key);
  uint64_t fence = 0;
  Status status = stored.Read();
  if (status.ok()) status = LastNumber(room, kFenceKey, &fence);
  if (!status.ok()) return status;
  bool changed = false;
  const ClaimRequest request = {.owner = {}, .lease_ms = 0, .keep_ms = window_ms, .fingerprint = {}};
  const ClaimAnswer answer = Claim(&stored.record, request, room.now_ms, fence + 1, &changed);
  *fresh = answer.state == ClaimState::kAcquired || answer.state == ClaimState::kTakeover;
  if (!*fresh) return status;
  status = NextFence(room, &fence);
  if (!status.ok()) return status;
  (void)CommitClaim(&stored.record, {}, answer.fence, {}, window_ms, room.now_ms, &changed);
  stored.Write();
  return status;
}

}  // namespace everyonce
