#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/limits.h"
#include "core/package_reorder.h"
#include "log/log.h"

namespace everyonce {

// Both clocks, read once by whoever drives the engine. Intervals are measured on the steady one.
struct Time {
  int64_t wall_ms = 0;    // Unix milliseconds
  int64_t steady_ms = 0;  // any start, never goes back; > 0
};

struct RelayingOptions {
  // A message whose predecessor is not here yet waits for it so long: the predecessor's bell is on its way, or lost.
  int64_t hold_ms = 100;
  // All that is watched is compared with the log in this time, once: what no bell ever told of is found by it.
  int64_t compare_ms = 15'000;
  // What the log has and nobody was told of may be on its way so long, before connections are sent to read it.
  int64_t grace_ms = 250;
  int64_t retry_ms = 1'000;  // after a comparison that the store could not answer
};

struct EngineOptions {
  Limits limits;
  std::string node = "node";              // welcome's `node`
  bool message_events = false;            // give out a kEvent for each stored message
  TokenCheck tokens = TokenCheck::kNone;  // of the ids of messages; not of what the application itself publishes
  bool archive = false;                   // ask by kArchive for what retention has removed
  std::string archive_group;              // the consumer group that writes it: until it is there, nothing is removed
  bool authorize = false;                 // ask by kAuthorize before a user's packet is done
  int64_t redelivery_ms = 10'000;
  int64_t head_interval_ms = 1'000;
  int64_t receipt_interval_ms = 100;
  int64_t tend_interval_ms = 10'000;   // between a group and the log's housekeeping; a tenth of it while there is more
  int64_t package_timeout_ms = 5'000;  // from a package's first part to its last
  RelayingOptions relaying;
  PackageLimits package_limits;
  size_t group_commands = 4096;     // bound of one group, in commands …
  size_t group_bytes = 8u << 20;    // … and in bytes of bodies
  size_t output_bytes = 64u << 20;  // pushes and pages of one step; beyond it conversations go behind, pulls wait
};

struct EngineCounters {
  uint64_t connections = 0;  // now
  uint64_t welcomed = 0;     // now
  uint64_t packets = 0;
  uint64_t groups = 0;
  uint64_t commands = 0;
  uint64_t acks = 0;
  uint64_t duplicates = 0;
  uint64_t nacks = 0;
  uint64_t errors = 0;
  uint64_t pushes = 0;
  uint64_t heads = 0;
  uint64_t pages = 0;
  uint64_t redeliveries = 0;
  uint64_t replaced = 0;
  uint64_t unavailable = 0;
};

}  // namespace everyonce
