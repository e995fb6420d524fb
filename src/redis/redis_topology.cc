// How a RedisClient finds out who serves what, without sentinels: it asks one address after the other, those that it
// used last first, and again whenever something does not fit.

#include <algorithm>
#include <set>
#include <utility>

#include "redis/redis_client.h"

namespace everyonce {
namespace {

constexpr uint32_t kLeastVersion = 7;
constexpr size_t kMaxAsked = 64;  // addresses in one look; replicas may name masters that name others

uint64_t NowMs() { return uv_hrtime() / 1000000; }

}  // namespace

struct RedisClient::Look {
  std::vector<SlotMap::Node> nodes;  // to ask, in order
  size_t next = 0;
  bool hopeless = false;  // it stays as it is, however often it is asked
  RedisStatus failure = {RedisCode::kUnreachable, "no Redis answers at any of the addresses"};
};

void RedisClient::Describe(std::function<void(RedisStatus status, const ServerInfo& info)> done) {
  if (closed_) return done({RedisCode::kClosed, "the client of Redis is closed"}, info_);
  describing_.push_back(std::move(done));
  LookSoon();
}

void RedisClient::LookSoon() {
  if (closed_ || looking_ != nullptr || look_at_ms_ != UINT64_MAX) return;
  // The first at once; then no more often than calls are tried again.
  const uint64_t now_ms = NowMs();
  look_at_ms_ = looked_at_ms_ == 0 ? now_ms : std::max(now_ms, looked_at_ms_ + options_.retry_min_ms);
  Schedule();
}

void RedisClient::LookNow() {
  look_at_ms_ = UINT64_MAX;
  looked_at_ms_ = NowMs();
  ++counters_.topologies;
  looking_ = std::make_shared<Look>();
  const auto add = [&](const SlotMap::Node& node) {
    std::vector<SlotMap::Node>& nodes = looking_->nodes;
    if (nodes.size() < kMaxAsked && std::find(nodes.begin(), nodes.end(), node) == nodes.end()) nodes.push_back(node);
  };
  if (known_ && !is_cluster_) add(primary_);
  for (const RedisAddress& seed : options_.seeds) add({seed.host, seed.port});
  if (is_cluster_) {
    for (const SlotMap::Node& node : slots_.masters) add(node);
  }
  AskNext(looking_);
}

void RedisClient::AskNext(const std::shared_ptr<Look>& look) {
  if (look != looking_) return;
  if (look->next >= look->nodes.size()) return Looked(look, look->failure);
  const SlotMap::Node node = look->nodes[look->next++];
  ConnectionTo(node)->Command({"INFO"}, {.timeout_ms = options_.connect_timeout_ms},
                              [this, look, node](RedisResult result) {
                                if (look != looking_) return;
                                ServerInfo info;
                                if (!result.status.ok()) {
                                  // A wrong password or certificate says more than an address where nobody is.
                                  if (!look->failure.hopeless()) look->failure = result.status;
                                  if (look->failure.unknown()) look->failure.code = RedisCode::kUnreachable;
                                  return AskNext(look);
                                }
                                if (!ParseServerInfo(result.reply.text, &info)) {
                                  look->failure = {RedisCode::kProtocol, "an INFO that is none"};
                                  return AskNext(look);
                                }
                                Judge(look, node, info);
                              });
}

void RedisClient::Judge(const std::shared_ptr<Look>& look, const SlotMap::Node& node, const ServerInfo& info) {
  look->hopeless = info.major_version < kLeastVersion || (options_.cluster && *options_.cluster != info.cluster);
  if (info.major_version < kLeastVersion) {
    return Looked(look, {RedisCode::kWrongServer, "Redis 7.0 or later is needed; this is " + info.version});
  }
  if (look->hopeless) {
    return Looked(look, {RedisCode::kWrongServer, info.cluster ? "this is a Redis Cluster, and a single Redis was meant"
                                                               : "this is no Redis Cluster"});
  }
  if (info.cluster) {
    info_ = info;
    return AskSlots(look, node);
  }
  if (info.loading) {
    look->failure = {RedisCode::kUnreachable, "Redis is still reading its data"};
    return AskNext(look);
  }
  if (!info.primary) {
    look->failure = {RedisCode::kWrongServer, "none of the addresses says that it is the master"};
    std::vector<SlotMap::Node>& nodes = look->nodes;
    const bool asked = std::find(nodes.begin(), nodes.end(), info.master) != nodes.end();
    if (!asked && info.master.port != 0 && nodes.size() < kMaxAsked) nodes.push_back(info.master);
    return AskNext(look);
  }
  info_ = info;
  primary_ = node;
  is_cluster_ = false;
  Looked(look, {});
}

void RedisClient::AskSlots(const std::shared_ptr<Look>& look, const SlotMap::Node& node) {
  ConnectionTo(node)->Command(
      {"CLUSTER", "SLOTS"}, {.timeout_ms = options_.connect_timeout_ms}, [this, look, node](RedisResult result) {
        if (look != looking_) return;
        SlotMap map;
        if (!result.status.ok() || !ParseClusterSlots(result.reply, node.host, &map)) {
          look->failure =
              result.status.ok() ? RedisStatus{RedisCode::kProtocol, "a CLUSTER SLOTS that is none"} : result.status;
          return AskNext(look);
        }
        if (map.masters.empty()) {
          look->failure = {RedisCode::kUnreachable, "a Cluster without slots"};
          return AskNext(look);
        }
        slots_ = std::move(map);
        is_cluster_ = true;
        Looked(look, {});
      });
}

void RedisClient::Looked(const std::shared_ptr<Look>& look, RedisStatus status) {
  if (look != looking_) return;
  looking_.reset();
  look_failure_ = status;
  if (status.ok()) {
    known_ = true;
    Forget();
  }
  // A wrong password, certificate or server stays wrong: nobody is kept waiting for it. The next call looks again.
  const bool hopeless = status.hopeless() || (look->hopeless && !status.ok());
  std::vector<CallPointer> resumed;
  if (status.ok() || hopeless) resumed = TakeUntil(UINT64_MAX, &unplaced_);
  if (!status.ok() && !hopeless && waiting_.size() + unplaced_.size() > 0) {
    look_at_ms_ = NowMs() + options_.retry_min_ms +
                  (options_.random ? options_.random() % (options_.retry_max_ms - options_.retry_min_ms + 1) : 0);
  }
  if (status.hopeless() && on_refused_) on_refused_(status);
  auto describing = std::move(describing_);
  describing_.clear();
  for (const CallPointer& call : resumed) {
    if (hopeless) {
      GiveUp(call);
    } else {
      Send(call);
    }
  }
  for (auto& done : describing) done(status, info_);
  for (size_t i = 0; status.ok() && i < on_topology_.size(); ++i) on_topology_[i]();
  Schedule();
}

// Lets connections go to nodes that nothing is sent to any more.
void RedisClient::Forget() {
  std::set<SlotMap::Node> wanted;
  for (const RedisAddress& seed : options_.seeds) wanted.insert({seed.host, seed.port});
  if (!is_cluster_) wanted.insert(primary_);
  if (is_cluster_) wanted.insert(slots_.masters.begin(), slots_.masters.end());
  std::vector<std::shared_ptr<RedisConnection>> unwanted;
  std::erase_if(connections_, [&](const auto& entry) {
    if (wanted.contains(entry.first) || entry.second->unanswered() > 0) return false;
    unwanted.push_back(entry.second);
    return true;
  });
  for (const std::shared_ptr<RedisConnection>& connection : unwanted) connection->Close();
}

}  // namespace everyonce
