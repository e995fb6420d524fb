#pragma once

#include <uv.h>

#include <array>
#include <memory>
#include <string>

#include "redis/redis_connection.h"

namespace everyonce {

// What a RedisConnection has of libuv. Of that class alone.

// The handles outlive the connection by the loop's next turn: each is freed by its own close callback.
struct RedisConnection::Handles {
  uv_timer_t timer;
  uv_prepare_t prepare;
  int open = 2;
  std::shared_ptr<RedisConnection> owner;

  static void Closed(uv_handle_t* handle) {
    auto* self = static_cast<Handles*>(handle->data);
    if (--self->open == 0) delete self;
  }
};

struct RedisConnection::Socket {
  uv_tcp_t tcp;
  uv_connect_t connect;
  uv_getaddrinfo_t lookup;
  uv_write_t write;
  std::string output;
  std::array<char, 65536> input;
  // With TLS alone.
  std::unique_ptr<TlsSession> tls;
  std::string sealed;                  // ciphertext to be written next
  std::array<char, 16384> deciphered;  // a record's worth
  bool looking_up = false;
  bool closed = false;
  std::shared_ptr<RedisConnection> owner;  // null: let go

  void FreeIfDone() {
    if (closed && !looking_up) delete this;
  }
};

}  // namespace everyonce
