#pragma once

#include <uv.h>

#include "redis/redis_client.h"

namespace everyonce {

// What a RedisClient has of libuv. Of that class alone; freed by its own close callback.
struct RedisClient::Timer {
  uv_timer_t timer;
  RedisClient* owner = nullptr;
};

}  // namespace everyonce
