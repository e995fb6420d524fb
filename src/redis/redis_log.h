#pragma once

#include <uv.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/snowflake.h"
#include "log/log.h"
#include "redis/redis_client.h"
#include "redis/redis_feed.h"
#include "redis/redis_relay.h"
#include "redis/redis_retention.h"

namespace everyonce {

struct ScriptCall;

// What is known of a device.
struct SeenDevice {
  uint64_t pe = 0;
  int64_t first_hello_ms = 0;
  int64_t last_seen_ms = 0;
};

struct RedisLogOptions {
  int64_t window_ms = int64_t{24} * 3600 * 1000;  // how long sends without n are told apart
  std::function<uint64_t()> random;               // for epochs, and where to look for a free worker; unset: 0
  std::string owner = "everyonce";                // of the lease of a worker number: unique per process, no spaces
  uint32_t lease_ms = 30000;
  // An outcome waits until so many replicas have it (WAIT on the connection that wrote), or is kUnavailable.
  uint32_t replicas = 0;
  uint32_t replica_timeout_ms = 1000;
  RedisRetentionOptions retention;
  // Tokens for messages. `token_key`: at least kMinTokenKeyBytes; empty: one that is made and kept in Redis.
  bool tokens = false;
  std::string token_key;
  int64_t token_ttl_ms = 0;
  size_t cache_conversations = 100000;  // member lists, and direct conversations known to be on their users' lists
};

// The Log on Redis. Everything is decided inside Redis by the scripts of lua/, so any number of processes may share it;
// what is cached here is only what can't become untrue, or is checked by its version. A group is cut by partition: each
// part is one or a few script calls in order, the parts run side by side. Answers come on the loop, in the order of the
// calls, and may come before a call has returned where it is refused at once.
//
// A group is not one atomic act over several conversations, as it is on the embedded store: each command is one.
class RedisLog final : public Log {
 public:
  RedisLog(uv_loop_t* loop, RedisClientOptions client, RedisLogOptions options);
  ~RedisLog() override;

  // Connects, learns what the server keeps, and leases a worker number. Before ok, all is kUnavailable; it is tried
  // again by what is asked of the log.
  using OpenDone = std::function<void(RedisStatus status, const ServerInfo& info)>;
  void Open(OpenDone done);
  // Everything unanswered is answered (kUnavailable). Then the loop has to turn until it has nothing to do. The worker
  // number is free when its lease runs out.
  void Close() override;
  void OnAnswered(std::function<void()> answered) override { answered_ = std::move(answered); }
  void OnTrouble(Trouble told) override { trouble_ = std::move(told); }

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
  Feed* feed() override { return feed_.get(); }
  void LowestGroupPosition(std::string_view conv, PositionDone done) override { feed_->Lowest(conv, std::move(done)); }
  int64_t Retain(int64_t now_ms) override;
  // No slice of retention is under way.
  bool retention_idle() const { return retention_->idle(); }
  Safe safe() const override { return safe_; }
  Relay* relay() override { return &relay_; }
  LogCounters counters() const override;

  RedisClient& client() { return client_; }

 private:
  using Answer = std::function<void()>;
  struct Ticket {
    bool ready = false;
    Answer answer;
  };
  using TicketPointer = std::shared_ptr<Ticket>;
  struct Members {
    std::string version;
    std::shared_ptr<const MemberList> list;
  };
  using MembersByConversation = std::map<std::string, Members, std::less<>>;
  struct Group;
  struct Lane;   // the script calls of one partition in a wave
  struct Hello;  // one kDevice command
  struct Walk;   // a pull over several conversations
  using GroupPointer = std::shared_ptr<Group>;
  using Done = RedisConnection::Done;
  using Joined = std::function<void(RedisStatus)>;

  // One conversation as a user and a device have it, as far as it is theirs.
  struct Seen {
    bool found = false;
    ConversationView view;
    Resume resume = Resume::kReset;
    uint64_t keep = 0;
  };
  using ViewManyDone = std::function<void(Status status, std::vector<Seen> seen)>;

  void Refused(const RedisStatus& status);

  // Answers in the order of the calls.
  TicketPointer TakeTicket();
  void Settle(const TicketPointer& ticket, Answer answer);
  void GiveAnswers();
  // Reads begin when the groups that were given before them are answered, so that they see what was told.
  void AfterCommits(std::function<void()> read);

  void Run(const char* script, const std::vector<std::string>& keys, const std::vector<std::string>& arguments,
           Done done);
  void NeedWhole(std::function<void(RedisStatus)> done);
  void TakeLease(std::function<void(RedisStatus)> done);
  void RenewLease();
  void RenewLeaseIn(uint32_t wait_ms);
  bool HasLease() const;

