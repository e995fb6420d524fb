#include "redis/redis_client.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "redis/redis_client_timer.h"

namespace everyonce {
namespace {

constexpr uint32_t kMaxRedirects = 16;
// Buffers that are kept: a call of a message is larger than what the allocator is quick with.
constexpr size_t kMaxSpares = 1024;
constexpr size_t kMaxSpareBytes = 4096;

uint64_t NowMs() { return uv_hrtime() / 1000000; }

// The beginning of a call of a script, up to what is the same for both commands. `count`: of the arguments behind it.
std::string ScriptHead(std::string_view name, std::string_view script, size_t count) {
  std::string bytes = "*" + std::to_string(2 + count) + "\r\n";
  for (const std::string_view each : {name, script}) {
    bytes.append("$").append(std::to_string(each.size())).append("\r\n").append(each).append("\r\n");
  }
  return bytes;
}

// What may be tried again after a while: the server said that it did nothing.
bool IsPassing(const RedisReply& reply) {
  return reply.HasErrorCode("TRYAGAIN") || reply.HasErrorCode("CLUSTERDOWN") || reply.HasErrorCode("LOADING") ||
         reply.HasErrorCode("BUSY") || reply.HasErrorCode("MASTERDOWN") || reply.HasErrorCode("READONLY") ||
         reply.HasErrorCode("NOREPLICAS");
}

}  // namespace

RedisClient::RedisClient(uv_loop_t* loop, RedisClientOptions options) : loop_(loop), options_(std::move(options)) {
  // TLS goes to and fro twice more, and both sides calculate.
  if (!options_.seeds.empty() && options_.seeds.front().tls) options_.connect_timeout_ms *= 2;
  timer_ = new Timer();
  timer_->owner = this;
  uv_timer_init(loop_, &timer_->timer);
  timer_->timer.data = timer_;
}

RedisClient::~RedisClient() { Close(); }

void RedisClient::Close() {
  if (closed_) return;
  closed_ = true;
  looking_.reset();
  on_topology_.clear();
  on_refused_ = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&timer_->timer),
           [](uv_handle_t* handle) { delete static_cast<Timer*>(handle->data); });
  timer_ = nullptr;
  auto connections = std::move(connections_);
  connections_.clear();
  for (auto& [name, connection] : connections) connection->Close();
  std::vector<CallPointer> waiting = TakeUntil(UINT64_MAX, &unplaced_);
  for (CallPointer& call : TakeUntil(UINT64_MAX, &waiting_)) waiting.push_back(std::move(call));
  const RedisStatus closed = {RedisCode::kClosed, "the client of Redis is closed"};
  for (const CallPointer& call : waiting) call->done({call->last.unknown() ? call->last : closed, {}, 0});
  auto describing = std::move(describing_);
  describing_.clear();
  for (auto& done : describing) done(closed, info_);
}

// --- commands ---

void RedisClient::Command(uint16_t slot, const std::vector<std::string>& arguments, bool idempotent, Done done) {
  auto call = std::make_shared<Call>();
  AppendRedisCommand(arguments, &call->bytes);
  call->slot = slot;
  call->idempotent = idempotent;
  call->done = std::move(done);
  Start(call);
}

void RedisClient::Start(const CallPointer& call) {
  ++counters_.commands;
  call->deadline_ms = NowMs() + options_.timeout_ms;
  Send(call);
}

void RedisClient::RunScript(const LuaScript& script, const std::vector<std::string>& keys,
                            const std::vector<std::string>& arguments, Done done) {
  const uint16_t slot = keys.empty() ? 0 : SlotOfKey(keys.front());
  RunScript(script, slot, RedisArguments(keys), RedisArguments(arguments), std::move(done));
}

