#include "redis/redis_subscriptions.h"

#include <charconv>
#include <utility>

#include "redis/redis_keys.h"

namespace everyonce {
namespace {

constexpr uint32_t kTimeoutMs = 5000;
constexpr uint32_t kRetryMs = 100;  // between looks at what is not subscribed to
constexpr uint32_t kTickMs = 1000;  // … and at what is
constexpr uint64_t kPingMs = 5000;  // a connection that says nothing is asked, and given up when it does not answer

constexpr std::string_view kPrefix = "eo:{p";
constexpr std::string_view kSuffix = "}:bell";

uint64_t NowMs() { return uv_hrtime() / 1000000; }

std::string NameOfNode(const SlotMap::Node& node) {
  RedisAddress address;
  address.host = node.host;
  address.port = node.port;
  return address.Name();
}

bool ChannelOfName(std::string_view name, uint32_t* channel) {
  if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) return false;
  name = name.substr(kPrefix.size(), name.size() - kPrefix.size() - kSuffix.size());
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), *channel);
  return error == std::errc() && end == name.data() + name.size() && *channel < kRedisPartitions;
}

}  // namespace

RedisSubscriptions::RedisSubscriptions(uv_loop_t* loop, RedisClient* client, Said said, Began began)
    : loop_(loop), client_(client), said_(std::move(said)), began_(std::move(began)), channels_(kRedisPartitions) {
  timer_ = new uv_timer_t;
  uv_timer_init(loop_, timer_);
  timer_->data = this;
}

RedisSubscriptions::~RedisSubscriptions() { Close(); }

std::string RedisSubscriptions::NameOf(uint32_t channel) {
  return std::string(kPrefix).append(std::to_string(channel)).append(kSuffix);
}

void RedisSubscriptions::Close() {
  if (closed_) return;
  closed_ = true;
  uv_close(reinterpret_cast<uv_handle_t*>(timer_),
           [](uv_handle_t* handle) { delete reinterpret_cast<uv_timer_t*>(handle); });
  timer_ = nullptr;
  const std::map<std::string, Node> nodes = std::exchange(nodes_, {});
  for (const auto& [name, node] : nodes) node.connection->Close();
}

void RedisSubscriptions::Subscribe(uint32_t channel) {
  channels_[channel].wanted = true;
  if (channels_[channel].state == State::kOff) Place(channel);
}

void RedisSubscriptions::Unsubscribe(uint32_t channel) { channels_[channel].wanted = false; }

// Asks the master of its slot.
void RedisSubscriptions::Place(uint32_t channel) {
  if (closed_) return;
  Soon();
  const std::string name = NameOf(channel);
  const SlotMap::Node* master = client_->MasterOf(SlotOfKey(name));
  if (master == nullptr) return client_->Refresh();
  Channel& placed = channels_[channel];
  placed.node = NameOfNode(*master);
  placed.state = State::kAsked;
  placed.asked = ++asked_;
  RedisConnection* connection = ConnectionTo(*master);
  ++nodes_.at(placed.node).channels;
  connection->Command({"SSUBSCRIBE", name}, {.timeout_ms = kTimeoutMs},
                      [this, channel, asked = placed.asked, node = placed.node](const RedisResult& result) {
                        Asked(channel, asked, node, result);
                      });
}

void RedisSubscriptions::Asked(uint32_t channel, uint64_t asked, const std::string& node, const RedisResult& result) {
  Channel& placed = channels_[channel];
  if (closed_ || placed.asked != asked || placed.state != State::kAsked) return;
  if (!result.status.ok()) {
    Drop(channel, false);
    client_->Refresh();  // MOVED, or the node is gone: the slot may have another master
    return Soon();
  }
  placed.state = State::kOn;
  placed.node = node;
  ++active_;
  began_(channel, std::exchange(placed.began, true));
}

// It is subscribed to nowhere any more. `tell`: the server where it is does not know that yet.
void RedisSubscriptions::Drop(uint32_t channel, bool tell) {
  Channel& dropped = channels_[channel];
  if (dropped.state == State::kOff) return;
  if (dropped.state == State::kOn) --active_;
  dropped.state = State::kOff;
  const auto node = nodes_.find(dropped.node);
  if (node == nodes_.end()) return;
  --node->second.channels;
  if (tell) node->second.connection->Post({"SUNSUBSCRIBE", NameOf(channel)});
}

