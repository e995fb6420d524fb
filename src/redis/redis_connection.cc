#include "redis/redis_connection.h"

#include <algorithm>
#include <utility>

#include "redis/redis_socket.h"

namespace everyonce {
namespace {

constexpr size_t kMaxWriteBytes = 1u << 20;  // copied together for one write
constexpr char kTlsAlert = 0x15;             // the first byte of a record by which TLS complains; no reply begins so

}  // namespace

std::shared_ptr<RedisConnection> RedisConnection::Open(uv_loop_t* loop, RedisConnectionOptions options) {
  std::shared_ptr<RedisConnection> connection(new RedisConnection(loop, std::move(options)));
  connection->Start();
  return connection;
}

RedisConnection::RedisConnection(uv_loop_t* loop, RedisConnectionOptions options)
    : loop_(loop), options_(std::move(options)) {}

RedisConnection::~RedisConnection() = default;

void RedisConnection::Start() {
  handles_ = new Handles();
  handles_->owner = shared_from_this();
  uv_timer_init(loop_, &handles_->timer);
  uv_prepare_init(loop_, &handles_->prepare);
  handles_->timer.data = handles_;
  handles_->prepare.data = handles_;
  Connect();
}

// --- commands ---

void RedisConnection::Command(const std::vector<std::string>& arguments, const RedisCommandOptions& options,
                              Done done) {
  std::string bytes;
  AppendRedisCommand(arguments, &bytes);
  CommandBytes(std::make_shared<const std::string>(std::move(bytes)), 1, options, std::move(done));
}

void RedisConnection::CommandBytes(Bytes bytes, uint32_t commands, const RedisCommandOptions& options, Done done) {
  RedisResult refusal;
  if (state_ == State::kClosed) {
    refusal.status = {RedisCode::kClosed, "the connection to Redis is closed"};
  } else if (unanswered() >= options_.max_commands || held_bytes_ + bytes->size() > options_.max_bytes) {
    refusal.status = {RedisCode::kQueueFull, "too much waits for Redis"};
  } else if (options_.fail_fast && state_ == State::kDown) {
    refusal.status = last_failure_;
  }
  if (!refusal.status.ok()) return done(std::move(refusal));
  Entry entry;
  entry.size = bytes->size();
  entry.bytes = std::move(bytes);
  entry.replies = commands;
  entry.idempotent = options.idempotent;
  entry.deadline_ms = NowMs() + options.timeout_ms;
  entry.done = std::move(done);
  held_bytes_ += entry.size;
  earliest_deadline_ms_ = std::min(earliest_deadline_ms_, entry.deadline_ms);
  waiting_.push_back(std::move(entry));
  Schedule();
  if (state_ == State::kReady) ScheduleFlush();
}

void RedisConnection::Post(const std::vector<std::string>& arguments) {
  std::string bytes;
  AppendRedisCommand(arguments, &bytes);
  CommandBytes(std::make_shared<const std::string>(std::move(bytes)), 0, {}, [](const RedisResult&) {});
}

void RedisConnection::ScheduleFlush() {
  if (flush_scheduled_ || waiting_.empty() || handles_ == nullptr) return;
  flush_scheduled_ = true;
  uv_prepare_start(&handles_->prepare, [](uv_prepare_t* prepare) {
    uv_prepare_stop(prepare);
    const std::shared_ptr<RedisConnection> owner = static_cast<Handles*>(prepare->data)->owner;
    owner->flush_scheduled_ = false;
    owner->Flush();
  });
}

// What waits and may be sent now.
void RedisConnection::Gather(std::string* output) {
  while (!waiting_.empty() && output->size() < kMaxWriteBytes &&
         (state_ == State::kReady || (state_ == State::kGreeting && waiting_.front().greeting))) {
    Entry& entry = waiting_.front();
    output->append(*entry.bytes);
    if (entry.replies > 0) {
      if (!entry.idempotent) entry.bytes.reset();
      in_flight_.push_back(std::move(entry));
    } else {
      held_bytes_ -= entry.size;
    }
    waiting_.pop_front();
  }
}

// One write for everything that waits.
void RedisConnection::Flush() {
  if (writing_ || socket_ == nullptr) return;
  std::string& output = socket_->output;
  output.clear();
  Gather(&output);
  if (socket_->tls != nullptr) Encipher(&output);
  if (output.empty()) return;
  ++writes_;
  auto* stream = reinterpret_cast<uv_stream_t*>(&socket_->tcp);
  uv_buf_t buffer = uv_buf_init(output.data(), static_cast<unsigned>(output.size()));
  const int written = uv_try_write(stream, &buffer, 1);
  if (written == static_cast<int>(output.size())) {
    if (!waiting_.empty() && state_ == State::kReady) ScheduleFlush();
    return;
  }
  if (written < 0 && written != UV_EAGAIN) return Fail({RedisCode::kUnreachable, uv_strerror(written)});
  const size_t done = written > 0 ? static_cast<size_t>(written) : 0;
  buffer = uv_buf_init(output.data() + done, static_cast<unsigned>(output.size() - done));
  writing_ = true;
  socket_->write.data = socket_;
  const int error = uv_write(&socket_->write, stream, &buffer, 1, [](uv_write_t* request, int status) {
    const std::shared_ptr<RedisConnection> owner = static_cast<Socket*>(request->data)->owner;
    if (owner != nullptr) owner->Written(status);
  });
  if (error != 0) Fail({RedisCode::kUnreachable, uv_strerror(error)});
}

void RedisConnection::Written(int error) {
  writing_ = false;
  if (error != 0) return Fail({RedisCode::kUnreachable, uv_strerror(error)});
  Flush();
}

void RedisConnection::Received(const char* bytes, size_t size) {
  const Socket* socket = socket_;
  if (state_ == State::kGreeting && socket->tls == nullptr && size > 0 && bytes[0] == kTlsAlert) {
    return Fail({RedisCode::kTls, "it speaks TLS: its URL begins with rediss://"});
  }
  parser_->Feed(bytes, size);
  RedisReply reply;
  // A callback may close or cut the connection: then what is left of these bytes is nobody's.
  while (socket_ == socket && parser_->Next(&reply)) Take(std::move(reply));
  if (socket_ == socket && !parser_->error().empty()) Fail({RedisCode::kProtocol, parser_->error()});
}

void RedisConnection::Take(RedisReply reply) {
  // Only where somebody listens: to others an array that begins so is an answer like any other, with a user's words in
  // it.
  if (on_push_ && reply.is_array() && reply.elements.size() == 3) {
    const std::string& kind = reply.elements[0].text;
    if (kind == "message" || kind == "smessage" || kind == "sunsubscribe") {
      return on_push_(kind, reply.elements[1].text, reply.elements[2].text);
    }
  }
  if (in_flight_.empty()) return Fail({RedisCode::kProtocol, "a reply that nobody asked for"});
  Entry& oldest = in_flight_.front();
  if (--oldest.replies > 0) return;
  Entry entry = std::move(oldest);
  in_flight_.pop_front();
  held_bytes_ -= entry.size;
  if (!entry.done) return;
  RedisResult result;
  result.link = link_;
  if (reply.is_error()) {
    const bool auth = reply.HasErrorCode("NOAUTH") || reply.HasErrorCode("WRONGPASS") || reply.HasErrorCode("NOPERM");
    result.status = {auth && !entry.greeting ? RedisCode::kAuth : RedisCode::kRefused, reply.text};
  }
  result.reply = std::move(reply);
  entry.done(std::move(result));
}

// --- failures ---

void RedisConnection::DropSocket() {
  Socket* socket = std::exchange(socket_, nullptr);
  const bool was_writing = std::exchange(writing_, false);
  if (socket == nullptr) return;
  socket->owner.reset();
  if (socket->tls != nullptr && !was_writing) {
    // Why the handshake failed, or that this was all: if it finds no room, the close says it, too.
    socket->tls->End();
    socket->tls->TakeOutput(&socket->sealed);
    const uv_buf_t last = uv_buf_init(socket->sealed.data(), static_cast<unsigned>(socket->sealed.size()));
    if (last.len > 0) uv_try_write(reinterpret_cast<uv_stream_t*>(&socket->tcp), &last, 1);
  }
  if (socket->looking_up) uv_cancel(reinterpret_cast<uv_req_t*>(&socket->lookup));
  uv_close(reinterpret_cast<uv_handle_t*>(&socket->tcp), [](uv_handle_t* handle) {
    auto* closed = static_cast<Socket*>(handle->data);
    closed->closed = true;
    closed->FreeIfDone();
  });
}

void RedisConnection::Fail(RedisStatus status) {
  if (state_ == State::kClosed || state_ == State::kDown) return;
  const std::shared_ptr<RedisConnection> alive = shared_from_this();
  const bool was_ready = state_ == State::kReady;
  state_ = State::kDown;
  DropSocket();
  status.message = options_.address.Name() + ": " + status.message;
  last_failure_ = status;
  if (status.unknown()) last_failure_.code = RedisCode::kUnreachable;  // what comes now was not sent
  // Decorrelated jitter: each wait lies between the least and three times the last one.
  const uint64_t low = options_.reconnect_min_ms;
  const uint64_t high =
      std::max(low + 1, std::min<uint64_t>(options_.reconnect_max_ms, std::max(back_off_ms_, low) * 3));
  back_off_ms_ = low + (options_.random ? options_.random() % (high - low) : 0);
  reconnect_at_ms_ = NowMs() + back_off_ms_;
  std::deque<Entry> sent;
  sent.swap(in_flight_);
  std::deque<Entry> lost;
  // What may be sent again goes back in front, in its order; greetings are made anew.
  for (auto entry = sent.rbegin(); entry != sent.rend(); ++entry) {
    if (entry->greeting || !entry->done) {
      held_bytes_ -= entry->size;
    } else if (entry->idempotent && entry->deadline_ms > NowMs() && !options_.fail_fast) {
      waiting_.push_front(std::move(*entry));
    } else {
      lost.push_front(std::move(*entry));
    }
  }
  std::erase_if(waiting_, [&](const Entry& entry) {
    if (entry.greeting) held_bytes_ -= entry.size;
    return entry.greeting;
  });
  std::deque<Entry> refused;
  if (options_.fail_fast || status.hopeless() || status.code == RedisCode::kWrongServer) {
    refused.swap(waiting_);
  }
  Schedule();
  const bool overdue = status.code == RedisCode::kTimeout;
  if (was_ready && on_link_) on_link_(false);
  AnswerAll(&lost, {overdue ? RedisCode::kTimeout : RedisCode::kUnknown, status.message});
  if (overdue || status.code == RedisCode::kUnknown) status.code = RedisCode::kUnreachable;
  AnswerAll(&refused, status);
}

void RedisConnection::AnswerAll(std::deque<Entry>* entries, const RedisStatus& status) {
  for (Entry& entry : *entries) Answer(&entry, status);
}

void RedisConnection::Answer(Entry* entry, RedisStatus status) {
  held_bytes_ -= entry->size;
  Done done = std::exchange(entry->done, nullptr);
  if (done && !entry->greeting) done({std::move(status), {}, 0});
}

void RedisConnection::Close() {
  if (state_ == State::kClosed) return;
  const std::shared_ptr<RedisConnection> alive = shared_from_this();
  state_ = State::kClosed;
  DropSocket();
  Handles* handles = std::exchange(handles_, nullptr);
  handles->owner.reset();
  uv_close(reinterpret_cast<uv_handle_t*>(&handles->timer), &Handles::Closed);
  uv_close(reinterpret_cast<uv_handle_t*>(&handles->prepare), &Handles::Closed);
  std::deque<Entry> sent;
  std::deque<Entry> unsent;
  sent.swap(in_flight_);
  unsent.swap(waiting_);
  on_push_ = nullptr;
  on_link_ = nullptr;
  AnswerAll(&sent, {RedisCode::kUnknown, "closed before the answer came"});
  AnswerAll(&unsent, {RedisCode::kClosed, "the connection to Redis is closed"});
}

}  // namespace everyonce
