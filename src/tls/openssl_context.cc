#include <utility>

#include "tls/openssl_session.h"
#include "tls/openssl_symbols.h"
#include "tls/openssl_tls.h"

namespace everyonce {

#ifdef EVERYONCE_HAS_OPENSSL_HEADERS

namespace {

// Without it OpenSSL would ask for a password on the terminal.
int NoPassword(char*, int, int, void*) { return -1; }

// Of the std::string that `text` points to.
int PasswordOf(char* into, int size, int, void* text) {
  const std::string& password = *static_cast<const std::string*>(text);
  if (password.empty() || password.size() > static_cast<size_t>(size)) return -1;
  password.copy(into, password.size());
  return static_cast<int>(password.size());
}

using Bio = std::unique_ptr<BIO, decltype([](BIO* bio) { BIO_free(bio); })>;
using Certificate = std::unique_ptr<X509, decltype([](X509* certificate) { X509_free(certificate); })>;
using Key = std::unique_ptr<EVP_PKEY, decltype([](EVP_PKEY* key) { EVP_PKEY_free(key); })>;

Bio Reading(const std::string& text) { return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

// All certificates of a text. False: it has none, or one that is broken.
bool ReadCertificates(const std::string& text, std::vector<Certificate>* certificates) {
  const Bio bio = Reading(text);
  ERR_clear_error();
  for (;;) {
    Certificate certificate(PEM_read_bio_X509(bio.get(), nullptr, &NoPassword, nullptr));
    if (certificate == nullptr) break;
    certificates->push_back(std::move(certificate));
  }
  const auto error = ERR_peek_last_error();
  const bool end = ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  return end && !certificates->empty();
}

class OpensslContext final : public TlsContext {
 public:
  OpensslContext(SSL_CTX* context, std::string servername) : context_(context), servername_(std::move(servername)) {}
  ~OpensslContext() override { SSL_CTX_free(context_); }
  SSL_CTX* get() { return context_; }

  std::unique_ptr<TlsSession> Open(const std::string& host) override {
    return OpenSession(context_, servername_.empty() ? host : servername_);
  }

 private:
  SSL_CTX* context_;
  std::string servername_;
};

TlsOpened Refused(std::string option, std::string message, RedisCode code = RedisCode::kBadUrl) {
  return {{code, std::move(message)}, std::move(option), nullptr};
}

// PKCS 8 says it in its first line, the older form in its second.
bool IsEncrypted(const std::string& pem) { return pem.find("ENCRYPTED") != std::string::npos; }

TlsOpened UseOwn(const TlsOptions& options, SSL_CTX* context) {
  if (options.cert.empty() != options.key.empty()) {
    return Refused(options.cert.empty() ? "cert" : "key", "cert and key are given both, or none");
  }
  if (options.cert.empty()) return {};
  std::vector<Certificate> chain;
  if (!ReadCertificates(options.cert, &chain)) return Refused("cert", "it is no certificate in PEM");
  const Bio bio = Reading(options.key);
  std::string passphrase = options.passphrase;
  const Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, &PasswordOf, &passphrase));
  ERR_clear_error();
  if (key == nullptr && IsEncrypted(options.key)) {
    if (passphrase.empty()) return Refused("key", "it is encrypted: passphrase opens it");
    return Refused("passphrase", "it does not open the key", RedisCode::kTls);
  }
  if (key == nullptr) return Refused("key", "it is no private key in PEM");
  if (SSL_CTX_use_certificate(context, chain[0].get()) != 1) return Refused("cert", "OpenSSL does not take it");
  for (size_t i = 1; i < chain.size(); ++i) {
    if (SSL_CTX_add1_chain_cert(context, chain[i].get()) != 1)
      return Refused("cert", "OpenSSL does not take its chain");
  }
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1 || SSL_CTX_check_private_key(context) != 1) {
    return Refused("key", "it is not the key of cert");
  }
  return {};
}

}  // namespace

TlsOpened OpenTls(const TlsOptions& options) {
  if (!TlsIsAvailable()) {
    return {{RedisCode::kTlsUnavailable, "rediss:// needs TLS, and this Node shares no OpenSSL 3 with addons"}, "", {}};
  }
  SSL_CTX* raw = SSL_CTX_new(TLS_client_method());
  if (raw == nullptr) return {{RedisCode::kTlsUnavailable, "OpenSSL makes no context"}, "", {}};
  auto context = std::make_shared<OpensslContext>(raw, options.servername);
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  SSL_CTX_set_options(raw, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(raw, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_verify(raw, options.reject_unauthorized ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  X509_STORE* store = SSL_CTX_get_cert_store(raw);
  for (const std::string& text : options.ca) {
    std::vector<Certificate> certificates;
    if (!ReadCertificates(text, &certificates)) return Refused("ca", "it is no certificate in PEM");
    // The same one twice is no error.
    for (const Certificate& certificate : certificates) X509_STORE_add_cert(store, certificate.get());
  }
  TlsOpened opened = UseOwn(options, raw);
  ERR_clear_error();
  if (opened.status.ok()) opened.context = std::move(context);
  return opened;
}

bool TlsIsAvailable() {
  static const bool available = OpenSslIsThere();
  return available;
}

#else

TlsOpened OpenTls(const TlsOptions&) {
  return {
      {RedisCode::kTlsUnavailable, "rediss:// needs TLS, and this was built without the headers of OpenSSL"}, "", {}};
}

bool TlsIsAvailable() { return false; }

#endif

}  // namespace everyonce