void RedisSubscriptions::Pushed(const std::string& node, std::string_view kind, std::string_view name,
                                std::string_view payload) {
  uint32_t channel = 0;
  if (closed_ || !ChannelOfName(name, &channel)) return;
  if (kind == "smessage") return said_(channel, payload);
  // Taken away since the slot has moved; or what we asked for ourselves, and then it is not there any more.
  const Channel& gone = channels_[channel];
  if (kind != "sunsubscribe" || gone.state == State::kOff || gone.node != node) return;
  Drop(channel, false);
  client_->Refresh();
  Soon();
}

void RedisSubscriptions::LinkChanged(const std::string& node, bool up) {
  if (closed_) return;
  if (!up) {
    for (uint32_t channel = 0; channel < channels_.size(); ++channel) {
      if (channels_[channel].node == node) Drop(channel, false);
    }
    client_->Refresh();
  }
  Soon();
}

RedisConnection* RedisSubscriptions::ConnectionTo(const SlotMap::Node& node) {
  const std::string name = NameOfNode(node);
  const auto known = nodes_.find(name);
  if (known != nodes_.end()) return known->second.connection.get();
  RedisConnectionOptions options = client_->ConnectionOptionsFor(node);
  options.client_name += "-bells";
  Node& added = nodes_[name];
  added.connection = RedisConnection::Open(loop_, std::move(options));
  added.connection->OnPush([this, name](std::string_view kind, std::string_view channel, std::string_view payload) {
    Pushed(name, kind, channel, payload);
  });
  added.connection->OnLinkChanged([this, name](bool up) { LinkChanged(name, up); });
  return added.connection.get();
}

void RedisSubscriptions::Follow() {
  if (closed_) return;
  for (uint32_t channel = 0; channel < channels_.size(); ++channel) {
    const Channel& placed = channels_[channel];
    if (!placed.wanted || placed.state == State::kOff) continue;
    const SlotMap::Node* master = client_->MasterOf(SlotOfKey(NameOf(channel)));
    if (master == nullptr || NameOfNode(*master) == placed.node) continue;
    Drop(channel, true);
    Place(channel);
  }
}

// --- time ---

void RedisSubscriptions::Soon() {
  if (closed_ ||
      (uv_is_active(reinterpret_cast<uv_handle_t*>(timer_)) != 0 && uv_timer_get_due_in(timer_) <= kRetryMs)) {
    return;
  }
  uv_update_time(loop_);
  uv_timer_start(
      timer_, [](uv_timer_t* timer) { static_cast<RedisSubscriptions*>(timer->data)->OnTimer(); }, kRetryMs, 0);
}

void RedisSubscriptions::OnTimer() {
  bool off = false;
  bool any = false;
  for (uint32_t channel = 0; channel < channels_.size(); ++channel) {
    Channel& placed = channels_[channel];
    if (!placed.wanted && placed.state == State::kOn) {
      Drop(channel, true);
      placed.began = false;  // nobody listened
    }
    if (placed.wanted && placed.state == State::kOff) Place(channel);
    off = off || (placed.wanted && placed.state != State::kOn);
    any = any || placed.wanted || placed.state != State::kOff;
  }
  Ping();
  LetIdleNodesGo();
  if (!any) return;
  uv_timer_start(
      timer_, [](uv_timer_t* timer) { static_cast<RedisSubscriptions*>(timer->data)->OnTimer(); },
      off ? kRetryMs : kTickMs, 0);
}

// An answer that is overdue takes the connection with it.
void RedisSubscriptions::Ping() {
  if (NowMs() < ping_at_ms_) return;
  ping_at_ms_ = NowMs() + kPingMs;
  for (auto& [name, node] : nodes_) {
    if (node.channels == 0 || node.connection->link() == 0) continue;
    node.connection->Command({"PING"}, {.timeout_ms = kTimeoutMs}, [](const RedisResult&) {});
  }
}

void RedisSubscriptions::LetIdleNodesGo() {
  std::vector<std::shared_ptr<RedisConnection>> idle;
  std::erase_if(nodes_, [&](const auto& entry) {
    if (entry.second.channels > 0 || entry.second.connection->unanswered() > 0) return false;
    idle.push_back(entry.second.connection);
    return true;
  });
  for (const std::shared_ptr<RedisConnection>& connection : idle) connection->Close();
}

}  // namespace everyonce
