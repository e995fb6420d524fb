#pragma once

#include <memory>
#include <string>

#include "redis/tls_session.h"
#include "tls/openssl_symbols.h"

#ifdef EVERYONCE_HAS_OPENSSL_HEADERS

namespace everyonce {

// `name`: of whom the certificate must be, where `context` asks for one; a host's name is also asked for (SNI).
std::unique_ptr<TlsSession> OpenSession(SSL_CTX* context, const std::string& name);

}  // namespace everyonce

#endif
