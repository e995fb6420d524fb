#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "log/conversation.h"
#include "log/feed.h"
#include "log/kv.h"
#include "log/log.h"

namespace everyonce {

class LogContext;

// A group as stored. Its positions and letters are kept under `mid`, so that a group that is dropped and made again
// under the same name never meets what the old one left.
struct FeedRecord {
  uint64_t mid = 0;  // made when the group was; with from_now, messages above it are the group's
  bool from_now = false;
  int64_t created_at_ms = 0;

  std::string Encode() const;
  [[nodiscard]] static bool Decode(std::string_view value, FeedRecord* record);
};

// The feed of the embedded log. No key per message: a position per (group, conversation), and in memory the
// conversations that have news: found by a scan of all when the log is opened, in slices, and by each commit
// afterwards. Where more have news than memory is to hold, the scan is made again when those are done with.
class FeedTable final : public Feed {
 public:
  explicit FeedTable(LogContext* context) : context_(*context) {}

  // Reads which groups there are. Also after the store has recovered: leases stay, all else is found out again.
  Status Open();

  // The store has failed: kUnavailable until Open.
  void Suspend() { suspended_ = true; }

  // Decides a change of the group that is being committed.
  Outcome Decide(const Command& command);
  // A group of commands is durable, and `conversation` has got `appended` messages by it.
  void Committed(const Conversation& conversation, size_t appended);
  // Removes a slice of what dropped groups left. True: there is more.
  bool Sweep(size_t max_keys);
  // What retention must not pass: the least position that any group has. kMaxInteger: there is no group.
  Status LowestPosition(std::string_view conv, uint64_t* seq);

  void Take(const FeedQuery& query, TakeDone done) override;
  void Renew(std::string_view group, const std::vector<uint64_t>& leases, int64_t lease_ms, int64_t now_ms,
             RenewDone done) override;
  void Lag(std::string_view group, LagDone done) override;
  void Letters(std::string_view group, uint64_t after_mid, uint32_t limit, LettersDone done) override;
  std::vector<FeedGroupView> Groups() const override;
  void OnNews(Bell bell) override { bell_ = std::move(bell); }

  bool empty() const { return groups_.empty(); }

 private:
  // A conversation that has news, or is leased.
  struct Entry {
    bool located = false;  // position is known
    bool queued = false;
    uint64_t position = 0;
    int64_t oldest_at_ms = 0;  // of the message behind it
    uint64_t lease = 0;        // 0: nobody's
    int64_t leased_until_ms = 0;
  };
  struct Group {
    FeedRecord record;
    std::unordered_map<std::string, Entry> entries;
    std::deque<std::string> queue;
    std::unordered_map<uint64_t, std::string> leases;
    int64_t first_expiry_ms = INT64_MAX;  // no lease ends before it
    std::string scanned_to;               // conversations up to this one have been looked at in this scan …
    bool scanned = false;                 // … or all
    bool counting = true;                 // the scan counts the lag
    bool overflow = false;                // some that have news are not in `entries`
    bool waiting = false;                 // ring
    uint64_t lag = 0;
    uint64_t dead_letters = 0;
  };
  // Where a group stands in a conversation: what is stored, or what `from_now` makes of it.
  struct Place {
    uint64_t position = 0;  // the record behind it is there, where any is
    uint64_t head = 0;      // ≥ position: there is no record above it
    int64_t oldest_at_ms = 0;
  };

  // read_feed.cc
  Status Find(std::string_view name, Group** group);
  Status Locate(const Group& group, std::string_view conv, const EpochTable& epochs, Place* place);
  Status StoredPosition(const Group& group, std::string_view conv, const EpochTable& epochs, uint64_t head,
                        uint64_t* position, bool* found);
  Status FirstAboveMid(std::string_view conv, uint64_t mid, uint64_t first, uint64_t head, uint64_t* seq);
  Status ScanSome(Group* group);
  void Expire(Group* group, int64_t now_ms);
  Status TakeNext(Group* group, const FeedQuery& query, size_t* bytes_left, FeedPage* page, bool* looked);
  Status TakeOne(Group* group, const std::string& conv, const FeedQuery& query, size_t* bytes_left, FeedPage* page);
  bool Counts(const Group& group, std::string_view conv) const {
    return !group.counting || group.scanned || conv <= group.scanned_to;
  }
  void Queue(Group* group, const std::string& conv, Entry* entry);
  void Ring(const std::string& name, Group* group);

  // commit_feed.cc
  Outcome OpenGroup(const FeedChange& change);
  Outcome Ack(const std::string& name, Group* group, const FeedChange& change);
  Outcome Park(const std::string& name, Group* group, const FeedChange& change);
  Outcome ChangeLetter(Group* group, const FeedChange& change);
  Outcome Drop(const std::string& name, Group* group);
  Status Leased(Group* group, uint64_t lease, Entry** entry, Conversation** conversation);
  void Pass(Group* group, Conversation* conversation, Entry* entry, uint64_t seq);
  Status Release(const std::string& name, Group* group, Conversation* conversation, Entry* entry);

  LogContext& context_;
  std::map<std::string, Group, std::less<>> groups_;
  uint64_t last_lease_ = 0;
  bool suspended_ = false;
  Bell bell_;
};

// A dead letter as stored: what is told of it, and the message's log record.
std::string EncodeDeadLetter(const DeadLetter& letter);
[[nodiscard]] bool DecodeDeadLetter(std::string_view value, DeadLetter* letter);

}  // namespace everyonce
