// TLS between the socket of a RedisConnection and what it sends and parses.

#include "redis/redis_connection.h"
#include "redis/redis_socket.h"

namespace everyonce {
namespace {

// Of what TLS itself wants to say while a write is under way. Some hundred bytes are usual.
constexpr size_t kMaxSealedBytes = 256u << 10;

}  // namespace

// One piece of plaintext, one of ciphertext: as many records as it takes, written together.
void RedisConnection::Encipher(std::string* output) {
  Socket& socket = *socket_;
  if (!output->empty()) socket.tls->Write(*output);
  socket.tls->TakeOutput(&socket.sealed);
  output->swap(socket.sealed);
  socket.sealed.clear();
}

void RedisConnection::ReceivedCiphertext(std::string_view bytes) {
  Socket* socket = socket_;
  TlsSession& tls = *socket->tls;
  tls.Feed(bytes);
  // The end of the handshake and the greeting go out in one write.
  if (state_ == State::kConnecting && tls.state() == TlsSession::State::kOpen) Introduce();
  // A callback may close or cut the connection: then what is left of these bytes is nobody's. The socket itself lives
  // until the loop's next turn.
  while (socket_ == socket) {
    const size_t size = tls.Read(socket->deciphered.data(), socket->deciphered.size());
    if (size == 0) break;
    Received(socket->deciphered.data(), size);
  }
  if (socket_ != socket) return;
  if (tls.state() == TlsSession::State::kFailed) {
    // Once commands were answered it is a broken connection like any other.
    return Fail({state_ == State::kReady ? RedisCode::kUnreachable : RedisCode::kTls, tls.failure()});
  }
  if (tls.state() == TlsSession::State::kEnded)
    return Fail({RedisCode::kUnreachable, "the server closed the connection"});
  tls.TakeOutput(&socket->sealed);
  if (socket->sealed.size() > kMaxSealedBytes) return Fail({RedisCode::kProtocol, "TLS: more to answer than is read"});
  if (!socket->sealed.empty()) Flush();
}

}  // namespace everyonce
