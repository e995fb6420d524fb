#pragma once

#include <cstddef>
#include <cstdint>

namespace everyonce {

// Every bound in the core, with its unit and its reason. Those that an operator may change have the same name in
// createServer's `limits` and are carried by Limits below; the constants are the protocol's own.

inline constexpr uint64_t kMaxInteger = (uint64_t{1} << 53) - 1;  // what every JSON reader keeps exactly
inline constexpr size_t kMaxUserBytes = 64;
inline constexpr size_t kMaxDeviceBytes = 64;
inline constexpr size_t kMaxGroupNameBytes = 96;
inline constexpr size_t kMinIdBytes = 8;
inline constexpr size_t kMaxIdBytes = 64;
inline constexpr size_t kMaxTypeBytes = 32;
inline constexpr size_t kMaxRidBytes = 64;
inline constexpr size_t kMaxTypeNameBytes = 64;  // of an unknown `t` in its answer
inline constexpr size_t kMaxNextBytes = 4096;
inline constexpr int kMaxBodyDepth = 64;
inline constexpr size_t kMaxTokenBytes = 8192;         // a JWT with room to spare
inline constexpr size_t kMaxPositionsPerPacket = 200;  // `at` in hello and resume
inline constexpr size_t kMaxStatusIds = 100;
inline constexpr size_t kMaxMembersPerPacket = 200;
inline constexpr size_t kMaxTokensPerPacket = 1000;  // their answer fits into one frame of the default size
inline constexpr size_t kTokensPerRate = 100;        // so many cost what one packet does (limits.rate)
inline constexpr size_t kMaxPackageParts = 256;
inline constexpr size_t kMaxPackageBytes = 4u
                                           << 20;  // of its bodies: 256 of the default size; what is larger never fits
inline constexpr uint64_t kProducerWindow = 64;    // unanswered n per (device, conversation), and answers remembered
inline constexpr size_t kMaxAckedRanges = 64;      // per (device, conversation)
inline constexpr size_t kMaxWelcomeConversations = 1000;
inline constexpr size_t kBadPacketsToClose = 11;  // within a minute: close code 4400
inline constexpr size_t kMaxPageBytes = 1 << 20;
inline constexpr size_t kMaxEpochs = 16;  // epochs that a log remembers

// Packages whose parts are held until all are there. What does not fit is refused at once (package_incomplete); nobody
// else's package is dropped for it. An honest device has one in flight per conversation.
struct PackageLimits {
  size_t user_packages = 16;      // a few conversations on a few devices
  size_t user_parts = 1024;       // four of the largest
  size_t user_bytes = 8u << 20;   // two of the largest
  size_t server_packages = 4096;  // with the next: at most some 32 MiB beside the bodies
  size_t server_parts = 65536;
  size_t server_bytes = 64u << 20;  // memory that this may cost a server
  size_t package_bytes = kMaxPackageBytes;
};

// What an operator may set; defaults as in api.md.
struct Limits {
  size_t frame_bytes = 65536;
  size_t body_bytes = 16384;
  uint32_t window = 256;  // messages pushed to one device and not acked, over all conversations
  uint32_t page = 200;    // items of one page
  uint32_t rate = 100;    // packets per second and connection, averaged over 10 s; 0: no limit
  // The same over all connections of one user, of one address; not told to clients.
  uint32_t user_rate = 0;
  uint32_t address_rate = 0;
};

}  // namespace everyonce
