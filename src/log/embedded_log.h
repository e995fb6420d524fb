#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "log/kv.h"
#include "log/log.h"
#include "log/retention.h"

namespace everyonce {

class LogContext;

struct EmbeddedLogOptions {
  int64_t window_ms = int64_t{24} * 3600 * 1000;  // how long sends without n are told apart
  std::function<uint64_t()> random;               // for epochs; unset: 0
  uint16_t worker = 0;                            // ≤ 1023, part of every mid
  size_t cache_conversations = 100000;
  int64_t now_ms = 0;  // Unix milliseconds at opening; the clock never falls behind it
  // Message tokens: `tokens` says whether there are any. Their key is made when they are first wanted and kept in the
  // store, unless `token_key` gives one (of at least kMinTokenKeyBytes).
  bool tokens = false;
  std::string token_key;
  int64_t token_ttl_ms = int64_t{24} * 3600 * 1000;
  // The store may have lost the tail of its logs (an opened backup copy, a repaired store): a new epoch for every log,
  // before anything is told or added.
  bool new_epochs = false;
  // A new epoch begins with the next message, as on Redis, and not when its log is next looked at: until then a
  // position above head tells what was lost. Of use where this log stands for one on Redis.
  bool late_epochs = false;
  RetentionOptions retention;
};

// The Log on a Kv: one synced write per group. Everything is answered inline. Single-threaded, and deterministic given
// the Kv, the clock and the random source. What is O(more than the answer): the first touch of a conversation reads at
// most 128 messages and a group's worth of its tail, and a status of ids that are not found goes through the device's
// blocks (one record for 64 of its messages).
//
// A store whose write failed: the group's outcomes are kUnavailable, everything cached is dropped, and the store is
// recovered by the failing Commit or a later one, tried at most once a second of `now_ms`; until then all is
// kUnavailable.
class EmbeddedLog final : public Log {
 public:
  ~EmbeddedLog() override;

  void Commit(const std::vector<Command>& group, int64_t now_ms, CommitDone done) override;
  void Views(std::string_view user, std::string_view device, std::string_view after_conv, size_t limit,
             ViewsDone done) override;
  void View(std::string_view user, std::string_view device, std::string_view conv, ViewDone done) override;
  void ResumeAt(std::string_view user, std::string_view device, const std::vector<Position>& positions,
                ResumeDone done) override;
  void Pull(const PullQuery& query, PageDone done) override;
  void History(const HistoryQuery& query, HistoryDone done) override;
  void StatusOf(std::string_view conv, std::string_view user, std::string_view device,
                const std::vector<std::string>& ids, StatusDone done) override;
  void MembersOf(std::string_view conv, MembersDone done) override;
  void IssueTokens(std::string_view user, size_t count, int64_t now_ms, TokensDone done) override;
  bool Tend(int64_t now_ms) override;
  int64_t Retain(int64_t now_ms) override;
  Feed* feed() override;
  void LowestGroupPosition(std::string_view conv, PositionDone done) override;
  Safe safe() const override;

  // Removes window entries that have expired at `now_ms`, looking at no more than `max_keys`, and goes on there at the
  // next call. Returns how many it removed. To be called now and then while idle.
  size_t SweepWindow(int64_t now_ms, size_t max_keys);
  // The same for used tokens that have run out.
  size_t SweepTokens(int64_t now_ms, size_t max_keys);

  LogCounters counters() const override;

 private:
  friend std::unique_ptr<EmbeddedLog> OpenEmbeddedLog(std::unique_ptr<Kv> kv, EmbeddedLogOptions options,
                                                      Status* status);
  explicit EmbeddedLog(std::unique_ptr<LogContext> context);
  Status TryRecover(int64_t now_ms);
  Status WriteGroup();
  void NoticeFailure();
  Status Readable();
  using Forgettable = std::function<bool(std::string_view value, int64_t now_ms)>;
  size_t Sweep(Space space, const Forgettable& forgettable, int64_t now_ms, size_t max_keys, std::string* from);

  std::unique_ptr<LogContext> context_;
  bool failed_ = false;
  bool tried_ = false;  // to recover, at tried_at_ms_
  int64_t tried_at_ms_ = 0;
  std::string window_from_;  // where the sweeps go on; empty: at the beginning
  std::string tokens_from_;
  Retention retention_;
};

// Null with *status telling where the store cannot be read (or, with new_epochs, written).
std::unique_ptr<EmbeddedLog> OpenEmbeddedLog(std::unique_ptr<Kv> kv, EmbeddedLogOptions options, Status* status);

}  // namespace everyonce
