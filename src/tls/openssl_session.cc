#include "tls/openssl_session.h"

#include <algorithm>
#include <limits>
#include <utility>

#ifdef EVERYONCE_HAS_OPENSSL_HEADERS

namespace everyonce {
namespace {

int ToInt(size_t size) {
  return static_cast<int>(std::min(size, static_cast<size_t>(std::numeric_limits<int>::max())));
}

class OpensslSession final : public TlsSession {
 public:
  OpensslSession(SSL_CTX* context, const std::string& name) : ssl_(SSL_new(context)) {
    if (ssl_ == nullptr) {
      Fail("OpenSSL makes no session");
      return;
    }
    input_ = BIO_new(BIO_s_mem());
    output_ = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl_, input_, output_);  // which frees them
    SSL_set_connect_state(ssl_);
    X509_VERIFY_PARAM* wanted = SSL_get0_param(ssl_);
    X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (X509_VERIFY_PARAM_set1_ip_asc(wanted, name.c_str()) != 1 &&
        (X509_VERIFY_PARAM_set1_host(wanted, name.data(), name.size()) != 1 ||
         SSL_set_tlsext_host_name(ssl_, name.c_str()) != 1)) {
      Fail("a name that no server has");
    }
    ERR_clear_error();
  }
  ~OpensslSession() override { SSL_free(ssl_); }

  void Feed(std::string_view ciphertext) override {
    if (state_ == State::kFailed || state_ == State::kEnded) return;
    if (!ciphertext.empty() && BIO_write(input_, ciphertext.data(), ToInt(ciphertext.size())) <= 0) {
      return Fail("OpenSSL takes no more");
    }
    if (state_ != State::kHandshake) return;
    ERR_clear_error();
    const int done = SSL_do_handshake(ssl_);
    if (done == 1) {
      state_ = State::kOpen;
    } else {
      Judge(done);
    }
  }

  size_t Read(char* into, size_t size) override {
    if (state_ != State::kOpen) return 0;
    ERR_clear_error();
    const int count = SSL_read(ssl_, into, ToInt(size));
    if (count > 0) return static_cast<size_t>(count);
    Judge(count);
    return 0;
  }

  void Write(std::string_view plaintext) override {
    if (state_ != State::kOpen || plaintext.empty()) return;
    ERR_clear_error();
    size_t written = 0;
    // Into memory, which takes all of it: it waits for nothing.
    const int done = SSL_write_ex(ssl_, plaintext.data(), plaintext.size(), &written);
    if (done != 1 || written != plaintext.size()) Fail("OpenSSL does not encipher");
    ERR_clear_error();
  }

  void End() override {
    if (state_ != State::kOpen && state_ != State::kEnded) return;
    ERR_clear_error();
    SSL_shutdown(ssl_);
    ERR_clear_error();
  }

  void TakeOutput(std::string* ciphertext) override {
    if (output_ == nullptr) return;
    const size_t pending = static_cast<size_t>(BIO_pending(output_));
    const size_t before = ciphertext->size();
    ciphertext->resize(before + pending);
    const int count = pending == 0 ? 0 : BIO_read(output_, ciphertext->data() + before, ToInt(pending));
    ciphertext->resize(before + static_cast<size_t>(std::max(count, 0)));
  }

  State state() const override { return state_; }
  const std::string& failure() const override { return failure_; }

 private:
  // What an operation that did nothing says: it waits for more bytes, the other side ended, or all is over.
  void Judge(int result) {
    const int error = SSL_get_error(ssl_, result);
    if (error == SSL_ERROR_ZERO_RETURN) {
      state_ = State::kEnded;
    } else if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
      const auto verified = SSL_get_verify_result(ssl_);
      const char* reason = ERR_reason_error_string(ERR_peek_last_error());
      const bool checked = SSL_get_verify_mode(ssl_) != SSL_VERIFY_NONE;
      if (state_ == State::kHandshake && checked && verified != X509_V_OK) {
        Fail(std::string("its certificate is not good: ") + X509_verify_cert_error_string(verified));
      } else {
        Fail(reason == nullptr ? "TLS failed" : std::string("TLS: ") + reason);
      }
    }
    ERR_clear_error();  // the queue is the thread's, and Node's own crypto reads it, too
  }

  void Fail(std::string failure) {
    state_ = State::kFailed;
    failure_ = std::move(failure);
  }

  SSL* ssl_;
  BIO* input_ = nullptr;
  BIO* output_ = nullptr;
  State state_ = State::kHandshake;
  std::string failure_;
};

}  // namespace

std::unique_ptr<TlsSession> OpenSession(SSL_CTX* context, const std::string& name) {
  return std::make_unique<OpensslSession>(context, name);
}

}  // namespace everyonce

#endif
