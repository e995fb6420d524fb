#include "addon/store_operations.h"

#include <utility>

#include "addon/errors.h"
#include "core/limits.h"
#include "store/claims.h"
#include "store/counter.h"
#include "store/offline.h"
#include "store/workers.h"

namespace everyonce {
namespace {

constexpr size_t kMaxTextBytes = size_t{16} << 20;
constexpr uint32_t kMaxTexts = 10000;
constexpr size_t kRequestBytes = 256;  // beside its texts

// The arguments behind (id, operation), read in order. The first that does not fit makes ok() false, with an error
// pending.
class Arguments {
 public:
  explicit Arguments(const Napi::CallbackInfo& info) : info_(info) {}

  bool ok() const { return ok_; }
  size_t bytes() const { return bytes_; }

  std::string Text() { return TextOf(Next()); }
  std::vector<std::string> Texts() {
    std::vector<std::string> texts;
    const Napi::Value value = Next();
    if (!value.IsArray() || value.As<Napi::Array>().Length() > kMaxTexts) {
      Refuse("an array of texts");
      return texts;
    }
    const auto array = value.As<Napi::Array>();
    for (uint32_t i = 0; ok_ && i < array.Length(); ++i) texts.push_back(TextOf(array.Get(i)));
    return texts;
  }
  // 0 … 2^53 − 1.
  uint64_t Number() {
    const Napi::Value value = Next();
    const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
    if (number >= 0 && number <= static_cast<double>(kMaxInteger)) return static_cast<uint64_t>(number);
    Refuse("a number from 0 to 2^53 - 1");
    return 0;
  }
  int64_t Ms() { return static_cast<int64_t>(Number()); }
  bool Flag() { return Next().ToBoolean().Value(); }

 private:
  Napi::Value Next() { return info_[next_++]; }
  std::string TextOf(const Napi::Value& value) {
    if (!value.IsString()) {
      Refuse("a text");
      return {};
    }
    std::string text = value.As<Napi::String>().Utf8Value();
    bytes_ += text.size();
    if (bytes_ > kMaxTextBytes) Refuse("smaller");
    return text;
  }
  void Refuse(const char* wanted) {
    if (ok_)
      Throw(info_.Env(), "BAD_OPTION", "an argument of the operation must be " + std::string(wanted), "argument");
    ok_ = false;
  }

