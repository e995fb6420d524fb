// The changes of consumer groups: they come and go in all partitions, one after the other; positions rise and messages
// are given up in one act each, in their own partition.

#include <algorithm>
#include <utility>

#include "redis/redis_feed.h"
#include "redis/redis_group.h"

namespace everyonce {
namespace {

constexpr size_t kSeededAtOnce = 100;

Outcome NoSuch(std::string_view what) { return Refusal(Code::kBadRequest, "there is no such " + std::string(what)); }
Outcome Lost() { return Refusal(Code::kConflict, "the lease on this conversation has run out"); }

}  // namespace

void RedisFeed::Change(const FeedChange& change, int64_t now_ms, ChangeDone done) {
  if (closed_) return done(UnavailableOutcome({RedisCode::kClosed, "the log is closed"}), 0);
  if (!IsFeedName(change.group)) {
    return done(Refusal(Code::kBadRequest, "a consumer group's name is 1 to 48 of A-Z a-z 0-9 _ . -"), 0);
  }
  if (change.action == FeedAction::kOpen) return OpenGroup(change.group, change.from_now, now_ms, std::move(done));
  if (change.action == FeedAction::kDrop) {
    return Run("feed_groups", {FeedGroupsKey()}, {"drop", change.group},
               [this, name = change.group, done = std::move(done)](const RedisResult& result) {
                 if (!result.status.ok()) return done(UnavailableOutcome(result.status), result.link);
                 if (TextAt(result.reply, 0) == "NONE") return done(NoSuch("consumer group"), result.link);
                 DropGroup(name, [done, link = result.link](const RedisStatus& status) {
                   done(status.ok() ? Outcome() : UnavailableOutcome(status), link);
                 });
               });
  }
  Group* group = nullptr;
  if (!Find(change.group, &group).ok()) return done(NoSuch("consumer group"), 0);
  if (change.action == FeedAction::kMark || change.action == FeedAction::kForget) {
    return ChangeLetter(change, now_ms, std::move(done));
  }
  const auto held = leases_.find(change.lease);
  if (held == leases_.end() || held->second.group != change.group) return done(Lost(), 0);
  const Lease lease = held->second;
  change.action == FeedAction::kPark ? Park(change, lease, now_ms, std::move(done))
                                     : Ack(change, lease, now_ms, std::move(done));
}

void RedisFeed::Ack(const FeedChange& change, const Lease& held, int64_t now_ms, ChangeDone done) {
  const ConversationKeys keys(held.conv);
  const bool park = change.action == FeedAction::kPark;
  RunIn(keys.partition(), change.group, "feed_ack", {keys.Meta(), keys.Log()},
        {held.conv, std::to_string(change.lease), std::to_string(change.seq), change.release ? "1" : "0",
         park ? "1" : "0", std::to_string(change.attempts), ShortenedFeedError(change.error), std::to_string(now_ms)},
        [this, change, partition = keys.partition(), done = std::move(done)](const RedisResult& result) {
          const std::string& word = TextAt(result.reply, 0);
          if (!result.status.ok()) return done(UnavailableOutcome(result.status), result.link);
          if (word == "LOST" || change.release) leases_.erase(change.lease);
          if (word == "LOST") return done(Lost(), result.link);
          if (word == "NONE") return done(NoSuch("consumer group"), result.link);
          if (word == "GONE") return done(NoSuch("message"), result.link);
          Outcome outcome;
          outcome.got = NumberAt(result.reply, 1);
          if (TextAt(result.reply, 2) == "1") Stored({partition});
          done(std::move(outcome), result.link);
        });
}

// The list of letters first: a name too many there is harmless. The letter and the position that passes its message are
// one act then.
void RedisFeed::Park(const FeedChange& change, const Lease& held, int64_t now_ms, ChangeDone done) {
  const ConversationKeys keys(held.conv);
  Run("feed_read", {keys.Meta(), keys.Log()},
      {std::to_string(change.seq - 1), std::to_string(change.seq), "1", "1", "0"},
      [this, change, held, now_ms, partition = keys.partition(), done = std::move(done)](const RedisResult& result) {
        if (!result.status.ok()) return done(UnavailableOutcome(result.status), result.link);
        if (result.reply.elements.empty()) return done(NoSuch("message"), result.link);
        const std::string key = FeedLettersKey(change.group);
        const std::string name = FeedLetterName(NumberAt(result.reply.elements[0], 2), ':') + std::to_string(partition);
        host_.client->Command(SlotOfKey(key), {"ZCARD", key}, true,
                              [this, change, held, now_ms, key, name, done](const RedisResult& counted) {
                                if (!counted.status.ok()) return done(UnavailableOutcome(counted.status), counted.link);
                                if (counted.reply.integer >= static_cast<int64_t>(kMaxDeadLetters)) {
                                  Outcome full = UnavailableOutcome({});
                                  full.message = "the group has too many dead letters; replay or drop some";
                                  return done(std::move(full), counted.link);
                                }
                                host_.client->Command(SlotOfKey(key), {"ZADD", key, "0", name}, true,
                                                      [this, change, held, now_ms, done](const RedisResult& listed) {
                                                        if (!listed.status.ok())
                                                          return done(UnavailableOutcome(listed.status), listed.link);
                                                        Ack(change, held, now_ms, done);
                                                      });
                              });
      });
}

void RedisFeed::ChangeLetter(const FeedChange& change, int64_t now_ms, ChangeDone done) {
  const std::string key = FeedLettersKey(change.group);
  host_.client->Command(
      SlotOfKey(key),
      {"ZRANGEBYLEX", key, "[" + FeedLetterName(change.mid, ':'), "(" + FeedLetterName(change.mid, ';')}, true,
      [this, change, now_ms, key, done = std::move(done)](const RedisResult& listed) {
        if (!listed.status.ok()) return done(UnavailableOutcome(listed.status), listed.link);
        if (listed.reply.elements.empty()) return done(NoSuch("dead letter"), listed.link);
        const std::string name = listed.reply.elements[0].text;
        const auto partition =
            static_cast<uint32_t>(std::strtoul(name.substr(name.find(':') + 1).c_str(), nullptr, 10));
        const bool forget = change.action == FeedAction::kForget;
        RunIn(partition % kRedisPartitions, change.group, "feed_letter", {},
              {forget ? "forget" : "mark", std::to_string(change.mid), std::to_string(change.attempts),
               ShortenedFeedError(change.error), std::to_string(now_ms)},
              [this, forget, key, name, done](const RedisResult& result) {
                if (!result.status.ok()) return done(UnavailableOutcome(result.status), result.link);
                if (result.reply.integer != 1) return done(NoSuch("dead letter"), result.link);
                if (!forget) return done({}, result.link);
                host_.client->Command(SlotOfKey(key), {"ZREM", key, name}, true,
                                      [done, link = result.link](const RedisResult&) { done({}, link); });
              });
      });
}

// --- groups come and go ---

void RedisFeed::InAllPartitions(const std::function<void(uint32_t partition, Finished done)>& act, Finished done) {
  auto left = std::make_shared<uint32_t>(kRedisPartitions);
  auto failure = std::make_shared<RedisStatus>();
  for (uint32_t partition = 0; partition < kRedisPartitions; ++partition) {
    act(partition, [left, failure, done](RedisStatus status) {
      if (!status.ok()) *failure = std::move(status);
      if (--*left == 0) done(*failure);
    });
  }
}

// Known to all, then in every partition, then ready: a process that dies in between leaves it to the next one.
void RedisFeed::OpenGroup(const std::string& name, bool from_now, int64_t now_ms, ChangeDone done) {
  Run("feed_groups", {FeedGroupsKey()}, {"open", name, std::to_string(now_ms), std::to_string(kMaxFeedGroups)},
      [this, name, from_now, now_ms, done = std::move(done)](const RedisResult& result) {
        const std::string& state = TextAt(result.reply, 0);
        if (!result.status.ok()) return done(UnavailableOutcome(result.status), result.link);
        if (state == "FULL") {
          return done(Refusal(Code::kTooLarge, "there are as many consumer groups as a server takes; drop one"), 0);
        }
        if (state == "dropping") {
          return DropGroup(name, [this, name, from_now, now_ms, done](const RedisStatus& status) {
            if (!status.ok()) return done(UnavailableOutcome(status), 0);
            OpenGroup(name, from_now, now_ms, done);
          });
        }
        const auto opened = [this, name, now_ms, done, link = result.link](bool fresh) {
          ++changes_;
          Group& group = groups_[name];
          group.ready = true;
          if (group.created_at_ms == 0) group.created_at_ms = now_ms;
          Outcome outcome;
          outcome.first = fresh;
          done(std::move(outcome), link);
        };
        if (state == "ready") return opened(false);
        groups_[name].created_at_ms = now_ms;
        auto opening = std::make_shared<Opening>();
        opening->group = name;
        opening->from_now = from_now;
        InAllPartitions(
            [this, opening](uint32_t partition, Finished part_done) {
              opening->waiting[partition] = std::move(part_done);
              OpenIn(opening, partition);
            },
            [this, name, done, opened](const RedisStatus& status) {
              if (!status.ok()) return done(UnavailableOutcome(status), 0);
              Run("feed_groups", {FeedGroupsKey()}, {"ready", name}, [done, opened](const RedisResult& ready) {
                if (!ready.status.ok()) return done(UnavailableOutcome(ready.status), ready.link);
                opened(true);
              });
            });
      });
}

void RedisFeed::OpenIn(const std::shared_ptr<Opening>& opening, uint32_t partition) {
  RunIn(partition, opening->group, "feed_open", {PartitionKeys(partition).catalogue}, {opening->from_now ? "1" : "0"},
        [this, opening, partition](const RedisResult& result) {
          if (result.status.ok() && result.reply.text == "SEED") return SeedIn(opening, partition, "");
          opening->waiting[partition](result.status);
        });
}

// What the log has is put before the group, some conversations at a time.
void RedisFeed::SeedIn(const std::shared_ptr<Opening>& opening, uint32_t partition, const std::string& after) {
  const std::string catalogue = PartitionKeys(partition).catalogue;
  host_.client->Command(
      SlotOfKey(catalogue),
      {"ZRANGEBYLEX", catalogue, after.empty() ? "-" : "(" + after, "+", "LIMIT", "0", std::to_string(kSeededAtOnce)},
      true, [this, opening, partition](const RedisResult& listed) {
        if (!listed.status.ok()) return opening->waiting[partition](listed.status);
        std::vector<std::string> keys;
        const std::vector<RedisReply>& convs = listed.reply.elements;
        const bool last = convs.size() < kSeededAtOnce;
        std::vector<std::string> arguments = {last ? "1" : "0"};
        for (const RedisReply& conv : convs) {
          const ConversationKeys names(conv.text);
          keys.insert(keys.end(), {names.Meta(), names.Log()});
          arguments.push_back(conv.text);
        }
        RunIn(
            partition, opening->group, "feed_seed", keys, arguments,
            [this, opening, partition, last, next = convs.empty() ? "" : convs.back().text](const RedisResult& result) {
              if (last || !result.status.ok()) return opening->waiting[partition](result.status);
              SeedIn(opening, partition, next);
            });
      });
}

// Out of every partition first: what is known to nobody could be dropped by nobody.
void RedisFeed::DropGroup(const std::string& name, Finished done) {
  const auto known = groups_.find(name);
  if (known != groups_.end()) known->second.ready = false;
  std::erase_if(leases_, [&name](const auto& lease) { return lease.second.group == name; });
  InAllPartitions(
      [this, name](uint32_t partition, const Finished& part_done) {
        RunIn(partition, name, "feed_drop", {}, {},
              [part_done](const RedisResult& result) { part_done(result.status); });
      },
      [this, name, done = std::move(done)](const RedisStatus& status) {
        if (!status.ok()) return done(status);
        const std::string letters = FeedLettersKey(name);
        host_.client->Command(
            SlotOfKey(letters), {"UNLINK", letters}, true, [this, name, done](const RedisResult& gone) {
              if (!gone.status.ok()) return done(gone.status);
              Run("feed_groups", {FeedGroupsKey()}, {"gone", name}, [this, name, done](const RedisResult& result) {
                ++changes_;
                if (result.status.ok()) groups_.erase(name);
                done(result.status);
              });
            });
      });
}

}  // namespace everyonce
