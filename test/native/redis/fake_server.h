#pragma once

#include <uv.h>

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "redis/redis_url.h"

namespace everyonce::test {

// A server on the test's own loop that says what no real one can be made to say. `answer` gets each piece of bytes as
// it arrives and gives what is written back; `kHangUp` closes the socket.
class FakeServer {
 public:
  static constexpr const char* kHangUp = "!hang up";
  using Answer = std::function<std::string(const std::string& bytes)>;

  FakeServer(uv_loop_t* loop, Answer answer) : answer_(std::move(answer)), listener_(new uv_tcp_t) {
    uv_tcp_init(loop, listener_);
    listener_->data = this;
    sockaddr_in address{};
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_bind(listener_, reinterpret_cast<sockaddr*>(&address), 0);
    uv_listen(reinterpret_cast<uv_stream_t*>(listener_), 16,
              [](uv_stream_t* stream, int) { static_cast<FakeServer*>(stream->data)->Accept(); });
    int size = sizeof(address);
    uv_tcp_getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    address_.port = ntohs(address.sin_port);
  }
  ~FakeServer() {
    uv_close(reinterpret_cast<uv_handle_t*>(listener_),
             [](uv_handle_t* handle) { delete reinterpret_cast<uv_tcp_t*>(handle); });
    for (Peer* peer : peers_) peer->Close();
  }
  const RedisAddress& address() const { return address_; }
  int accepted() const { return accepted_; }

  // What a greeting of this client's is answered with: +OK to CLIENT SETNAME, +PONG to PING.
  static std::string Greeting(const std::string& bytes) {
    std::string said;
    for (size_t at = bytes.find("SETNAME"); at != std::string::npos; at = bytes.find("SETNAME", at + 1))
      said += "+OK\r\n";
    for (size_t at = bytes.find("PING"); at != std::string::npos; at = bytes.find("PING", at + 1)) said += "+PONG\r\n";
    return said;
  }

 private:
  struct Peer {
    uv_tcp_t tcp;
    FakeServer* server;
    std::array<char, 65536> input;
    bool closing = false;
    void Close() {
      if (closing) return;
      closing = true;
      uv_close(reinterpret_cast<uv_handle_t*>(&tcp),
               [](uv_handle_t* handle) { delete static_cast<Peer*>(handle->data); });
    }
  };

  void Accept() {
    auto* peer = new Peer();
    peer->server = this;
    uv_tcp_init(listener_->loop, &peer->tcp);
    peer->tcp.data = peer;
    uv_accept(reinterpret_cast<uv_stream_t*>(listener_), reinterpret_cast<uv_stream_t*>(&peer->tcp));
    peers_.push_back(peer);
    ++accepted_;
    uv_read_start(
        reinterpret_cast<uv_stream_t*>(&peer->tcp),
        [](uv_handle_t* handle, size_t, uv_buf_t* buffer) {
          auto* reading = static_cast<Peer*>(handle->data);
          *buffer = uv_buf_init(reading->input.data(), static_cast<unsigned>(reading->input.size()));
        },
        [](uv_stream_t* stream, ssize_t size, const uv_buf_t* buffer) {
          auto* reading = static_cast<Peer*>(stream->data);
          if (size <= 0) return reading->server->Drop(reading);
          std::string said = reading->server->answer_(std::string(buffer->base, static_cast<size_t>(size)));
          if (said == kHangUp) return reading->server->Drop(reading);
          if (said.empty()) return;
          uv_buf_t out = uv_buf_init(said.data(), static_cast<unsigned>(said.size()));
          uv_try_write(stream, &out, 1);
        });
  }
  void Drop(Peer* peer) {
    std::erase(peers_, peer);
    peer->Close();
  }

  Answer answer_;
  uv_tcp_t* listener_;
  RedisAddress address_;
  std::vector<Peer*> peers_;
  int accepted_ = 0;
};

}  // namespace everyonce::test
