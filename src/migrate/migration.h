#pragma once

#include <uv.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "log/rocks_kv.h"
#include "migrate/store_reader.h"
#include "migrate/target_calls.h"
#include "migrate/target_masters.h"
#include "redis/redis_client.h"

namespace everyonce {

struct MigrationOptions {
  RedisClientOptions client;
  std::optional<uint32_t> replicas;  // that must have all of it; unset: one of each master that has any in step
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
//
// A master that is replaced by a replica which lacks a tail, or that begins anew without its data, takes nothing with
// it unseen: all is read back when all is written, and again where a master is another one at the end than at the
// beginning.
class Migration {
 public:
  Migration(uv_loop_t* loop, std::unique_ptr<RocksKv> store, MigrationOptions options);
  ~Migration();
  Migration(const Migration&) = delete;
  Migration& operator=(const Migration&) = delete;

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
  void SendLog(const CallPointer& call);
  void LogGap(const CallPointer& call, bool was_first);
  void LogWritten(const CallPointer& call);
  void SendRead(const CallPointer& call);
  void Sent(const CallPointer& call, const RedisResult& result);
  void Answered(const CallPointer& call);
  void End(MigrationEnd end);
  void Fail(const RedisStatus& status);
  bool IsOver() const { return closed_ || losing_ || !done_; }

  // migration_end.cc
  void Look(uint64_t until_ms, std::function<void()> looked);
  void Secure(std::function<void()> secured);
  void SecureMaster(size_t index, uint32_t replicas, std::function<void()> secured);
  void ReadBack();
  void Finish();
  void CheckAgain();
  void SetMark(const char* state, std::function<void()> set);
  void Lost(std::string message);
  static int64_t UnixMs();
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
  bool losing_ = false;  // something is missing: only the mark is still written
  std::function<void(MigrationEnd end)> done_;

  TargetCalls calls_;
  bool all_read_ = false;
  bool pumping_ = false;
  size_t under_way_ = 0;
  size_t bytes_under_way_ = 0;
  // Of each log the calls under way, by their first seq; those that came too early wait for the ones before.
  struct LogCall {
    CallPointer call;
    bool is_waiting = false;
  };
  std::map<std::string, std::map<uint64_t, LogCall>> logs_;

  TargetMasters masters_;    // as of the last look
  TargetMasters read_from_;  // when the reading began
  uint32_t readings_ = 0;
  uv_timer_t* timer_;
  std::function<void()> timed_;
};

}  // namespace everyonce
