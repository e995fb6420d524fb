#pragma once

#include <uv.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "log/rocks_kv.h"
#include "migrate/store_reader.h"
#include "migrate/target_calls.h"
#include "redis/redis_client.h"

namespace everyonce {

struct MigrationOptions {
  RedisClientOptions client;
  uint32_t replicas = 0;  // that must have all of it
  uint32_t replica_timeout_ms = 10000;
  int64_t window_ms = 0;  // of sends without n
};

// Why it ended; empty code: it is done. `code` is one of lib/protocol/codes.js.
struct MigrationEnd {
  std::string code;
  std::string message;
};

enum class MigrationStep : uint8_t { kLooking, kWriting, kReading, kDone };

// Moves a store that no server has open into a Redis that holds none, and reads all of it back. On the caller's loop,
// in bounded memory.
//
// Restartable at any moment: a mark in Redis names the store and its state, nothing is written that could not be
// written again, and no server starts on what bears the mark (RedisLog::Open). The store itself is not changed.
class Migration {
 public:
  Migration(uv_loop_t* loop, std::unique_ptr<RocksKv> store, MigrationOptions options);
  ~Migration();

  // Once. `done` is called once, at the end or from Close (CLOSED).
  void Run(std::function<void(MigrationEnd end)> done);
  // Breaks off what is under way and closes the store. Then the loop has to turn once more.
  void Close();

  MigrationStep step() const { return step_; }
  // Went on with one that was broken off.
  bool resumed() const { return resumed_; }
  // Of the walk under way, or of the last one.
  const MigrationCounts& counts() const { return reader_.counts(); }
  // Of one walk, about.
  uint64_t keys_estimate() const { return keys_estimate_; }

 private:
  using CallPointer = std::shared_ptr<const TargetCall>;

  void CheckMark();
  void CheckEmpty(size_t master, const std::string& cursor);
  void Mark();
  void Walk(MigrationStep step);
  void Pump();
  void Send(CallPointer call);
  void SendLog(const CallPointer& call, uint32_t tries);
  void SendRead(const CallPointer& call);
  void Sent(const CallPointer& call, const RedisResult& result);
  void Answered(const CallPointer& call);
  void WaitForReplicas();
  void Finish();
  void End(MigrationEnd end);
  void Fail(const RedisStatus& status);
  // For an answer: null once this is gone.
  void Ask(const std::string& key, const std::vector<std::string>& command,
           std::function<void(const RedisResult& result)> took);

  std::unique_ptr<RocksKv> store_;
  MigrationOptions options_;
  RedisClient client_;
  StoreReader reader_;
  std::string source_;
  uint64_t keys_estimate_ = 0;
  MigrationStep step_ = MigrationStep::kLooking;
  bool resumed_ = false;
  bool closed_ = false;
  std::function<void(MigrationEnd end)> done_;

  TargetCalls calls_;
  bool all_read_ = false;
  bool pumping_ = false;
  size_t under_way_ = 0;
  size_t bytes_under_way_ = 0;
  std::set<uint64_t> links_;  // connections that wrote
};

}  // namespace everyonce
