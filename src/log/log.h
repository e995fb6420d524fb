#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/limits.h"
#include "core/message.h"
#include "core/message_token.h"
#include "core/packet.h"
#include "core/status.h"
#include "log/feed.h"
#include "log/relay.h"

namespace everyonce {

// The law of the log.
//
// 1. One door. Everything that changes what the log holds goes through Commit, as a group of commands decided in order.
//    For a message: deduplicate, number, store is one atomic act. The group is durable, whole, before its outcomes are
//    given, or every outcome that would have changed something is kUnavailable (unknown: the same again tells).
//    Marks (got, read) are the exception: they survive a killed process, but a group of them alone waits for no disk. A
//    power cut may lower a mark, which repeats a delivery or an unread count and loses nothing.
// 2. Dense. seq is 1, 2, 3 … per conversation within an epoch; n is 1, 2, 3 … per (user, device, conversation).
// 3. Replies agree. A duplicate gets the first acceptance's seq, epoch, mid and at, for ever for what has an n.
// 4. Reads see every committed group and nothing provisional.
// 5. Time is passed in (`now_ms`, Unix milliseconds); mid and `at` derive from it, and never go backwards.
//
// Every call answers by its callback: inline on the embedded store, later on Redis. A callback is called exactly once,
// on the calling thread's loop. Calls are answered in the order they were made.

enum class CommandKind : uint8_t { kSend, kSkip, kMembers, kGot, kRead, kDevice, kFeed };
enum class MembersAction : uint8_t { kCreate, kAdd, kRemove, kLeave };

// One message of a package.
struct CommandPart {
  std::string id;
  std::string type;
  std::string body;
};

// One act in a group. Only the members of its kind are set. Identifiers have passed their grammar.
struct Command {
  CommandKind kind = CommandKind::kSend;
  std::string conv;
  std::string user;
  std::string device;  // `server` for what the application itself publishes
  uint64_t pe = 0;     // the connection's incarnation; 0: not a device (publish)

  // kSend. n = 0: deduplicated by (conv, user, id) within the window instead.
  uint64_t n = 0;
  std::string id;
  std::string type;
  std::string body;
  // The verdict of what was checked before the commit (size, type, token, authorize): kOk, or the final nack to give
  // where the order of decisions reaches it: after duplicate, unknown_producer, gap and membership.
  Code refused = Code::kOk;
  std::string refused_message;
  // kSend: what its id, or the id of each of its parts, must be. Judged behind `refused`, but before kForbidden.
  TokenCheck token_check = TokenCheck::kNone;
  // kSend, packages: messages that land together, under one n. With `parts`, all of them (id, type and body above are
  // not looked at): stored in this order under consecutive seqs, or none. Where it is refused, they are the parts that
  // are known, and all of them, and what comes later of the package, get the same nack.
  // Without `parts`, this is one part on its way: decided as a send and never stored: kOk with seq 0 means that its n
  // is the next one, and it is to be held until the others are there.
  std::string package_id;
  std::vector<CommandPart> parts;

  // kSkip: n from..to are given up. kGot: from..to acked (cumulative: from = 0); `epoch` 0 = the current one.
  // kRead: `to` is the mark.
  uint64_t from = 0;
  uint64_t to = 0;
  uint64_t epoch = 0;

  // kDevice: what the client keeps (hello's `at`). Each that survives acks all up to it; for a device never seen before
  // it is the starting point in place of the user's read mark (ok: its seq; truncated: keep; reset: 0).
  std::vector<Position> positions;

  // kFeed. Outcome: `first`: the group is new; `got`: its position.
  std::shared_ptr<const FeedChange> feed;

  // kMembers. `user` is who asks. `authorised`: the authorize hook's word; unset: creator only (leave: anyone).
  MembersAction action = MembersAction::kCreate;
  std::vector<std::string> members;
  bool history_all = false;
  std::optional<bool> authorised;
};

using MemberList = std::vector<std::string>;  // sorted, without repeats

struct Outcome {
  Code code = Code::kOk;
  std::string message;               // a sentence, where code is not kOk
  std::optional<uint64_t> expected;  // kGap
  int64_t retry_ms = -1;             // -1: final
  // kUnavailable of a write that was tried: it may be stored all the same, and nobody was told of it. What was refused
  // before that surely is not.
  bool unknown = false;