void RedisClient::RunScript(const LuaScript& script, uint16_t slot, const RedisArguments& keys,
                            const RedisArguments& arguments, Done done) {
  auto call = std::make_shared<Call>();
  const std::string key_count = std::to_string(keys.count());
  const std::string head = ScriptHead("EVALSHA", script.sha1, 1 + keys.count() + arguments.count());
  call->script = &script;
  call->tail_at = head.size();
  if (!spares_.empty()) {
    call->bytes = std::move(spares_.back());
    spares_.pop_back();
  }
  call->bytes.reserve(head.size() + keys.bytes().size() + arguments.bytes().size() + 16);
  call->bytes.append(head).append("$").append(std::to_string(key_count.size())).append("\r\n").append(key_count);
  call->bytes.append("\r\n").append(keys.bytes()).append(arguments.bytes());
  call->slot = slot;
  call->idempotent = true;
  call->done = std::move(done);
  Start(call);
}

// The server does not have the script yet: with its text.
void RedisClient::SendText(const CallPointer& call) {
  ++counters_.evals;
  size_t count = 0;
  std::from_chars(call->bytes.data() + 1, call->bytes.data() + call->tail_at, count);  // behind the '*'
  std::string bytes = ScriptHead("EVAL", call->script->text, count - 2);
  bytes.append(call->bytes, call->tail_at);
  call->bytes = std::move(bytes);
  call->script = nullptr;
  Start(call);
}

void RedisClient::WaitForReplicas(uint64_t link, uint32_t replicas, uint32_t timeout_ms,
                                  std::function<void(RedisStatus)> done) {
  const auto found = std::find_if(connections_.begin(), connections_.end(),
                                  [&](const auto& entry) { return link != 0 && entry.second->link() == link; });
  if (closed_ || found == connections_.end()) {
    return done({RedisCode::kUnknown, "the connection that carried the writes is gone"});
  }
  found->second->Command({"WAIT", std::to_string(replicas), std::to_string(timeout_ms)},
                         {.timeout_ms = timeout_ms + options_.timeout_ms, .idempotent = false},
                         [link, replicas, done = std::move(done)](RedisResult result) {
                           uint64_t have = 0;
                           if (!result.status.ok()) return done({RedisCode::kUnknown, result.status.message});
                           if (result.link != link || !result.reply.ToNumber(&have)) {
                             return done({RedisCode::kUnknown, "the connection that carried the writes is gone"});
                           }
                           if (have >= replicas) return done({});
                           done({RedisCode::kUnknown, std::to_string(have) + " of " + std::to_string(replicas) +
                                                          " replicas have it in time"});
                         });
}

const SlotMap::Node* RedisClient::NodeOf(uint16_t slot) const {
  if (!known_) return nullptr;
  return is_cluster_ ? slots_.Of(slot) : &primary_;
}

void RedisClient::Send(const CallPointer& call) {
  if (closed_) return call->done({{RedisCode::kClosed, "the client of Redis is closed"}, {}, 0});
  const SlotMap::Node* node = NodeOf(call->slot);
  if (node == nullptr) {
    if (known_) return Later(call, {RedisCode::kUnreachable, "no node serves slot " + std::to_string(call->slot)});
    LookSoon();
    return Wait(call, &unplaced_, call->deadline_ms);
  }
  SendTo(*node, false, call);
}

void RedisClient::SendTo(const SlotMap::Node& node, bool asking, const CallPointer& call) {
  const uint64_t now_ms = NowMs();
  if (now_ms >= call->deadline_ms) return GiveUp(call);
  const RedisCommandOptions options = {.timeout_ms = static_cast<uint32_t>(call->deadline_ms - now_ms)};
  if (call->node != node) call->node = node;
  RedisConnection::Bytes bytes(call, &call->bytes);
  if (asking) bytes = std::make_shared<const std::string>("*1\r\n$6\r\nASKING\r\n" + call->bytes);
  ConnectionTo(node)->CommandBytes(std::move(bytes), asking ? 2 : 1, options,
                                   [this, call](RedisResult result) { Took(call, std::move(result)); });
}

void RedisClient::GiveSpare(std::string bytes) {
  if (spares_.size() >= kMaxSpares || bytes.capacity() > kMaxSpareBytes) return;
  bytes.clear();
  spares_.push_back(std::move(bytes));
}

