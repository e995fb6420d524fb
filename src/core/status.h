#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace everyonce {

// Every outcome that can leave the core. The wire names are in protocol.md ("nack codes", "Errors");
// lib/protocol/codes.js holds the same table for JavaScript, and test/project compares the two.
enum class Code : uint8_t {
  kOk = 0,
  kGap,
  kConflict,
  kUnknownProducer,
  kTooOld,
  kUnknownConv,
  kForbidden,
  kTooLarge,
  kBadRequest,
  kTokenInvalid,
  kRateLimited,
  kPackageIncomplete,
  kUnavailable,
  kExists,
  kStaleDevice,
  kUnsupported,
  // Never sent on the wire; thrown as EveryonceError by the addon when a store is opened or read.
  kStoreLocked,
  kStoreUnwritable,
  kStoreVersion,
  kStoreCorrupt,
  kClosed,
  // Thrown by the addon's classes that are used without a server.
  kBadFilter,
  kOverloaded,
};

// The name as sent on the wire ("unknown_conv") or thrown ("STORE_LOCKED"). Never empty.
std::string_view CodeName(Code code);

// True where a sender does not settle the message on this answer: it goes back, asks, or sends the same again.
// (protocol.md: "The four named change nothing", and every nack that carries `retry`.) False for a final refusal.
bool IsTransient(Code code);

// An outcome by value. `message` is a sentence for a person; `field` names the offending key where there is one.
struct [[nodiscard]] Status {
  Code code = Code::kOk;
  std::string message;
  std::string field;

  bool ok() const { return code == Code::kOk; }
  static Status Ok() { return {}; }
  static Status Error(Code code, std::string message, std::string field = {}) {
    return {code, std::move(message), std::move(field)};
  }
};

}  // namespace everyonce
