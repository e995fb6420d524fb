#pragma once

#include <napi.h>

#include "store/store_thread.h"

namespace everyonce {

// The operations that JavaScript may ask a store for. The same numbers stand in lib/primitives/store.js; a test
// compares them. Arguments and answers are told there.
enum class StoreOperation : uint8_t {
  kClaim = 0,
  kRenew = 1,
  kCommit = 2,
  kRelease = 3,
  kIssue = 4,
  kCheck = 5,
  kTake = 6,
  kLast = 7,
  kLeaseWorker = 8,
  kRenewWorker = 9,
  kReleaseWorker = 10,
  kAppend = 11,
  kCounts = 12,
  kPull = 13,
  kAck = 14,
};

// Reads (id, operation, …arguments) into id, bytes and act. False: an error is pending. lib has checked the arguments;
// this refuses what would be unsafe all the same.
bool ReadOperation(const Napi::CallbackInfo& info, StoreRequest* request);

}  // namespace everyonce
