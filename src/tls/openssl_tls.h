#pragma once

#include <memory>
#include <string>
#include <vector>

#include "redis/redis_error.h"
#include "redis/tls_session.h"

namespace everyonce {

// As of Node's tls.connect, PEM texts.
struct TlsOptions {
  std::vector<std::string> ca;  // certificates that are trusted, each text one or more
  std::string cert;             // ours, with what is between it and its root
  std::string key;              // of `cert`
  std::string passphrase;       // of an encrypted `key`
  std::string servername;       // asked for and checked in place of the address's host; empty: the host
  bool reject_unauthorized = true;
};

struct TlsOpened {
  // kBadUrl with `option`, a name of TlsOptions; kTls: `passphrase` does not open the key; kTlsUnavailable: this Node
  // has no OpenSSL to share.
  RedisStatus status;
  std::string option;
  std::shared_ptr<TlsContext> context;  // where `status` is ok
};

// TLS 1.2 or later. The certificate of the other side is checked against `ca`, and its names (subjectAltName alone: RFC
// 9525, section 2) against the host, before a byte of plaintext is sent.
TlsOpened OpenTls(const TlsOptions& options);

// Whether this Node has an OpenSSL that can be used.
bool TlsIsAvailable();

}  // namespace everyonce
