#include "addon/feed_calls.h"

#include <algorithm>
#include <cstdlib>
#include <string>

#include "addon/errors.h"
#include "core/limits.h"

namespace everyonce {
namespace {

constexpr uint32_t kMaxLeases = 4096;  // renewed by one call
constexpr double kMaxLeaseMs = 86400000;

// The members of one object. The first that does not fit makes ok() false, with an error pending.
class Members {
 public:
  explicit Members(Napi::Object object) : object_(object) {}

  bool ok() const { return ok_; }

  std::string Text(const char* name) {
    const Napi::Value value = object_.Get(name);
    if (value.IsUndefined()) return {};
    if (value.IsString()) return value.As<Napi::String>().Utf8Value();
    return Refuse(name), std::string();
  }
  uint64_t Number(const char* name, double most = static_cast<double>(kMaxInteger)) {
    return ToNumber(object_.Get(name), name, most);
  }
  bool Flag(const char* name) { return object_.Get(name).ToBoolean().Value(); }
  // A message's id: 64 bits, as a string of digits.
  uint64_t Mid(const char* name) {
    const std::string text = Text(name);
    const bool digits = text.size() <= 19 && std::all_of(text.begin(), text.end(),
                                                         [](char letter) { return letter >= '0' && letter <= '9'; });
    if (digits) return text.empty() ? 0 : std::strtoull(text.c_str(), nullptr, 10);
    return Refuse(name), 0;
  }
  std::vector<uint64_t> Numbers(const char* name) {
    std::vector<uint64_t> numbers;
    const Napi::Value value = object_.Get(name);
    if (!value.IsArray() || value.As<Napi::Array>().Length() > kMaxLeases) return Refuse(name), numbers;
    const auto array = value.As<Napi::Array>();
    for (uint32_t i = 0; ok_ && i < array.Length(); ++i) {
      numbers.push_back(ToNumber(array.Get(i), name, static_cast<double>(kMaxInteger)));
    }
    return numbers;
  }

 private:
  uint64_t ToNumber(const Napi::Value& value, const char* name, double most) {
    if (value.IsUndefined()) return 0;
    const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
    if (number >= 0 && number <= most) return static_cast<uint64_t>(number);
    return Refuse(name), 0;
  }
  void Refuse(const char* name) {
    if (ok_) Throw(object_.Env(), "BAD_OPTION", "\"" + std::string(name) + "\" does not fit", name);
    ok_ = false;
  }

  Napi::Object object_;
  bool ok_ = true;
};

bool ActionOf(const std::string& name, FeedAction* action) {
  static constexpr struct {
    const char* name;
    FeedAction action;
  } kActions[] = {{"open", FeedAction::kOpen}, {"ack", FeedAction::kAck},       {"park", FeedAction::kPark},
                  {"mark", FeedAction::kMark}, {"forget", FeedAction::kForget}, {"drop", FeedAction::kDrop}};
  for (const auto& known : kActions) {
    if (name != known.name) continue;
    *action = known.action;
    return true;
  }
  return false;
}

void ReadChange(Members* members, FeedChange* change) {
  change->from_now = members->Flag("fromNow");
  change->lease = members->Number("lease");
  change->seq = members->Number("seq");
  change->release = members->Flag("release");
  change->mid = members->Mid("mid");
  change->attempts = members->Number("attempts");
  change->error = members->Text("error");
}

void ReadTake(Members* members, FeedQuery* query) {
  query->conv = members->Text("conv");
  query->conversations = static_cast<uint32_t>(members->Number("conversations", kMaxFeedConversations));
  query->limit = static_cast<uint32_t>(members->Number("limit", kMaxFeedMessages));
  query->lease_ms = static_cast<int64_t>(members->Number("leaseMs", kMaxLeaseMs));
}

}  // namespace

bool ReadFeedCall(const Napi::Value& value, FeedCall* call) {
  const Napi::Env env = value.Env();
  if (!value.IsObject()) {
    Throw(env, "BAD_OPTION", "feed needs an object", "call");
    return false;
  }
  Members members(value.As<Napi::Object>());
  const std::string action = members.Text("action");
  call->group = call->change.group = call->query.group = members.Text("group");
  if (ActionOf(action, &call->change.action)) {
    call->kind = FeedCallKind::kChange;
    ReadChange(&members, &call->change);
  } else if (action == "take") {
    call->kind = FeedCallKind::kTake;
    ReadTake(&members, &call->query);
    call->raw = members.Flag("raw");
  } else if (action == "renew") {
    call->kind = FeedCallKind::kRenew;
    call->leases = members.Numbers("leases");
    call->lease_ms = static_cast<int64_t>(members.Number("leaseMs", kMaxLeaseMs));
  } else if (action == "lag") {
    call->kind = FeedCallKind::kLag;
  } else if (action == "letters") {
    call->kind = FeedCallKind::kLetters;
    call->after_mid = members.Mid("after");
    call->limit = static_cast<uint32_t>(members.Number("limit", kMaxDeadLetterPage));
  } else if (action == "groups") {
    call->kind = FeedCallKind::kGroups;
  } else {
    Throw(env, "BAD_OPTION", "there is no such action of a feed", "action");
    return false;
  }
  return members.ok();
}

}  // namespace everyonce
