#include "migrate/migration.h"

#include <chrono>
#include <utility>

#include "migrate/target_commands.h"
#include "redis/lua_scripts.h"
#include "redis/redis_keys.h"
#include "redis/slots.h"

namespace everyonce {
namespace {

constexpr size_t kCallsUnderWay = 2000;
constexpr size_t kBytesUnderWay = size_t{4} << 20;

std::string TextOf(const RedisReply& reply, size_t index) {
  return index < reply.elements.size() ? reply.elements[index].text : std::string();
}

}  // namespace

Migration::Migration(uv_loop_t* loop, std::unique_ptr<RocksKv> store, MigrationOptions options)
    : store_(std::move(store)),
      options_(std::move(options)),
      client_(loop, options_.client),
      reader_(store_.get(), options_.window_ms, store_->restored()),
      keys_estimate_(store_->stats().keys_estimate),
      timer_(new uv_timer_t) {
  uv_timer_init(loop, timer_);
  timer_->data = this;
}

Migration::~Migration() { Close(); }

int64_t Migration::UnixMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

void Migration::Close() {
  if (closed_) return;
  closed_ = true;
  uv_close(reinterpret_cast<uv_handle_t*>(timer_),
           [](uv_handle_t* handle) { delete reinterpret_cast<uv_timer_t*>(handle); });
  timer_ = nullptr;
  client_.Close();
  End({"CLOSED", "it was broken off"});
  store_.reset();  // nothing reads it any more, and the next one may want it at once
}

void Migration::End(MigrationEnd end) {
  if (!done_) return;
  const auto done = std::exchange(done_, nullptr);
  done(std::move(end));
}

void Migration::Fail(const RedisStatus& status) { End({std::string(RedisCodeName(status.code)), status.message}); }

// An answer counts only as long as nothing has failed.
void Migration::Ask(const std::string& key, const std::vector<std::string>& command,
                    std::function<void(const RedisResult& result)> took) {
  client_.Command(SlotOfKey(key), command, true, [this, took = std::move(took)](const RedisResult& result) {
    if (IsOver()) return;
    if (!result.status.ok()) return Fail(result.status);
    took(result);
  });
}

void Migration::Run(std::function<void(MigrationEnd end)> done) {
  done_ = std::move(done);
  Status status = store_->Fingerprint(&source_);
  if (!status.ok()) return End({std::string(CodeName(status.code)), status.message});
  client_.Describe([this](const RedisStatus& described, const ServerInfo&) {
    if (IsOver()) return;
    if (!described.ok()) return Fail(described);
    CheckMark();
  });
}

// --- whether it may be moved there ---

void Migration::CheckMark() {
  Ask(MigrationKey(), {"HMGET", MigrationKey(), "state", "source"}, [this](const RedisResult& result) {
    const std::string state = TextOf(result.reply, 0);
    const std::string source = TextOf(result.reply, 1);
    if (state.empty()) return CheckEmpty(0, "0");
    if (state == "moving" && source == source_) {
      resumed_ = true;
      return Mark();
    }
    if (state == "moving") {
      return End({"MIGRATION_REFUSED",
                  "another store was being moved there, or this one has changed since that was broken off: remove the "
                  "keys eo:* and begin anew"});
    }
    End({"MIGRATION_REFUSED", source == source_
                                  ? "this store was moved there already"
                                  : "there is a store already that was moved there: choose another Redis"});
  });
}

// SCAN names no key, so each master is asked by a slot of its own.
void Migration::CheckEmpty(size_t master, const std::string& cursor) {
  const SlotMap& slots = client_.slots();
  const size_t masters = client_.is_cluster() ? slots.masters.size() : 1;
  if (master == masters) return Mark();
  uint16_t slot = 0;
  while (client_.is_cluster() && slot < kRedisSlots && slots.owner[slot] != master) ++slot;
  if (slot == kRedisSlots) return CheckEmpty(master + 1, "0");  // it serves nothing
  client_.Command(slot, {"SCAN", cursor, "MATCH", "eo:*", "COUNT", "1000"}, true,
                  [this, master](const RedisResult& result) {
                    if (IsOver()) return;
                    if (!result.status.ok()) return Fail(result.status);
                    if (result.reply.elements.size() != 2) {
                      return Fail({RedisCode::kProtocol, "a reply to SCAN that is none"});
                    }
                    const RedisReply& keys = result.reply.elements[1];
                    if (!keys.elements.empty()) {
                      return End({"MIGRATION_REFUSED", "there is something of everyonce in that Redis already (" +
                                                           keys.elements[0].text +
                                                           "): choose another one, or remove the keys eo:*"});
                    }
                    const std::string next = TextOf(result.reply, 0);
                    next == "0" ? CheckEmpty(master + 1, "0") : CheckEmpty(master, next);
                  });
}

// It must not be lost when all else is there.
void Migration::Mark() {
  SetMark("moving", [this] { Secure([this] { Walk(MigrationStep::kWriting); }); });
}

// --- writing all of it, then reading it back ---

void Migration::Walk(MigrationStep step) {
  step_ = step;
  all_read_ = false;
  Status status = reader_.Rewind(UnixMs());
  if (!status.ok()) return End({std::string(CodeName(status.code)), status.message});
  Pump();
}

void Migration::Pump() {
  if (pumping_ || IsOver()) return;
  pumping_ = true;
  while (!IsOver() && under_way_ < kCallsUnderWay && bytes_under_way_ < kBytesUnderWay) {
    if (calls_.empty()) {
      if (all_read_) break;
      Status status = reader_.Slice(&calls_, &all_read_);
      if (!status.ok()) End({std::string(CodeName(status.code)), status.message});
      continue;
    }
    Send(std::make_shared<const TargetCall>(calls_.Take()));
  }
  pumping_ = false;
  if (IsOver() || !all_read_ || !calls_.empty() || under_way_ > 0) return;
  step_ == MigrationStep::kWriting ? ReadBack() : Finish();
}

void Migration::Send(CallPointer call) {
  const bool writing = step_ == MigrationStep::kWriting;
  if (writing && call->kind == TargetKind::kLength) return;
  ++under_way_;
  bytes_under_way_ += call->bytes;
  if (!writing) return SendRead(call);
  if (call->kind == TargetKind::kLog) return SendLog(call);
  const auto sent = [this, call](const RedisResult& result) { Sent(call, result); };
  if (call->kind == TargetKind::kCounter) {
    return client_.RunScript(*FindLuaScript("migrate_counter"), {call->key}, call->items, sent);
  }
  if (call->expires_ms == 0 || call->kind == TargetKind::kText) {
    return client_.Command(SlotOfKey(call->key), WriteCommand(*call), true, sent);
  }
  const uint16_t slot = SlotOfKey(call->key);
  const std::string at = std::to_string(call->expires_ms);
  client_.Command(slot, WriteCommand(*call), true, [this, call, slot, at, sent](const RedisResult& result) {
    if (IsOver()) return;
    if (!result.status.ok()) return Fail(result.status);
    // At the latest of what the key is told: where it has no expiry, GT would keep that.
    client_.Command(slot, {"PEXPIREAT", call->key, at, "NX"}, true, [](const RedisResult&) {});
    client_.Command(slot, {"PEXPIREAT", call->key, at, "GT"}, true, sent);
  });
}

// Two calls for one log may overtake each other while its slot moves: the later one waits for those before. Where there
// are none, what lies before was written and is gone.
void Migration::SendLog(const CallPointer& call) {
  const auto log = logs_.try_emplace(call->key).first;
  const uint64_t seq = std::stoull(call->items[1]);
  log->second[seq] = {call, false};
  const bool is_first = log->second.begin()->first == seq;
  client_.RunScript(*FindLuaScript("migrate_log"), {call->key}, call->items,
                    [this, call, is_first](const RedisResult& result) {
                      if (IsOver()) return;
                      if (result.status.ok() && result.reply.text == "GAP") return LogGap(call, is_first);
                      if (result.status.ok()) LogWritten(call);
                      Sent(call, result);
                    });
}

void Migration::LogGap(const CallPointer& call, bool was_first) {
  if (was_first) return Lost(call->key + " lacks messages that were written");
  auto& calls = logs_[call->key];
  const auto own = calls.find(std::stoull(call->items[1]));
  if (own == calls.begin()) return SendLog(call);  // those before it have been answered meanwhile
  own->second.is_waiting = true;
}

void Migration::LogWritten(const CallPointer& call) {
  const auto log = logs_.find(call->key);
  log->second.erase(std::stoull(call->items[1]));
  if (log->second.empty()) {
    logs_.erase(log);
  } else if (log->second.begin()->second.is_waiting) {
    SendLog(log->second.begin()->second.call);
  }
}

void Migration::Sent(const CallPointer& call, const RedisResult& result) {
  if (IsOver()) return;
  if (!result.status.ok()) return Fail(result.status);
  Answered(call);
}

void Migration::SendRead(const CallPointer& call) {
  Ask(call->key, ReadCommand(*call), [this, call](const RedisResult& result) {
    if (IsWritten(*call, result.reply, UnixMs())) return Answered(call);
    Lost(call->key + " does not hold what was written to it");
  });
}

void Migration::Answered(const CallPointer& call) {
  --under_way_;
  bytes_under_way_ -= call->bytes;
  Pump();
}

}  // namespace everyonce
