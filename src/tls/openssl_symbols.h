#pragma once

// Node's own OpenSSL, from inside the addon. Nothing is linked: the functions are weak references, which the dynamic
// linker binds to those that the node binary exports (or the libssl that it was linked with), and leaves null where
// there are none. So the addon loads on every Node, and asks OpenSslIsThere before it calls any.
//
// A function that is used and not listed here would be a strong reference, and make the addon impossible to load where
// it is missing: test/project/tls-symbols.test.js reads them from the built addon.

#if __has_include(<openssl/ssl.h>)
#define EVERYONCE_HAS_OPENSSL_HEADERS 1

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

// clang-format off
#define EVERYONCE_OPENSSL_SYMBOLS(USE) \
  USE(BIO_ctrl) USE(BIO_free) USE(BIO_new) USE(BIO_new_mem_buf) USE(BIO_read) USE(BIO_s_mem) \
  USE(BIO_write) USE(ERR_clear_error) USE(ERR_peek_last_error) USE(ERR_reason_error_string) \
  USE(EVP_PKEY_free) USE(OpenSSL_version_num) USE(PEM_read_bio_PrivateKey) USE(PEM_read_bio_X509) \
  USE(SSL_CTX_check_private_key) USE(SSL_CTX_ctrl) USE(SSL_CTX_free) USE(SSL_CTX_get_cert_store) \
  USE(SSL_CTX_new) USE(SSL_CTX_set_options) USE(SSL_CTX_set_verify) USE(SSL_CTX_use_PrivateKey) \
  USE(SSL_CTX_use_certificate) USE(SSL_ctrl) USE(SSL_do_handshake) USE(SSL_free) USE(SSL_get0_param) \
  USE(SSL_get_error) USE(SSL_get_verify_mode) USE(SSL_get_verify_result) USE(SSL_new) USE(SSL_read) \
  USE(SSL_set_bio) USE(SSL_set_connect_state) USE(SSL_shutdown) USE(SSL_write_ex) \
  USE(TLS_client_method) USE(X509_STORE_add_cert) USE(X509_VERIFY_PARAM_set1_host) \
  USE(X509_VERIFY_PARAM_set1_ip_asc) USE(X509_VERIFY_PARAM_set_hostflags) USE(X509_free) \
  USE(X509_verify_cert_error_string)
// clang-format on

#define EVERYONCE_WEAK(name) _Pragma(EVERYONCE_TEXT(weak name))
#define EVERYONCE_TEXT(text) #text
EVERYONCE_OPENSSL_SYMBOLS(EVERYONCE_WEAK)
#undef EVERYONCE_TEXT
#undef EVERYONCE_WEAK

namespace everyonce {

// Whether all of them are there, and of the generation whose headers this was built with (BoringSSL, as in Electron,
// answers with another).
inline bool OpenSslIsThere() {
  bool there = true;
#define EVERYONCE_IS_THERE(name) there = there && &name != nullptr;
  EVERYONCE_OPENSSL_SYMBOLS(EVERYONCE_IS_THERE)
#undef EVERYONCE_IS_THERE
  return there && OpenSSL_version_num() >> 28 == OPENSSL_VERSION_NUMBER >> 28;
}

}  // namespace everyonce

#endif
