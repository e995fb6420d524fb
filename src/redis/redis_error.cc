#include "redis/redis_error.h"

namespace everyonce {

std::string_view RedisCodeName(RedisCode code) {
  switch (code) {
    case RedisCode::kOk:
      return "ok";
    case RedisCode::kBadUrl:
      return "BAD_OPTION";
    case RedisCode::kTlsUnavailable:
      return "TLS_UNAVAILABLE";
    case RedisCode::kTls:
      return "REDIS_TLS";
    case RedisCode::kUnreachable:
      return "REDIS_UNREACHABLE";
    case RedisCode::kUnknown:
      return "REDIS_UNKNOWN";
    case RedisCode::kTimeout:
      return "REDIS_TIMEOUT";
    case RedisCode::kQueueFull:
      return "REDIS_BUSY";
    case RedisCode::kRefused:
      return "REDIS_REFUSED";
    case RedisCode::kAuth:
      return "REDIS_AUTH";
    case RedisCode::kWrongServer:
      return "REDIS_WRONG_SERVER";
    case RedisCode::kProtocol:
      return "REDIS_PROTOCOL";
    case RedisCode::kClosed:
      return "CLOSED";
    case RedisCode::kHalfMoved:
      return "MIGRATION_UNFINISHED";
  }
  return "unknown";  // a value that is no enumerator: only a broken caller can make one
}

}  // namespace everyonce
