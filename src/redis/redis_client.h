#pragma once

#include <uv.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "redis/lua_scripts.h"
#include "redis/redis_arguments.h"
#include "redis/redis_connection.h"
#include "redis/slots.h"

namespace everyonce {

struct RedisClientOptions {
  // Nodes of a Cluster, or a primary and its replicas: whatever answers first tells which.
  std::vector<RedisAddress> seeds;
  std::optional<bool> cluster;      // what it must be; unset: either
  std::shared_ptr<TlsContext> tls;  // of seeds with `tls`, and so of all nodes
  std::string client_name = "everyonce";
  uint32_t timeout_ms = 5000;  // of a command, with everything that is tried for it
  uint32_t connect_timeout_ms = 1000;
  // Between two tries of what was turned away for a while, and between two looks at the topology.
  uint32_t retry_min_ms = 10;
  uint32_t retry_max_ms = 250;
  size_t max_commands = 65536;  // per node, and of what waits for a later try or for the first connection
  size_t max_bytes = 64u << 20;
  size_t max_reply_bytes = 64u << 20;
  std::function<uint64_t()> random;
};

struct RedisClientCounters {
  uint64_t commands = 0;
  uint64_t redirects = 0;   // MOVED and ASK
  uint64_t retries = 0;     // turned away for a while, or the node was lost
  uint64_t topologies = 0;  // looks at who serves what
  uint64_t evals = 0;       // scripts that a server did not have
};

// A Redis by its slots: a single server, a primary with replicas (found by asking, without sentinels), or a Cluster.
// Commands go to the master of their slot; MOVED, ASK, TRYAGAIN, CLUSTERDOWN, LOADING, READONLY and lost nodes are
// dealt with here until the command's deadline, as far as that can't do anything twice. Not thread-safe: one loop.
class RedisClient {
 public:
  using Done = RedisConnection::Done;

  RedisClient(uv_loop_t* loop, RedisClientOptions options);
  ~RedisClient();
  RedisClient(const RedisClient&) = delete;
  RedisClient& operator=(const RedisClient&) = delete;

  // `slot`: of the keys it names, all the same; what names none may go anywhere. Answered exactly once; refusals may be
  // answered before this returns.
  void Command(uint16_t slot, const std::vector<std::string>& arguments, bool idempotent, Done done);

  // Runs a script by its hash, or by its text where the server does not have it (semantics a: EVAL on NOSCRIPT is safe,
  // since it did not run). All scripts of lua/ are idempotent, so lost answers are asked for again.
  void RunScript(const LuaScript& script, const std::vector<std::string>& keys,
                 const std::vector<std::string>& arguments, Done done);
  void RunScript(const LuaScript& script, uint16_t slot, const RedisArguments& keys, const RedisArguments& arguments,
                 Done done);

  // WAIT on the connection that `link` names, which carried the writes: kOk where at least `replicas` have them within
  // `timeout_ms`; kUnknown where not, or where that connection is gone. (semantics c-4: on another connection WAIT
  // answers for nothing.)
  void WaitForReplicas(uint64_t link, uint32_t replicas, uint32_t timeout_ms, std::function<void(RedisStatus)> done);

  // Learns what it is connected to, or says why not. Also how to begin: nothing is connected before the first call.
  void Describe(std::function<void(RedisStatus status, const ServerInfo& info)> done);

  // Answers everything (kClosed, or kUnknown where it was sent). The loop has to turn once more to let handles go.
  void Close();

  // Who serves a slot, as far as is known; null: nobody, or unknown. Refresh: that may be wrong, look again soon.
  const SlotMap::Node* MasterOf(uint16_t slot) const { return NodeOf(slot); }
  void Refresh() { LookSoon(); }
  // Called after each look that succeeded, each that was given.
  void OnTopology(std::function<void()> looked) { on_topology_.push_back(std::move(looked)); }
  // Called where a server refuses us for good, or we it, as long as that lasts: a password, a certificate.
  void OnRefused(std::function<void(const RedisStatus& status)> refused) { on_refused_ = std::move(refused); }
  // For a connection of one's own to a node: with the same user and bounds.
  RedisConnectionOptions ConnectionOptionsFor(const SlotMap::Node& node) const;

  bool is_cluster() const { return is_cluster_; }
  const SlotMap& slots() const { return slots_; }
  const RedisClientCounters& counters() const { return counters_; }

 private:
  struct Call {
    uint16_t slot = 0;
    std::string bytes;
    const LuaScript* script = nullptr;  // that `bytes` calls by its hash
    size_t tail_at = 0;                 // of it: where what follows the hash begins in `bytes`
    SlotMap::Node node;                 // where it was sent last
    bool idempotent = false;
    uint64_t deadline_ms = 0;
    uint32_t redirects = 0;
    RedisStatus last;  // why it is not done yet
    Done done;
  };
  using CallPointer = std::shared_ptr<Call>;
  using Calls = std::multimap<uint64_t, CallPointer>;  // by when they are due
  struct Timer;
  struct Look;  // at the topology, one after the other at the seeds

  void Start(const CallPointer& call);
  void Send(const CallPointer& call);
  void SendTo(const SlotMap::Node& node, bool asking, const CallPointer& call);
  void Took(const CallPointer& call, RedisResult result);
  void Turned(const CallPointer& call, RedisResult result);
  void SendText(const CallPointer& call);
  void GiveSpare(std::string bytes);
  void Later(const CallPointer& call, RedisStatus why);
  void GiveUp(const CallPointer& call);
  const SlotMap::Node* NodeOf(uint16_t slot) const;
  RedisConnection* ConnectionTo(const SlotMap::Node& node);

  void LookSoon();
  void LookNow();
  void AskNext(const std::shared_ptr<Look>& look);
  void Judge(const std::shared_ptr<Look>& look, const SlotMap::Node& node, const ServerInfo& info);
  void AskSlots(const std::shared_ptr<Look>& look, const SlotMap::Node& node);
  void Looked(const std::shared_ptr<Look>& look, RedisStatus status);
  void Forget();
  void Wait(const CallPointer& call, Calls* calls, uint64_t due_ms);
  std::vector<CallPointer> TakeUntil(uint64_t now_ms, Calls* calls);
  void Schedule();
  void OnTimer();

  uv_loop_t* loop_;
  RedisClientOptions options_;
  bool closed_ = false;
  bool known_ = false;  // the topology, as of the last look
  bool is_cluster_ = false;
  SlotMap::Node primary_;
  SlotMap slots_;
  ServerInfo info_;
  std::map<SlotMap::Node, std::shared_ptr<RedisConnection>> connections_;
  Calls waiting_;   // for a later try
  Calls unplaced_;  // until it is known who serves their slot; due at their deadlines
  size_t waiting_bytes_ = 0;
  std::vector<std::string> spares_;  // buffers of calls that are done, for the next ones
  std::vector<std::function<void(RedisStatus, const ServerInfo&)>> describing_;
  std::vector<std::function<void()>> on_topology_;
  std::function<void(const RedisStatus& status)> on_refused_;
  std::shared_ptr<Look> looking_;
  RedisStatus look_failure_;
  uint64_t look_at_ms_ = UINT64_MAX;
  uint64_t looked_at_ms_ = 0;
  Timer* timer_ = nullptr;
  RedisClientCounters counters_;
};

}  // namespace everyonce
