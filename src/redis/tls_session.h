#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace everyonce {

// TLS as a transform of bytes: no socket, no loop, no clock. What is behind it (src/tls, by Node's own OpenSSL) is
// handed in, so that the client of Redis, and its native tests, need no library for it.
//
// The caller feeds what the socket brought, reads plaintext until there is none, and writes what TakeOutput gives:
// after every call, since any of them may make some.
class TlsSession {
 public:
  enum class State {
    kHandshake,
    kOpen,
    kEnded,   // the other side said that it sends no more (close_notify)
    kFailed,  // `failure` says why; TakeOutput may still have an alert for the other side
  };

  TlsSession() = default;
  virtual ~TlsSession() = default;
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  // Bytes from the socket, and as far with the handshake as they reach; with none: begins it.
  virtual void Feed(std::string_view ciphertext) = 0;
  // Up to `size` bytes of what was fed, deciphered; 0: nothing more for now, or the state changed.
  virtual size_t Read(char* into, size_t size) = 0;
  // In kOpen only. All of it goes into the output, as many records of it as it takes.
  virtual void Write(std::string_view plaintext) = 0;
  // Says that nothing more will be sent.
  virtual void End() = 0;
  // Appends what is to be written to the socket.
  virtual void TakeOutput(std::string* ciphertext) = 0;

  virtual State state() const = 0;
  // Of kFailed: a sentence without secrets.
  virtual const std::string& failure() const = 0;
};

// What all connections of one client share: who is trusted, and who we are.
class TlsContext {
 public:
  TlsContext() = default;
  virtual ~TlsContext() = default;
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  // To the server of that name or IP address. Never null.
  virtual std::unique_ptr<TlsSession> Open(const std::string& host) = 0;
};

}  // namespace everyonce
