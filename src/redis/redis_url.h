#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "redis/redis_error.h"

namespace everyonce {

struct RedisAddress {
  std::string host = "127.0.0.1";
  uint16_t port = 6379;
  std::string user;
  std::string password;
  uint32_t database = 0;
  bool tls = false;  // rediss://

  // host:port, as a name of the node; IPv6 in brackets.
  std::string Name() const;
};

// redis[s]://[user][:password]@host[:port][/database], the parts percent-encoded where they need it. The form is the
// one that redis-cli -u and the usual clients read. kBadUrl says what is wrong without showing the password.
RedisStatus ParseRedisUrl(std::string_view url, RedisAddress* address);

// `host:port` as a node names another (MOVED, CLUSTER SLOTS); the port behind the last colon. False: it is none.
[[nodiscard]] bool ParseRedisNode(std::string_view text, std::string* host, uint16_t* port);

}  // namespace everyonce
