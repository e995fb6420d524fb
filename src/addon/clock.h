#pragma once

#include <napi.h>

#include <cstdint>
#include <ctime>

namespace everyonce {

inline int64_t ReadClock(clockid_t clock) {
  timespec now = {};
  clock_gettime(clock, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1000000;
}

// Milliseconds that only rise, also while the machine sleeps: what leases and windows are measured by.
inline int64_t MonotonicMs() { return ReadClock(CLOCK_BOOTTIME); }

// The time that the caller brought, or what `otherwise` says.
inline int64_t TimeOr(const Napi::Value& given, int64_t (*otherwise)()) {
  return given.IsNumber() ? given.As<Napi::Number>().Int64Value() : otherwise();
}

}  // namespace everyonce