void RedisClient::Took(const CallPointer& call, RedisResult result) {
  if (result.status.ok()) GiveSpare(std::move(call->bytes));
  if (result.status.ok() || closed_) return call->done(std::move(result));
  switch (result.status.code) {
    case RedisCode::kRefused:
      return Turned(call, std::move(result));
    case RedisCode::kUnreachable:
      LookSoon();
      return Later(call, std::move(result.status));
    case RedisCode::kUnknown:
      LookSoon();
      if (call->idempotent) return Later(call, std::move(result.status));
      return call->done(std::move(result));
    case RedisCode::kTimeout:
      LookSoon();
      [[fallthrough]];
    default:
      if (result.status.hopeless()) {
        LookSoon();  // another node may serve that by now
        if (on_refused_) on_refused_(result.status);
      }
      return call->done(std::move(result));
  }
}

// The server answered with an error.
void RedisClient::Turned(const CallPointer& call, RedisResult result) {
  if (call->script != nullptr && result.reply.HasErrorCode("NOSCRIPT")) return SendText(call);
  Redirect redirect;
  if (ParseRedirect(result.reply, call->node.host, &redirect)) {
    ++counters_.redirects;
    if (++call->redirects > kMaxRedirects) return Later(call, std::move(result.status));
    call->last = std::move(result.status);
    if (!redirect.ask) {
      slots_.Set(redirect.slot, redirect.node);
      if (!is_cluster_) known_ = false;
      LookSoon();
    }
    return SendTo(redirect.node, redirect.ask, call);
  }
  if (!IsPassing(result.reply)) return call->done(std::move(result));
  if (result.reply.HasErrorCode("CLUSTERDOWN") || result.reply.HasErrorCode("READONLY")) LookSoon();
  Later(call, std::move(result.status));
}

void RedisClient::Later(const CallPointer& call, RedisStatus why) {
  ++counters_.retries;
  // Once it may have been done, a later refusal does not make that untrue.
  if (!call->last.unknown() || why.unknown()) call->last = std::move(why);
  const uint64_t now_ms = NowMs();
  if (now_ms >= call->deadline_ms) return GiveUp(call);
  const uint32_t span_ms = options_.retry_max_ms - options_.retry_min_ms + 1;
  const uint64_t wait_ms = options_.retry_min_ms + (options_.random ? options_.random() % span_ms : 0);
  Wait(call, &waiting_, std::min(now_ms + wait_ms, call->deadline_ms));
}

void RedisClient::GiveUp(const CallPointer& call) {
  RedisStatus status = look_failure_.ok() || call->last.unknown() ? call->last : look_failure_;
  if (status.ok()) status = {RedisCode::kUnreachable, "no connection to Redis yet"};
  if (status.code == RedisCode::kRefused) {
    RedisReply reply;
    reply.type = RedisReply::Type::kError;
    reply.text = status.message;
    return call->done({std::move(status), std::move(reply), 0});
  }
  call->done({std::move(status), {}, 0});
}

RedisConnection* RedisClient::ConnectionTo(const SlotMap::Node& node) {
  const auto known = connections_.find(node);
  if (known != connections_.end()) return known->second.get();
  return connections_.emplace(node, RedisConnection::Open(loop_, ConnectionOptionsFor(node))).first->second.get();
}

RedisConnectionOptions RedisClient::ConnectionOptionsFor(const SlotMap::Node& node) const {
  RedisConnectionOptions options;
  options.address = options_.seeds.front();  // user, password and database are the same everywhere
  options.address.host = node.host;
  options.address.port = node.port;
  options.tls = options_.tls;
  options.client_name = options_.client_name;
  options.connect_timeout_ms = options_.connect_timeout_ms;
  options.reconnect_max_ms = options_.retry_max_ms;
  options.max_commands = options_.max_commands;
  options.max_bytes = options_.max_bytes;
  options.max_reply_bytes = options_.max_reply_bytes;
  options.fail_fast = true;
  options.random = options_.random;
  return options;
}

}  // namespace everyonce