  // kSend accepted, and the system message of kMembers (seq 0: nothing was stored, the call was a repeat).
  bool duplicate = false;
  uint64_t seq = 0;
  uint64_t epoch = 0;
  uint64_t mid = 0;
  int64_t at_ms = 0;
  std::vector<uint64_t> mids;  // of a package's parts; `seq` is the first's, the others follow
  // Newly stored: who sees it (members as of this seq, a removed member's last one included), shared and immutable.
  std::shared_ptr<const MemberList> audience;
  // kMembers: the stored system message, and who came and went by it.
  std::string body;
  std::vector<std::string> added;
  std::vector<std::string> removed;

  // kGot: all up to `got` is now acked by this device. kRead: the user's mark, and whether it rose.
  // kGot: no ack above `acked_to` was heard (0: none was): it lies above head, or above an older epoch's `keep`.
  uint64_t got = 0;
  uint64_t acked_to = 0;
  uint64_t read = 0;
  bool rose = false;

  // kDevice: the known incarnation (code kStaleDevice where pe is lower); first = never seen before. Where there is a
  // relay, `at_ms` is later than that of any hello of this device before.
  uint64_t pe = 0;
  bool first = false;
};

struct PullQuery {
  std::string user;
  std::string device;
  std::string conv;        // empty: one conversation after the other, in byte order
  std::string after_conv;  // with empty conv: begin behind it, and come round once; not with `go_on`
  uint32_t limit = 0;      // items, ≥ 1
  size_t max_bytes = kMaxPageBytes;
  size_t max_spans = 16;  // conversations in one page, so that `next` stays below its bound
  bool newest_first = false;
  bool hold = false;  // nothing will be acked by pulling on: a full set of acked ranges changes nothing
  // What retention has removed is to be filled in from an archive, whose messages take up to so many bytes each: a hole
  // of it is visible to the user, was not acked, and is no longer than the page has room for. 0: one hole for all of
  // it.
  size_t archived_bytes = 0;
  // Where a walk goes on, whatever was acked: behind this seq (newest first: below it; 0: from its newest), then with
  // the conversations behind it, not round. Clipped to what survived of its epoch; unknown to the log: as if left out.
  std::optional<Position> go_on = {};
};

struct Page {
  std::vector<PageItem> items;
  std::vector<Span> covers;  // see protocol.md; one per conversation touched
  // Where the walk goes on (PullQuery::go_on), where the page has items.
  Position position;
  // Conversations whose newest message the page brought or that have nothing left, with the head that was covered.
  std::vector<ConversationView> finished;
};

// Reading back. With `after`: the oldest above it (below `before`, where both are given); else the newest below
// `before`, or of all.
struct HistoryQuery {
  std::string user;  // empty: everything, for the application itself
  std::string conv;
  std::optional<uint64_t> before;
  std::optional<uint64_t> after;
  uint32_t limit = 0;  // items, ≥ 1
  size_t max_bytes = kMaxPageBytes;
  size_t archived_bytes = 0;  // as PullQuery's
};

struct HistoryPage {
  std::vector<PageItem> items;  // ascending by seq
  bool more = false;            // there is more in the direction that was read
};

struct LogCounters {
  uint64_t groups = 0;      // committed
  uint64_t messages = 0;    // stored
  uint64_t duplicates = 0;  // answered from what is stored
  uint64_t syncs = 0;       // writes that waited for the disk
  uint64_t failures = 0;    // groups whose write failed
  uint64_t cached_conversations = 0;
  // Retention.
  uint64_t removed_messages = 0;
  uint64_t removed_bytes = 0;       // of their records
  uint64_t retention_runs = 0;      // rounds over all conversations that came to their end
  uint64_t retention_failures = 0;  // conversations that could not be looked at
  uint64_t refusals = 0;            // times that Redis did not let us in, or showed a certificate that is not good
  int64_t retention_at_ms = 0;      // when the last round ended; 0: none has
};

class Log {
 public:
  virtual ~Log() = default;

  // Decides and stores a group, in order. `outcomes` has one entry per command, in order.
  // REQUIRES: `group` lives and is unchanged until `done` is called (the caller answers from it without a copy).
  using CommitDone = std::function<void(std::vector<Outcome> outcomes)>;
  virtual void Commit(const std::vector<Command>& group, int64_t now_ms, CommitDone done) = 0;