  RedisRelayLog ForRelay();

  // Commit.
  void StartWave(const GroupPointer& group);
  void LoadDevices(const GroupPointer& group, size_t end);
  void IndexDirect(const GroupPointer& group, size_t end);
  void Index(const GroupPointer& group, const std::string& conv, uint64_t epoch);
  void NoteIndexed(const GroupPointer& group, const std::string& conv, const Outcome& outcome);
  void RunWave(const GroupPointer& group, size_t end);
  void AddToLane(const GroupPointer& group, size_t index, Lane* lane);
  void AddSend(const GroupPointer& group, size_t index, const ConversationKeys& keys, ScriptCall* call);
  uint64_t KnownPe(const Command& command) const;
  void RunLane(const GroupPointer& group, Lane* lane);
  void TookLane(const GroupPointer& group, Lane* lane, RedisResult result);
  void IndexGroup(const GroupPointer& group, Lane* lane);
  std::shared_ptr<const MemberList> UsersOf(const std::string& conv) const;
  RedisArguments TakeSpare();
  void GiveSpare(RedisArguments spare);
  void RunHello(const GroupPointer& group, size_t index);
  void RunFeed(const GroupPointer& group, size_t index);
  void OpenTokens(std::function<void(RedisStatus)> done);
  void TakeTokens(const GroupPointer& group, size_t end);
  void TakeToken(const GroupPointer& group, size_t index, const std::string& id);
  void SettleTokens(const GroupPointer& group);
  Outcome RefusalFor(const GroupPointer& group, size_t index) const;
  void HelloBegins(const std::shared_ptr<Hello>& hello, std::string after);
  void HelloMarks(const std::shared_ptr<Hello>& hello);
  void HelloDone(const std::shared_ptr<Hello>& hello, Outcome outcome);
  void WavePartDone(const GroupPointer& group);
  void FinishGroup(const GroupPointer& group);
  void NoteRaised(const GroupPointer& group, const Command& command, const Outcome& outcome);
  size_t EndOfWave(const std::vector<Command>& commands, size_t first) const;

  // Reads.
  void RunRead(const char* script, std::vector<std::string> keys, std::vector<std::string> arguments, Done done);
  void ViewMany(const std::string& user, const std::string& device, const std::vector<Position>& positions,
                ViewManyDone done);
  void ListIndex(const std::string& user, const std::string& after, size_t limit,
                 std::function<void(Status, std::vector<std::string>)> done);
  // Waits until the conversation is replicated as far as was just read of it; at once where it is.
  void WhenStable(const std::string& conv, bool stable, Joined done);
  void ViewsFrom(const std::shared_ptr<std::vector<ConversationView>>& views, const std::string& user,
                 const std::string& device, const std::string& after, size_t limit, ViewsDone done);
  void WalkOn(const std::shared_ptr<Walk>& walk);
  void PageOf(const std::shared_ptr<Walk>& walk, const std::string& conv, bool always);
  void WalkDone(const std::shared_ptr<Walk>& walk, Status status);

  uv_loop_t* loop_;
  RedisLogOptions options_;
  RedisClient client_;
  RedisRelay relay_;
  bool closed_ = false;
  Safe safe_ = Safe::kMemory;
  Snowflake mids_{0};
  int worker_ = -1;
  uint64_t lease_until_ms_ = 0;  // by the loop's own clock
  bool leasing_ = false;
  uv_timer_t* lease_timer_ = nullptr;
  int64_t now_ms_ = 0;
  std::deque<TicketPointer> tickets_;
  bool giving_ = false;
  size_t commits_ = 0;                        // under way
  std::vector<std::function<void()>> reads_;  // that wait for them
  std::function<void()> answered_;
  Trouble trouble_;
  uint64_t trouble_again_ms_ = 0;  // steady
  MembersByConversation members_;
  // Direct conversations that are on their users' lists, as far as is known: forgotten where Redis may have lost it.
  struct Indexed {
    std::shared_ptr<const MemberList> users;
    uint64_t epoch = 0;  // of the history that they were written for; 0: the one that is told next
  };
  std::unordered_map<std::string, Indexed> indexed_;
  std::map<std::string, SeenDevice, std::less<>> devices_;  // user/device → as far as was heard of
  std::vector<RedisArguments> spares_;
  LogCounters counters_;
  std::unique_ptr<RedisFeed> feed_;
  std::optional<TokenSigner> signer_;
  uint32_t tokens_issued_ = 0;
  std::unique_ptr<RedisRetention> retention_;
};

}  // namespace everyonce
