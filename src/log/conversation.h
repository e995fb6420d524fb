#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/producer_table.h"
#include "log/log.h"
#include "log/log_format.h"
#include "log/staged_store.h"

namespace everyonce {

// What a device has acked, and how far that reaches. Its own messages and what it may not see count as acked without
// being in `acked`, so that a talkative device spends no range on itself.
struct DeviceMark {
  AckedRanges acked;
  uint64_t effective = 0;   // all up to it is settled; only ever behind the truth
  uint64_t blocked_at = 0;  // a seq that is known to need this device's ack; 0: none known
};

// One conversation in memory: what the log's newest snapshot and its tail say, and on demand what a user or a device
// has in it. Cached; may be dropped at any time between groups, since everything in it is in the store. Changes are
// staged into a StagedStore as they are made, and are provisional until that is written: if it fails, the owner drops
// every Conversation. Not thread-safe.
class Conversation {
 public:
  // How many messages may come after a snapshot before the next one: what the first touch has to read.
  static constexpr uint64_t kSnapshotEvery = 128;

  // Reads a conversation. Leaves *out null where it is a group that does not exist; a direct one always does, before
  // its first message without an epoch. Errors: those of Kv, and kStoreCorrupt where the log has a hole.
  static Status Load(StagedStore* store, std::string_view conv, std::unique_ptr<Conversation>* out);
  // One that is not in the store.
  static std::unique_ptr<Conversation> New(StagedStore* store, std::string_view conv);

  const std::string& conv() const { return conv_; }
  bool direct() const { return direct_; }
  bool exists() const { return record_.epochs.current() != 0; }
  const std::string& creator() const { return record_.creator; }
  bool history_all() const { return record_.history_all; }
  uint64_t generation() const { return record_.generation; }
  const EpochTable& epochs() const { return record_.epochs; }
  uint64_t epoch() const { return record_.epochs.current(); }
  uint64_t head() const { return head_; }
  // Retention has removed all up to it; 0: nothing.
  uint64_t floor() const { return record_.floor; }
  uint64_t system_count() const { return system_count_; }
  bool changed() const { return changed_; }  // by the group that is being decided

  // Membership. All current members in byte order; never null.
  const std::shared_ptr<const MemberList>& members() const { return members_; }
  bool IsMember(std::string_view user) const;
  // What the user may see; null: never was a member.
  const VisibleSpans* SpansOf(std::string_view user) const;
  uint64_t VisibleHead(const VisibleSpans& spans) const;

  // State that is read on demand. Each may fail as the Kv may. Pointers stay valid until this is destroyed.
  Status FindProducer(std::string_view user, std::string_view device, Producer** producer);  // null: none
  Producer* MakeProducer(std::string_view user, std::string_view device);
  Status FindReadMark(std::string_view user, ReadRecord** mark);
  Status FindDeviceMark(std::string_view user, std::string_view device, DeviceMark** mark);
  // How many messages the user has sent, up to and including `seq`.
  Status OwnCountAt(std::string_view user, uint64_t seq, uint64_t* count);
  // How many system.* messages there are up to and including `seq`.
  Status SystemCountAt(uint64_t seq, uint64_t* count);
  // Visible messages of others past the user's read mark, without system.*.
  Status Unread(std::string_view user, uint64_t* unread);

  // What is left of the message that this device sent under n: of its record, or kept of it where that was removed.
  // `found` false: nothing.
  Status ReadAnswer(std::string_view user, std::string_view device, uint64_t n, uint64_t seq, KeptAnswer* answer,
                    bool* found);

  // A record by seq, also of the group that is being decided. `storage` holds what `record` views. `found` false: it is
  // not in the log.
  Status ReadLog(uint64_t seq, std::string* storage, LogRecord* record, bool* found);
  // Visits the stored records of from..to, ascending, until `visit` returns false. REQUIRES: no group is being decided.
  Status ScanLog(uint64_t from, uint64_t to, const std::function<bool(uint64_t seq, std::string_view value)>& visit);
  // The last of the seqs from `seq` on (at most to `limit`) that are one after the other this device's own messages;
  // seq − 1: `seq` is not. Looks at a number of records that grows with the logarithm of the run only.
  Status EndOfOwnRun(std::string_view user, std::string_view device, uint64_t seq, uint64_t limit, uint64_t* end);
  // Brings mark->effective up to date and gives it, at most VisibleHead. What was removed counts only where it was
  // settled before: a device that lacks it is told of the hole first.
  Status SettledUpTo(std::string_view user, std::string_view device, uint64_t* settled);
  // The same without keeping what was read for it: for looking at many devices once.
  Status PeekSettled(std::string_view user, std::string_view device, uint64_t* settled);
  // Acks from..to (from 0: from the beginning), clipped to what is visible. `fits` false: it would need too many
  // ranges, and nothing changed. Stages the mark where it changed.
  Status Ack(std::string_view user, std::string_view device, uint64_t from, uint64_t to, bool* fits);