  // A user's conversations as this device has them, in byte order of conv behind `after_conv`, at most `limit`.
  // `more`: there are further ones. `device` may be empty: got is 0.
  using ViewsDone = std::function<void(Status status, std::vector<ConversationView> views, bool more)>;
  virtual void Views(std::string_view user, std::string_view device, std::string_view after_conv, size_t limit,
                     ViewsDone done) = 0;

  // One conversation. kUnknownConv where it does not exist or was never the user's (a direct one of the user's always
  // does: epoch 0, head 0 before its first message).
  using ViewDone = std::function<void(Status status, ConversationView view)>;
  virtual void View(std::string_view user, std::string_view device, std::string_view conv, ViewDone done) = 0;

  // What became of the positions that a client brings. Same order. Changes nothing (the engine acks what survived).
  using ResumeDone = std::function<void(Status status, std::vector<ResumeView> views)>;
  virtual void ResumeAt(std::string_view user, std::string_view device, const std::vector<Position>& positions,
                        ResumeDone done) = 0;

  // A page of what the device has not acked, oldest first. A pure function of what is acked and the query.
  using PageDone = std::function<void(Status status, Page page)>;
  virtual void Pull(const PullQuery& query, PageDone done) = 0;

  // What a user may see of a conversation, whatever was acked. kUnknownConv as View.
  using HistoryDone = std::function<void(Status status, HistoryPage page)>;
  virtual void History(const HistoryQuery& query, HistoryDone done) = 0;

  // What is known of messages that `device` of `user` sent under these ids.
  using StatusDone = std::function<void(StatusAnswer answer)>;
  virtual void StatusOf(std::string_view conv, std::string_view user, std::string_view device,
                        const std::vector<std::string>& ids, StatusDone done) = 0;

  // Current members, for signals and receipts: null where the conversation is unknown.
  using MembersDone = std::function<void(Status status, std::shared_ptr<const MemberList> members)>;
  virtual void MembersOf(std::string_view conv, MembersDone done) = 0;

  // `count` tokens for messages of `user` (core/message_token.h), good from `now_ms` for the configured time. Nothing
  // is stored for them. kUnsupported where this log was opened without tokens.
  using TokensDone = std::function<void(Status status, std::vector<std::string> tokens)>;
  virtual void IssueTokens(std::string_view user, size_t count, int64_t now_ms, TokensDone done) {
    (void)user, (void)count, (void)now_ms;
    done(Status::Error(Code::kUnsupported, "this store has no message tokens"), {});
  }

  // A bounded slice of what has to be done now and then (forgetting what is out of its window), for idle moments. True:
  // there is more to do soon.
  virtual bool Tend(int64_t now_ms) { return now_ms < 0; }

  // A bounded slice of what retention has to do (removing messages that are too old, too many, or acked by all), for
  // every time that it asks for, also when there is no idle moment. Returns after how many ms to call it again; -1:
  // never, since nothing is ever removed.
  virtual int64_t Retain(int64_t now_ms) { return now_ms < 0 ? 0 : -1; }

  // What consumer groups read by. Null: this log has none.
  virtual Feed* feed() { return nullptr; }

  // How other processes on the same log hear of what this one stores. Null: there are none.
  virtual Relay* relay() { return nullptr; }

  // What must stay in the log of a conversation for the sake of consumer groups: all above the answer. kMaxInteger:
  // there is no group.
  using PositionDone = std::function<void(Status status, uint64_t seq)>;
  virtual void LowestGroupPosition(std::string_view conv, PositionDone done) {
    (void)conv;
    done(Status::Ok(), kMaxInteger);
  }

  // For a log that answers later: `answered` is called on the loop after answers were given that were not inline, so
  // that what they gave rise to is taken on.
  virtual void OnAnswered(std::function<void()> answered) { (void)answered; }
  // What goes on for a while and somebody has to mend, in words, now and then; `code` as in lib/protocol/codes.js.
  using Trouble = std::function<void(std::string_view code, std::string_view message)>;
  virtual void OnTrouble(Trouble told) { (void)told; }
  // Answers everything unanswered, inline (kUnavailable). Nothing may be asked afterwards.
  virtual void Close() {}

  virtual Safe safe() const = 0;

  virtual LogCounters counters() const { return {}; }
};

}  // namespace everyonce
