#pragma once

#include <uv.h>

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "log/log.h"
#include "redis/redis_client.h"
#include "redis/redis_keys.h"

namespace everyonce {

// Consumer groups on Redis, for any number of processes (semantics h). While there is a group, what is appended is also
// told in the feed of its partition; each group takes that over into tables of its own (lua/shared/feed.lua). A
// conversation is leased to one reader at a time, whoever asks; the lease's number, above all that were given before,
// fences its acks. So order holds within a conversation, and members come and go without sharing anything out.
//
// Which partitions have news is a hint here: from this process's own commits, from a bell in Redis that is asked now
// and then, from leases that run out, and from a look at all partitions every so often.
class RedisFeed final : public Feed {
 public:
  struct Host {
    uv_loop_t* loop = nullptr;
    RedisClient* client = nullptr;
    uint32_t replicas = 0;  // that must have what is read, before it is given out
    uint32_t replica_timeout_ms = 0;
    std::function<void()> answered;  // after answers were given
  };

  explicit RedisFeed(Host host);
  ~RedisFeed() override { Close(); }
  // Learns which groups there are, and keeps looking.
  void Start(std::function<void(RedisStatus)> done);
  // Nothing is begun any more. What is under way is answered by the client's end.
  void Close();

  // A change of a group of commands. `link`: the connection that wrote, 0: none.
  using ChangeDone = std::function<void(Outcome outcome, uint64_t link)>;
  void Change(const FeedChange& change, int64_t now_ms, ChangeDone done);
  // This process has stored something in these partitions.
  void Stored(const std::vector<uint32_t>& partitions);
  void Lowest(std::string_view conv, Log::PositionDone done);

  // All groups that may hold the log, in whatever state.
  std::vector<std::string> Names() const;
  // There is a group `name` in a partition that is not known here: it is looked for, and if it is nowhere else (a
  // failover has lost that), it is made known again, so that it can be seen and dropped.
  void Meet(const std::string& name);
  // The groups take over the news of a partition.
  void TakeOver(uint32_t partition);

  void Take(const FeedQuery& query, TakeDone done) override;
  void Renew(std::string_view group, const std::vector<uint64_t>& leases, int64_t lease_ms, int64_t now_ms,
             RenewDone done) override;
  void Lag(std::string_view group, LagDone done) override;
  void Letters(std::string_view group, uint64_t after_mid, uint32_t limit, LettersDone done) override;
  std::vector<FeedGroupView> Groups() const override;
  void OnNews(Bell bell) override { bell_ = std::move(bell); }

 private:
  struct Group {
    bool ready = false;
    int64_t created_at_ms = 0;
    std::deque<uint32_t> queue;  // partitions that may have news
    std::array<bool, kRedisPartitions> queued{};
    std::array<uint64_t, kRedisPartitions> look_at_ms{};  // when a lease of others runs out there; 0: no need
    bool looked = false;                                  // at all partitions, since the group was met
    bool looking = false;
    uint64_t look_all_at_ms = 0;
    uint64_t taken_at_ms = 0;  // when somebody here last asked for news
    bool waiting = false;      // ring
    std::vector<std::function<void()>> when_looked;
  };
  struct Lease {
    std::string group;
    std::string conv;
  };
  struct Taking;
  using TakingPointer = std::shared_ptr<Taking>;
  using GroupMap = std::map<std::string, Group, std::less<>>;
  using Done = RedisConnection::Done;
  using Finished = std::function<void(RedisStatus)>;
  // A group that is being made known in partitions.
  struct Opening {
    std::string group;
    bool from_now = false;
    std::map<uint32_t, Finished> waiting;
  };

  // redis_feed.cc
  Status Find(std::string_view name, Group** group);
  void Run(const char* script, std::vector<std::string> keys, std::vector<std::string> arguments, Done done);
  void RunIn(uint32_t partition, const std::string& group, const char* script, std::vector<std::string> keys,
             std::vector<std::string> arguments, Done done);
  void Queue(Group* group, uint32_t partition);
  void Ring(const std::string& name, Group* group);
  void TakeNext(const TakingPointer& taking);
  void TakeFrom(const TakingPointer& taking, uint32_t partition);
  void Took(const TakingPointer& taking, uint32_t partition, const RedisResult& result);
  void ReadSlice(const TakingPointer& taking, const RedisReply& held, size_t max_bytes);
  void GiveBack(const std::string& group, const std::string& conv, uint64_t lease, uint64_t seq);
  void EndTaking(const TakingPointer& taking);
  void Answer(const TakingPointer& taking);
  void LettersFrom(const std::string& group, uint64_t after_mid, uint32_t limit, LettersDone done);

  // redis_feed_change.cc
  void Ack(const FeedChange& change, const Lease& held, int64_t now_ms, ChangeDone done);
  void Park(const FeedChange& change, const Lease& held, int64_t now_ms, ChangeDone done);
  void ChangeLetter(const FeedChange& change, int64_t now_ms, ChangeDone done);
  void OpenGroup(const std::string& name, bool from_now, int64_t now_ms, ChangeDone done);
  void DropGroup(const std::string& name, Finished done);
  void OpenIn(const std::shared_ptr<Opening>& opening, uint32_t partition);
  void SeedIn(const std::shared_ptr<Opening>& opening, uint32_t partition, const std::string& after);
  void InAllPartitions(const std::function<void(uint32_t partition, Finished done)>& act, Finished done);

  // redis_feed_watch.cc
  void OnTimer();
  void Refresh(Finished done);
  void AskBell();
  void RingFar(const std::vector<uint32_t>& partitions);
  void LookAtAll(const std::string& name);
  void LookedAt(const std::string& name, uint32_t partition, const RedisResult& result);
  void NotThere(const std::string& name, uint32_t partition);
  void OpenAgain(const std::string& name, uint32_t partition);

  Host host_;
  bool closed_ = false;
  uv_timer_t* timer_ = nullptr;
  GroupMap groups_;
  std::unordered_map<uint64_t, Lease> leases_;  // given out here
  std::set<std::pair<std::string, uint32_t>> mending_;
  std::string bell_time_ = "0";
  bool asking_bell_ = false;
  bool refreshing_ = false;
  uint64_t changes_ = 0;  // groups that were made or dropped here
  uint64_t refresh_at_ms_ = 0;
  Bell bell_;
};

}  // namespace everyonce
