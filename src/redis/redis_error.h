#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace everyonce {

// How a command to Redis ended. What counts for a caller: kUnknown and kTimeout may have been done, and the same again
// tells where it is idempotent; every other one but kOk surely was not.
enum class RedisCode : uint8_t {
  kOk = 0,
  kBadUrl,          // an address that is none; `message` names what is wrong, never the password
  kTlsUnavailable,  // rediss://, and no TLS in this build
  kTls,             // no TLS with this server: its certificate is not trusted, ours is not, or it speaks something else
  kUnreachable,     // never sent: no connection within the deadline
  kUnknown,         // sent, and the connection was lost before the answer
  kTimeout,         // sent, and no answer in time
  kQueueFull,       // never sent: as much waits as may
  kRefused,         // an error reply
  kAuth,            // wrong user or password, or none where one is wanted
  kWrongServer,     // too old, a Cluster where none was meant or the reverse, no primary among the addresses
  kProtocol,        // the other side does not speak Redis's protocol
  kClosed,          // never sent: the client is closed
  kHalfMoved,       // what is there is half of what `everyonce migrate` was moving
};

// The name under which JavaScript throws it (lib/protocol/codes.js). Never empty.
std::string_view RedisCodeName(RedisCode code);

struct [[nodiscard]] RedisStatus {
  RedisCode code = RedisCode::kOk;
  std::string message;

  bool ok() const { return code == RedisCode::kOk; }
  // Whether the command may have been done all the same.
  bool unknown() const { return code == RedisCode::kUnknown || code == RedisCode::kTimeout; }
  // Whether the server's settings, or ours, have to change first: to wait for that is no use.
  bool hopeless() const {
    return code == RedisCode::kAuth || code == RedisCode::kTls || code == RedisCode::kTlsUnavailable;
  }
};

}  // namespace everyonce
