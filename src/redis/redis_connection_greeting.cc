// How a RedisConnection is made: an address, a socket, and who we are.

#include <atomic>
#include <string>
#include <utility>

#include "redis/redis_connection.h"
#include "redis/redis_socket.h"

namespace everyonce {

void RedisConnection::Connect() {
  state_ = State::kConnecting;
  connect_deadline_ms_ = NowMs() + options_.connect_timeout_ms;
  if (options_.address.tls && options_.tls == nullptr) {
    return Fail({RedisCode::kTlsUnavailable, "rediss:// needs TLS, which there is none of here"});
  }
  Schedule();
  socket_ = new Socket();
  socket_->owner = shared_from_this();
  uv_tcp_init(loop_, &socket_->tcp);
  socket_->tcp.data = socket_;
  const char* host = options_.address.host.c_str();
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  if (uv_ip4_addr(host, options_.address.port, &v4) == 0) return ConnectTo(reinterpret_cast<const sockaddr*>(&v4));
  if (uv_ip6_addr(host, options_.address.port, &v6) == 0) return ConnectTo(reinterpret_cast<const sockaddr*>(&v6));
  socket_->lookup.data = socket_;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  const std::string port = std::to_string(options_.address.port);
  const int error = uv_getaddrinfo(
      loop_, &socket_->lookup,
      [](uv_getaddrinfo_t* lookup, int status, addrinfo* found) {
        auto* socket = static_cast<Socket*>(lookup->data);
        socket->looking_up = false;
        const std::shared_ptr<RedisConnection> owner = socket->owner;
        if (owner == nullptr) {
          socket->FreeIfDone();
        } else if (status != 0) {
          owner->Fail({RedisCode::kUnreachable, "no address of " + owner->options_.address.host});
        } else {
          owner->ConnectTo(found->ai_addr);
        }
        uv_freeaddrinfo(found);
      },
      host, port.c_str(), &hints);
  if (error != 0) return Fail({RedisCode::kUnreachable, uv_strerror(error)});
  socket_->looking_up = true;
}

void RedisConnection::ConnectTo(const sockaddr* address) {
  socket_->connect.data = socket_;
  const int error = uv_tcp_connect(&socket_->connect, &socket_->tcp, address, [](uv_connect_t* request, int status) {
    const std::shared_ptr<RedisConnection> owner = static_cast<Socket*>(request->data)->owner;
    if (owner == nullptr) return;
    if (status != 0) return owner->Fail({RedisCode::kUnreachable, uv_strerror(status)});
    owner->Connected();
  });
  if (error != 0) Fail({RedisCode::kUnreachable, uv_strerror(error)});
}

void RedisConnection::Connected() {
  uv_tcp_nodelay(&socket_->tcp, 1);
  uv_tcp_keepalive(&socket_->tcp, 1, 15);
  parser_ = std::make_unique<RedisParser>(options_.max_reply_bytes);
  const int error = uv_read_start(
      reinterpret_cast<uv_stream_t*>(&socket_->tcp),
      [](uv_handle_t* handle, size_t, uv_buf_t* buffer) {
        auto* socket = static_cast<Socket*>(handle->data);
        *buffer = uv_buf_init(socket->input.data(), static_cast<unsigned>(socket->input.size()));
      },
      [](uv_stream_t* stream, ssize_t size, const uv_buf_t* buffer) {
        const std::shared_ptr<RedisConnection> owner = static_cast<Socket*>(stream->data)->owner;
        if (owner == nullptr || size == 0) return;
        if (size < 0) {
          return owner->Cut(static_cast<int>(size));
        }
        if (owner->socket_->tls != nullptr) {
          owner->ReceivedCiphertext(std::string_view(buffer->base, static_cast<size_t>(size)));
        } else {
          owner->Received(buffer->base, static_cast<size_t>(size));
        }
      });
  if (error != 0) return Fail({RedisCode::kUnreachable, uv_strerror(error)});
  if (!options_.address.tls) return Introduce();
  socket_->tls = options_.tls->Open(options_.address.host);
  ReceivedCiphertext("");  // begins
}

// The socket ended (UV_EOF), or broke.
void RedisConnection::Cut(int error) {
  std::string why = error == UV_EOF ? "the server closed the connection" : uv_strerror(error);
  // So does a server that wants TLS, and mostly without a word.
  const bool plain = state_ == State::kGreeting && socket_->tls == nullptr;
  if (plain) why.append(" before it said anything (if it speaks TLS, the URL begins with rediss://)");
  Fail({RedisCode::kUnreachable, std::move(why)});
}

// Says who we are; everything that waits comes behind it.
void RedisConnection::Introduce() {
  state_ = State::kGreeting;
  const RedisAddress& address = options_.address;
  if (!address.password.empty()) {
    std::vector<std::string> auth = {"AUTH"};
    if (!address.user.empty()) auth.push_back(address.user);
    auth.push_back(address.password);
    Greet(std::move(auth));
  }
  if (address.database != 0) Greet({"SELECT", std::to_string(address.database)});
  // PING tells whether the server lets us in at all; SETNAME may be forbidden to this user.
  Greet({"CLIENT", "SETNAME", options_.client_name});
  Greet({"PING"});
  Flush();
}

void RedisConnection::Greet(std::vector<std::string> arguments) {
  Entry entry;
  std::string bytes;
  AppendRedisCommand(arguments, &bytes);
  entry.size = bytes.size();
  entry.bytes = std::make_shared<const std::string>(std::move(bytes));
  entry.greeting = true;
  entry.deadline_ms = connect_deadline_ms_;
  const std::string& name = arguments[0];
  const bool last = name == "PING";
  const RedisCode refusal = name == "CLIENT"   ? RedisCode::kOk
                            : name == "SELECT" ? RedisCode::kWrongServer
                                               : RedisCode::kAuth;
  entry.done = [this, last, refusal](RedisResult result) { Greeted(result, last, refusal); };
  held_bytes_ += entry.size;
  // Before everything that waits.
  auto place = waiting_.begin();
  while (place != waiting_.end() && place->greeting) ++place;
  waiting_.insert(place, std::move(entry));
}

// `refusal`: what an error reply means; kOk: nothing.
void RedisConnection::Greeted(const RedisResult& result, bool last, RedisCode refusal) {
  if (state_ != State::kGreeting) return;
  if (result.status.code == RedisCode::kRefused && refusal != RedisCode::kOk) {
    const RedisReply& reply = result.reply;
    // A server that is still reading its data, or a script that holds it up, will be there by and by.
    const bool passing =
        reply.HasErrorCode("LOADING") || reply.HasErrorCode("BUSY") || reply.HasErrorCode("MASTERDOWN");
    return Fail({passing ? RedisCode::kUnreachable : refusal, reply.text});
  }
  if (!last) return;
  state_ = State::kReady;
  static std::atomic<uint64_t> last_link{0};  // one count for all connections: a link names its server, too
  link_ = ++last_link;
  back_off_ms_ = 0;
  last_failure_ = {};
  if (on_link_) on_link_(true);
  if (state_ == State::kReady) ScheduleFlush();
}

}  // namespace everyonce
