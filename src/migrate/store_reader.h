#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "log/conversation.h"
#include "log/feed_table.h"
#include "log/kv.h"
#include "log/staged_store.h"
#include "migrate/target_calls.h"
#include "redis/redis_keys.h"

namespace everyonce {

// How much there was of what.
struct MigrationCounts {
  uint64_t keys = 0;  // of the store, looked at
  uint64_t conversations = 0;
  uint64_t messages = 0;
  uint64_t bytes = 0;  // of their bodies
  uint64_t members = 0;
  uint64_t senders = 0;  // devices with what became of their n, per conversation
  uint64_t acked = 0;
  uint64_t read = 0;
  uint64_t devices = 0;
  uint64_t window = 0;       // ids of sends without n
  uint64_t window_over = 0;  // those that are older than the window: they stay behind
  uint64_t tokens = 0;       // used ones
  uint64_t groups = 0;       // of consumers
  uint64_t letters = 0;
  uint64_t claims = 0;    // of the primitives: and Dedup's keys
  uint64_t counters = 0;  // sequences, segments of ids
  uint64_t workers = 0;
  uint64_t waiting = 0;  // in the offline table
};

// Walks over a data directory that nobody changes, and says what has to be in Redis for a server there to go on as this
// one would have. In slices, from the first key to the last; however often it is walked, it says the same.
//
// Epochs go along as they are, under no replication id: so the next message of each conversation begins a new one
// (semantics c-1), and clients keep what they have.
class StoreReader {
 public:
  // `window_ms`: how long sends without n are told apart. `restored`: a backup that no server has opened yet, so that
  // counters have to jump (store/counter.h).
  StoreReader(Kv* kv, int64_t window_ms, bool restored);

  // To the first key: what an earlier walk has said is said again, but for what has run out by `now_ms` (Unix).
  Status Rewind(int64_t now_ms);
  // The next of it, until `calls` is full. `done`: that was all.
  Status Slice(TargetCalls* calls, bool* done);
  const MigrationCounts& counts() const { return counts_; }

 private:
  struct TailEntry {
    uint64_t seq = 0;
    uint64_t n = 0;
    std::string from;
    std::string device;
  };
  struct Sender;
  struct FeedGroup {
    std::string name;
    FeedRecord record;
    std::array<uint64_t, kRedisPartitions> lag = {};
    std::array<uint64_t, kRedisPartitions> letters = {};
  };

  Status Take(Space space, std::string_view key, std::string_view value);
  Status Corrupt(std::string_view key) const;

  // store_reader_log.cc
  Status Open(std::string_view conv);
  Status TakeRecord(std::string_view key, std::string_view value);
  Status TakeConversation(std::string_view key, std::string_view value);
  Status TakeHead(std::string_view conv, std::string_view value);
  Status TakeTail(std::string_view conv);
  void PutOwn(std::string_view conv, std::string_view user, const OwnRecord& record, uint64_t as_of_seq);

  // store_reader_marks.cc
  Status TakeMark(std::string_view key, std::string_view value);
  Status TakeWindow(std::string_view key, std::string_view value);
  Status TakeToken(std::string_view key, std::string_view value);
  Status TakeMeta(std::string_view key, std::string_view value);

  // store_reader_senders.cc
  Status TakeProducer(std::string_view key, std::string_view value);
  Status TakeBlock(std::string_view conv, std::string_view user, std::string_view device, uint64_t block,
                   std::string_view value);
  Status PutProducer(std::string_view conv, std::string_view user, std::string_view device);
  Status Accepted(const Sender& sender, uint64_t n, uint64_t seq, const std::vector<uint64_t>& hashes,
                  std::string* text, std::vector<std::string>* ids);

  // store_reader_feed.cc
  Status ReadGroups();
  Status TakePositions(std::string_view conv, uint32_t partition);
  Status PositionOf(const FeedGroup& group, std::string_view conv, uint64_t* position);
  Status TakeLetter(std::string_view key, std::string_view value);
  void FinishGroups();

  // store_reader_primitives.cc
  Status TakePrimitive(std::string_view key, std::string_view value);
  Status TakeClaim(std::string_view key, std::string_view value);
  Status TakeCounter(std::string_view key);
  Status TakeWorker(std::string_view key, std::string_view value);
  Status TakeOffline(std::string_view key, std::string_view value);

  Kv* kv_;
  StagedStore unchanged_;
  int64_t window_ms_;
  bool restored_;
  int64_t now_ms_ = 0;
  int64_t first_ms_ = 0;  // of the first walk: what is made of the time is the same in all
  uint64_t generation_ = 0;
  MigrationCounts counts_;

  // Where the walk is.
  TargetCalls* out_ = nullptr;
  size_t part_ = 0;
  std::string from_;

  // The conversation that was looked at last, and what lies behind its snapshot.
  std::string conv_;
  std::unique_ptr<Conversation> conversation_;
  ConversationRecord record_;
  std::vector<TailEntry> tail_;
  size_t lookups_ = 0;  // since it was read: it keeps what was asked for
  std::string log_conv_;
  uint64_t log_first_ = 0;
  uint64_t log_last_ = 0;

  std::vector<std::unique_ptr<FeedGroup>> groups_;
};

// The parts of a key with zeros between, as log_format.h makes them. REQUIRES: as many as are asked for; the last takes
// the rest.
std::vector<std::string_view> PartsOfKey(std::string_view key, size_t count);

}  // namespace everyonce