  const Napi::CallbackInfo& info_;
  size_t next_ = 2;
  size_t bytes_ = kRequestBytes;
  bool ok_ = true;
};

StoreAnswer Failed(Status status) { return {.status = std::move(status), .values = {}}; }
double Double(uint64_t number) { return static_cast<double>(number); }

// [state, fence, attempt, retryAfterMs, text]
StoreAnswer Told(Status status, ClaimAnswer answer) {
  if (!status.ok()) return Failed(std::move(status));
  return {.status = {},
          .values = {std::string(ClaimStateName(answer.state)), Double(answer.fence), Double(answer.attempt),
                     Double(static_cast<uint64_t>(answer.retry_after_ms)), std::move(answer.text)}};
}

// The first letter of a claim's key is its kind.
ClaimKey ReadClaimKey(std::string text) {
  const bool of_dedup = !text.empty() && text.front() == 'd';
  return {.kind = of_dedup ? 'd' : 'c', .key = text.empty() ? text : text.substr(1)};
}

// (key, owner, leaseMs, keepMs, fingerprint, maxAttempts, requireIssued)
StoreAct ReadClaim(Arguments* arguments) {
  const ClaimKey key = ReadClaimKey(arguments->Text());
  ClaimRequest request;
  request.owner = arguments->Text();
  request.lease_ms = arguments->Ms();
  request.keep_ms = arguments->Ms();
  request.fingerprint = arguments->Text();
  request.max_attempts = static_cast<uint32_t>(arguments->Number());
  request.require_issued = arguments->Flag();
  return [key, request = std::move(request)](const StoreRoom& room) {
    ClaimAnswer answer;
    Status status = ClaimIn(room, key, request, &answer);
    return Told(std::move(status), std::move(answer));
  };
}

// (key, owner, fence, leaseMs)
StoreAct ReadRenew(Arguments* arguments) {
  const ClaimKey key = ReadClaimKey(arguments->Text());
  std::string owner = arguments->Text();
  const uint64_t fence = arguments->Number();
  const int64_t lease_ms = arguments->Ms();
  return [=](const StoreRoom& room) {
    ClaimAnswer answer;
    Status status = RenewIn(room, key, owner, fence, lease_ms, &answer);
    return Told(std::move(status), std::move(answer));
  };
}

// (key, owner, fence, result, keepMs)
StoreAct ReadCommit(Arguments* arguments) {
  const ClaimKey key = ReadClaimKey(arguments->Text());
  std::string owner = arguments->Text();
  const uint64_t fence = arguments->Number();
  std::string result = arguments->Text();
  const int64_t keep_ms = arguments->Ms();
  return [=](const StoreRoom& room) {
    ClaimAnswer answer;
    Status status = CommitIn(room, key, owner, fence, result, keep_ms, &answer);
    return Told(std::move(status), std::move(answer));
  };
}

// (key, owner, fence, final, reason, keepMs)
StoreAct ReadRelease(Arguments* arguments) {
  const ClaimKey key = ReadClaimKey(arguments->Text());
  ReleaseRequest request;
  request.owner = arguments->Text();
  request.fence = arguments->Number();
  request.final = arguments->Flag();
  request.reason = arguments->Text();
  request.keep_ms = arguments->Ms();
  return [key, request = std::move(request)](const StoreRoom& room) {
    ClaimAnswer answer;
    Status status = ReleaseIn(room, key, request, &answer);
    return Told(std::move(status), std::move(answer));
  };
}

// (keys, owner, ttlMs) → how many were issued
StoreAct ReadIssue(Arguments* arguments) {
  std::vector<ClaimKey> keys;
  for (std::string& key : arguments->Texts()) keys.push_back(ReadClaimKey(std::move(key)));
  std::string owner = arguments->Text();
  const int64_t ttl_ms = arguments->Ms();
  return [=](const StoreRoom& room) -> StoreAnswer {
    uint64_t issued = 0;
    Status status = IssueIn(room, keys, owner, ttl_ms, &issued);
    if (!status.ok()) return Failed(std::move(status));
    return {.status = {}, .values = {Double(issued)}};
  };
}

// (keys, windowMs) → a text of 0 (duplicate) and 1 (new), one for each
StoreAct ReadCheck(Arguments* arguments) {
  std::vector<ClaimKey> keys;
  for (std::string& key : arguments->Texts()) keys.push_back({.kind = 'd', .key = std::move(key)});
  const int64_t window_ms = arguments->Ms();
  return [=](const StoreRoom& room) -> StoreAnswer {
    std::string fresh;
    fresh.reserve(keys.size());
    for (const ClaimKey& key : keys) {
      bool is_fresh = false;
      Status status = CheckIn(room, key, window_ms, &is_fresh);
      if (!status.ok()) return Failed(std::move(status));
      fresh.push_back(is_fresh ? '1' : '0');
    }
    return {.status = {}, .values = {std::move(fresh)}};
  };
}

// (counter's key, count) → first, as a bigint
StoreAct ReadTake(Arguments* arguments) {
  std::string key = arguments->Text();
  const uint64_t count = arguments->Number();
  const uint64_t max = arguments->Number();
  return [=](const StoreRoom& room) -> StoreAnswer {
    uint64_t first = 0;
    Status status = TakeNumbers(room, key, count, max, &first);
    if (!status.ok()) return Failed(std::move(status));
    return {.status = {}, .values = {first}};
  };
}

// (counter's key) → last, as a bigint
StoreAct ReadLast(Arguments* arguments) {
  std::string key = arguments->Text();
  return [=](const StoreRoom& room) -> StoreAnswer {
    uint64_t last = 0;
    Status status = LastNumber(room, key, &last);
    if (!status.ok()) return Failed(std::move(status));
    return {.status = {}, .values = {last}};
  };
}

// (owner, leaseMs, reserveMs) → [worker, fence, usedUntilMs, reservedUntilMs]
StoreAct ReadLeaseWorker(Arguments* arguments) {
  std::string owner = arguments->Text();
  const int64_t lease_ms = arguments->Ms();
  const int64_t reserve_ms = arguments->Ms();
  return [=](const StoreRoom& room) -> StoreAnswer {
    WorkerGrant grant;
    int64_t retry_ms = 0;
    Status status = LeaseWorker(room, owner, lease_ms, reserve_ms, &grant, &retry_ms);
    if (!status.ok()) return {.status = std::move(status), .values = {static_cast<double>(retry_ms)}};
    return {.status = {},
            .values = {Double(grant.worker), Double(grant.fence), static_cast<double>(grant.used_until_ms),
                       static_cast<double>(grant.reserved_until_ms)}};
  };
}

// (worker, owner, fence, leaseMs, reservedUntilMs) → held
StoreAct ReadRenewWorker(Arguments* arguments) {
  const auto worker = static_cast<uint32_t>(arguments->Number());
  std::string owner = arguments->Text();
  const uint64_t fence = arguments->Number();
  const int64_t lease_ms = arguments->Ms();
  const int64_t reserved_until_ms = arguments->Ms();
  return [=](const StoreRoom& room) -> StoreAnswer {
    bool held = false;
    Status status = RenewWorker(room, worker, owner, fence, lease_ms, reserved_until_ms, &held);
    if (!status.ok()) return Failed(std::move(status));
    return {.status = {}, .values = {held}};
  };
}

// (worker, owner, fence, usedUntilMs) → held
StoreAct ReadReleaseWorker(Arguments* arguments) {
  const auto worker = static_cast<uint32_t>(arguments->Number());
  std::string owner = arguments->Text();
  const uint64_t fence = arguments->Number();
  const int64_t used_until_ms = arguments->Ms();
  return [=](const StoreRoom& room) -> StoreAnswer {
    bool held = false;
    Status status = ReleaseWorker(room, worker, owner, fence, used_until_ms, &held);
    if (!status.ok()) return Failed(std::move(status));
    return {.status = {}, .values = {held}};
  };
}

// (receiver, sender, msgId, body) → added
StoreAct ReadAppend(Arguments* arguments) {
  std::string receiver = arguments->Text();
  OfflineItem item;
  item.sender = arguments->Text();
  item.msg_id = arguments->Text();
  item.body = arguments->Text();
  return [receiver = std::move(receiver), item = std::move(item)](const StoreRoom& room) -> StoreAnswer {
    bool added = false;
    Status status = AppendOffline(room, receiver, item, &added);
    if (!status.ok()) return Failed(std::move(status));
    return {.status = {}, .values = {added}};
  };
}

// (receiver) → [undefined, sender, count, …]
StoreAct ReadCounts(Arguments* arguments) {
  std::string receiver = arguments->Text();
  return [=](const StoreRoom& room) -> StoreAnswer {
    std::vector<SenderCount> counts;
    Status status = CountOffline(room, receiver, &counts);
    if (!status.ok()) return Failed(std::move(status));
    // Never one value alone, which would not come as an array.
    StoreAnswer answer = {.status = {}, .values = {std::monostate(), std::monostate()}};
    for (SenderCount& count : counts) {
      answer.values.emplace_back(std::move(count.sender));
      answer.values.emplace_back(Double(count.count));
    }
    return answer;
  };
}

// (receiver, sender, limit, newestFirst, next, keepMs) → [next, undefined, msgId, sender, body, …]
StoreAct ReadPull(Arguments* arguments) {
  OfflineQuery query;
  query.receiver = arguments->Text();
  query.sender = arguments->Text();
  query.limit = arguments->Number();
  query.newest_first = arguments->Flag();
  query.next = arguments->Text();
  const int64_t keep_ms = arguments->Ms();
  return [query = std::move(query), keep_ms](const StoreRoom& room) -> StoreAnswer {
    OfflinePage page;
    Status status = PullOffline(room, query, keep_ms, &page);
    if (!status.ok()) return Failed(std::move(status));
    StoreAnswer answer = {.status = {}, .values = {std::move(page.next), std::monostate()}};
    for (OfflineItem& item : page.items) {
      answer.values.emplace_back(std::move(item.msg_id));
      answer.values.emplace_back(std::move(item.sender));
      answer.values.emplace_back(std::move(item.body));
    }
    return answer;
  };
}

// (receiver, msgIds, keepMs) → how many were acked
StoreAct ReadAck(Arguments* arguments) {
  std::string receiver = arguments->Text();
  std::vector<std::string> msg_ids = arguments->Texts();
  const int64_t keep_ms = arguments->Ms();
  return [=](const StoreRoom& room) -> StoreAnswer {
    uint64_t acked = 0;
    Status status = AckOffline(room, receiver, msg_ids, keep_ms, &acked);
    if (!status.ok()) return Failed(std::move(status));
    return {.status = {}, .values = {Double(acked)}};
  };
}

using Reader = StoreAct (*)(Arguments* arguments);
// By StoreOperation.
constexpr Reader kReaders[] = {ReadClaim,         ReadRenew,  ReadCommit, ReadRelease,     ReadIssue,
                               ReadCheck,         ReadTake,   ReadLast,   ReadLeaseWorker, ReadRenewWorker,
                               ReadReleaseWorker, ReadAppend, ReadCounts, ReadPull,        ReadAck};

}  // namespace

bool ReadOperation(const Napi::CallbackInfo& info, StoreRequest* request) {
  const double operation = info[1].IsNumber() ? info[1].As<Napi::Number>().DoubleValue() : -1;
  if (!info[0].IsNumber() || !(operation >= 0 && operation < static_cast<double>(std::size(kReaders)))) {
    Throw(info.Env(), "BAD_OPTION", "submit needs an id and an operation", "operation");
    return false;
  }
  Arguments arguments(info);
  request->id = info[0].As<Napi::Number>().Uint32Value();
  request->act = kReaders[static_cast<size_t>(operation)](&arguments);
  request->bytes = arguments.bytes();
  return arguments.ok();
}

}  // namespace everyonce
