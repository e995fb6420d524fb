#pragma once

#include <uv.h>

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "redis/redis_error.h"
#include "redis/redis_url.h"
#include "redis/reply.h"
#include "redis/tls_session.h"

namespace everyonce {

struct RedisConnectionOptions {
  RedisAddress address;
  std::shared_ptr<TlsContext> tls;  // of an address with `tls`: without one it is not connected to (kTlsUnavailable)
  std::string client_name = "everyonce";
  uint32_t connect_timeout_ms = 2000;  // until the greeting is answered
  // Decorrelated jitter between attempts.
  uint32_t reconnect_min_ms = 20;
  uint32_t reconnect_max_ms = 2000;
  // Of what waits or is unanswered; more is refused (kQueueFull).
  size_t max_commands = 65536;
  size_t max_bytes = 64u << 20;
  size_t max_reply_bytes = 64u << 20;
  // What waits is answered (kUnreachable) as soon as an attempt to connect fails, rather than at its deadline: for who
  // knows another node to ask.
  bool fail_fast = false;
  std::function<uint64_t()> random;  // of the jitter; unset: none
};

struct RedisResult {
  RedisStatus status;  // kRefused: `reply` is the error
  RedisReply reply;
  // Which connection to the server brought it: two results with the same `link` came over one and the same socket.
  uint64_t link = 0;
};

struct RedisCommandOptions {
  uint32_t timeout_ms = 2000;
  // May be sent again after a cut, since doing it twice is doing it once.
  bool idempotent = false;
};

// One connection to one Redis server, on the caller's libuv loop: commands are pipelined in order, all that were given
// within one turn of the loop in one write. It connects by itself and again after a cut, for ever. Not thread-safe.
//
// Every command is answered exactly once: by its reply; kUnreachable, kQueueFull, kAuth, kTls, kClosed, before it was
// sent; kUnknown or kTimeout, after. A command whose answer is overdue while it is the oldest takes the connection with
// it: later answers could only come later still.
class RedisConnection : public std::enable_shared_from_this<RedisConnection> {
 public:
  using Done = std::function<void(RedisResult result)>;
  using Bytes = std::shared_ptr<const std::string>;
  // What a channel said. `kind`: message or smessage; sunsubscribe
  // where the server took the subscription away, or was asked to (Post).
  using Push = std::function<void(std::string_view kind, std::string_view channel, std::string_view payload)>;
  using LinkChanged = std::function<void(bool up)>;

  // The owner calls Close before it lets go; until then the loop's handles keep the connection alive.
  static std::shared_ptr<RedisConnection> Open(uv_loop_t* loop, RedisConnectionOptions options);
  ~RedisConnection();
  RedisConnection(const RedisConnection&) = delete;
  RedisConnection& operator=(const RedisConnection&) = delete;

  // `done` may be called before this returns where the command is refused. It may call anything here.
  void Command(const std::vector<std::string>& arguments, const RedisCommandOptions& options, Done done);
  // The same for a command in the protocol's form; `commands` of them in one string, answered by the last one's reply
  // (ASKING and what follows it).
  void CommandBytes(Bytes bytes, uint32_t commands, const RedisCommandOptions& options, Done done);

  // Sends it as soon as there is a connection, and takes no answer: SUNSUBSCRIBE, whose answer comes as a push.
  void Post(const std::vector<std::string>& arguments);

  void OnPush(Push push) { on_push_ = std::move(push); }
  void OnLinkChanged(LinkChanged changed) { on_link_ = std::move(changed); }

  // Answers everything unanswered (kClosed, or kUnknown where it was sent) and lets the handles go. Again: nothing.
  void Close();

  const RedisAddress& address() const { return options_.address; }
  // Of the present connection; 0: none.
  uint64_t link() const { return state_ == State::kReady ? link_ : 0; }
  size_t unanswered() const { return waiting_.size() + in_flight_.size(); }
  uint64_t writes() const { return writes_; }  // calls that wrote to the socket, for tests and stats

 private:
  enum class State : uint8_t { kDown, kConnecting, kGreeting, kReady, kClosed };
  struct Entry {
    Bytes bytes;  // kept while it may be sent again
    size_t size = 0;
    uint32_t replies = 1;  // still to come
    uint64_t deadline_ms = 0;
    bool idempotent = false;
    bool greeting = false;
    Done done;  // null: answered already, its reply is thrown away
  };
  struct Socket;
  struct Handles;

  RedisConnection(uv_loop_t* loop, RedisConnectionOptions options);
  void Start();
  void Connect();
  void ConnectTo(const sockaddr* address);
  void Connected();
  void Introduce();
  void Cut(int error);
  void Greet(std::vector<std::string> arguments);
  void Greeted(const RedisResult& result, bool last, RedisCode refusal);
  void Flush();
  void Written(int error);
  void Gather(std::string* output);
  void Encipher(std::string* output);
  void ReceivedCiphertext(std::string_view bytes);
  void Received(const char* bytes, size_t size);
  void Take(RedisReply reply);
  // The connection is lost, or was not made: everything that rests on it is answered or waits for the next one.
  void Fail(RedisStatus status);
  void AnswerAll(std::deque<Entry>* entries, const RedisStatus& status);
  void Answer(Entry* entry, RedisStatus status);
  void Schedule();
  void ScheduleFlush();
  void OnTimer();
  void ExpireOverdue(uint64_t now_ms);
  void DropSocket();
  static uint64_t NowMs() { return uv_hrtime() / 1000000; }

  uv_loop_t* loop_;
  RedisConnectionOptions options_;
  State state_ = State::kDown;
  Socket* socket_ = nullptr;
  Handles* handles_ = nullptr;
  std::unique_ptr<RedisParser> parser_;
  std::deque<Entry> waiting_;
  std::deque<Entry> in_flight_;
  size_t held_bytes_ = 0;
  bool writing_ = false;
  bool flush_scheduled_ = false;
  uint64_t link_ = 0;
  uint64_t writes_ = 0;
  uint64_t connect_deadline_ms_ = 0;
  uint64_t reconnect_at_ms_ = 0;
  uint64_t back_off_ms_ = 0;
  uint64_t earliest_deadline_ms_ = UINT64_MAX;  // never above the truth
  uint64_t armed_for_ms_ = UINT64_MAX;
  RedisStatus last_failure_;
  Push on_push_;
  LinkChanged on_link_;
};

}  // namespace everyonce
