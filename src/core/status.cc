#include "core/status.h"

namespace everyonce {

std::string_view CodeName(Code code) {
  switch (code) {
    case Code::kOk:
      return "ok";
    case Code::kGap:
      return "gap";
    case Code::kConflict:
      return "conflict";
    case Code::kUnknownProducer:
      return "unknown_producer";
    case Code::kTooOld:
      return "too_old";
    case Code::kUnknownConv:
      return "unknown_conv";
    case Code::kForbidden:
      return "forbidden";
    case Code::kTooLarge:
      return "too_large";
    case Code::kBadRequest:
      return "bad_request";
    case Code::kTokenInvalid:
      return "token_invalid";
    case Code::kRateLimited:
      return "rate_limited";
    case Code::kPackageIncomplete:
      return "package_incomplete";
    case Code::kUnavailable:
      return "unavailable";
    case Code::kExists:
      return "exists";
    case Code::kStaleDevice:
      return "stale_device";
    case Code::kUnsupported:
      return "unsupported";
    case Code::kStoreLocked:
      return "STORE_LOCKED";
    case Code::kStoreUnwritable:
      return "STORE_UNWRITABLE";
    case Code::kStoreVersion:
      return "STORE_VERSION";
    case Code::kStoreCorrupt:
      return "STORE_CORRUPT";
    case Code::kClosed:
      return "CLOSED";
    case Code::kBadFilter:
      return "BAD_FILTER";
    case Code::kOverloaded:
      return "OVERLOADED";
  }
  return "unknown";  // a value that is no enumerator: only a broken caller can make one
}

bool IsTransient(Code code) {
  switch (code) {
    case Code::kGap:
    case Code::kConflict:
    case Code::kUnknownProducer:
    case Code::kTooOld:
    case Code::kRateLimited:
    case Code::kPackageIncomplete:
    case Code::kUnavailable:
      return true;
    default:
      return false;
  }
}

}  // namespace everyonce