  // Changes.
  // Begins the first epoch of a direct conversation or of a new group, or a later one with the next message.
  void BeginEpoch(uint64_t epoch, uint64_t generation, int64_t now_ms);
  void Create(std::string_view creator, bool history_all) {
    record_.creator = creator;
    record_.history_all = history_all;
  }
  // Appends under the next seq; `message` gets seq, epoch and at_ms (never below the last one's). `more`: the next part
  // of the same package follows. After the first of a sender in a group it can't fail. REQUIRES: exists().
  Status Append(Message* message, int64_t now_ms, bool more = false);
  // The membership that the system message at head() brings: `added` and `removed` are disjoint.
  void ChangeMembers(const std::vector<std::string>& added, const std::vector<std::string>& removed);
  // A change that the log's tail does not tell: a final nack or a skip.
  void MarkProducerAlone(std::string_view user, std::string_view device);
  void StageBlock(std::string_view user, std::string_view device, const Producer& producer);
  void StageReadMark(std::string_view user, const ReadRecord& mark);
  // Retention: everybody who may see it, or might have; the records up to `floor` go with this group. `system_count`:
  // of system.* messages up to it. REQUIRES: floor() < floor ≤ head().
  std::vector<std::string> UsersEver() const;
  void RaiseFloor(uint64_t floor, uint64_t system_count);
  // Acks what is settled up to `to` only because the log shows it to be the device's own: before that is removed.
  Status KeepSettled(std::string_view user, std::string_view device, uint64_t to);
  // True the first time in a group: the owner keeps a list of those to close the group with.
  bool Enlist() { return !std::exchange(enlisted_, true); }
  // The end of a group: stages the snapshots that are due.
  void StageSnapshots();
  // How many messages the group has stored.
  size_t appended() const { return pending_.size(); }
  // The group is durable.
  void Settle();

 private:
  struct ProducerState {
    std::string user;
    std::string device;
    Producer producer;
    uint64_t as_of_seq = 0;  // of the snapshot that it was loaded from: what the tail has up to it is in it already
    bool changed = false;    // since its last snapshot
    bool alone = false;      // in a way that the tail does not tell
  };
  struct OwnState {
    OwnRecord record;
    uint64_t floor = 0;        // of which floor_count is
    uint64_t floor_count = 0;  // the user's own messages up to there
    uint64_t as_of_seq = 0;
    bool changed = false;
  };
  using Pair = std::pair<std::string, std::string>;  // user, device

  Conversation(StagedStore* store, std::string_view conv);
  Status LoadMembers();
  Status LoadTail();
  Status ApplyTail(uint64_t seq, const LogRecord& record);
  Status LoadProducer(std::string_view user, std::string_view device, ProducerState** state, uint64_t* as_of_seq);
  Status LoadOwn(std::string_view user, OwnState** state, uint64_t* as_of_seq);
  Status FindOwn(std::string_view user, OwnState** state);
  void NoteLast(uint64_t seq, const LogRecord& record);
  // Counts the message at `seq`; `stage`: writes the block that it fills.
  void CountOwn(std::string_view user, uint64_t seq, OwnState* own, bool stage);
  void NoteChanged(ProducerState* state);
  void RebuildMemberList();
  bool BelongsTo(const LogRecord& record, std::string_view user, std::string_view device) const {
    return record.from == user && record.device == device;
  }
  // Whether every seq of from..to is this device's own or not visible to the user.
  Status AllSettled(std::string_view user, std::string_view device, const VisibleSpans& spans, uint64_t from,
                    uint64_t to, bool* settled);
  Status Corrupt(const char* what, uint64_t seq) const;

  StagedStore* store_;
  std::string conv_;
  bool direct_;
  VisibleSpans all_;  // what both users of a direct conversation see
  ConversationRecord record_;
  uint64_t head_ = 0;
  uint64_t system_count_ = 0;
  int64_t last_at_ms_ = 0;
  std::string last_from_;
  std::string last_device_;
  uint64_t run_ = 0;

  std::map<std::string, VisibleSpans, std::less<>> spans_;  // groups
  std::shared_ptr<const MemberList> members_;

  std::map<Pair, ProducerState> producers_;
  std::map<std::string, OwnState, std::less<>> own_;
  std::map<std::string, ReadRecord, std::less<>> reads_;
  std::map<Pair, DeviceMark> marks_;

  // Since the last snapshot.
  std::vector<ProducerState*> changed_producers_;
  std::vector<std::pair<std::string, OwnState*>> changed_own_;

  // The group that is being decided.
  bool enlisted_ = false;
  bool changed_ = false;
  bool record_changed_ = false;
  uint64_t pending_from_ = 0;    // seq of pending_[0]
  std::vector<size_t> pending_;  // where the store staged each record
};

// Visibility over spans. Pure.
bool IsVisible(const VisibleSpans& spans, uint64_t seq);
// The lowest visible seq ≥ `seq`; kMaxInteger + 1 where there is none.
uint64_t NextVisible(const VisibleSpans& spans, uint64_t seq);
// The highest visible seq ≤ `seq`; 0 where there is none.
uint64_t PreviousVisible(const VisibleSpans& spans, uint64_t seq);

}  // namespace everyonce
