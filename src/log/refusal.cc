#include "log/refusal.h"

namespace everyonce {
namespace {

constexpr int64_t kRetryMs = 1000;  // told to the sender, who waits so long before the same again

}  // namespace

Outcome Refusal(Code code, std::string_view message) {
  Outcome outcome;
  outcome.code = code;
  outcome.message = message;
  return outcome;
}

Outcome Unavailable(std::string_view message) {
  Outcome outcome = Refusal(Code::kUnavailable, message);
  outcome.retry_ms = kRetryMs;
  return outcome;
}

Outcome Unavailable(const Status& status) {
  return Unavailable(status.message.empty() ? "the store is not available" : std::string_view(status.message));
}

Outcome UnknownConversation() { return Refusal(Code::kUnknownConv, "no such conversation, or you are not in it"); }

}  // namespace everyonce
