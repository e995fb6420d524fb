// What is told of consumer groups and their leases: held on, how far behind, what was given up, what must stay.

#include <algorithm>
#include <utility>

#include "redis/redis_feed.h"
#include "redis/redis_group.h"

namespace everyonce {
namespace {

constexpr size_t kLetterDigits = 20;

Status StatusOfRedis(const RedisStatus& status) {
  return status.ok() ? Status::Ok() : Status::Error(Code::kUnavailable, status.message);
}

DeadLetter LetterFrom(const RedisReply& reply) {
  DeadLetter letter;
  letter.attempts = NumberAt(reply, 1);
  letter.at_ms = static_cast<int64_t>(NumberAt(reply, 2));
  letter.error = TextAt(reply, 3);
  letter.message = {.conv = TextAt(reply, 4),
                    .epoch = NumberAt(reply, 6),
                    .seq = NumberAt(reply, 5),
                    .mid = NumberAt(reply, 0),
                    .from = TextAt(reply, 7),
                    .device = TextAt(reply, 8),
                    .n = NumberAt(reply, 9),
                    .id = TextAt(reply, 10),
                    .type = TextAt(reply, 11),
                    .body = TextAt(reply, 12),
                    .at_ms = static_cast<int64_t>(NumberAt(reply, 13))};
  return letter;
}

}  // namespace

void RedisFeed::Renew(std::string_view name, const std::vector<uint64_t>& leases, int64_t lease_ms, int64_t,
                      RenewDone done) {
  struct Joining {
    std::vector<uint64_t> lost;
    Status status;
    size_t left = 1;
    RenewDone done;
  };
  Group* group = nullptr;
  Status status = Find(name, &group);
  if (group == nullptr) return done(std::move(status), {});
  auto joining = std::make_shared<Joining>();
  joining->done = std::move(done);
  std::map<uint32_t, std::vector<std::string>> by_partition;
  for (const uint64_t lease : leases) {
    const auto held = leases_.find(lease);
    if (held == leases_.end() || held->second.group != name) {
      joining->lost.push_back(lease);
      continue;
    }
    std::vector<std::string>& arguments = by_partition[RedisPartitionOf(held->second.conv)];
    if (arguments.empty()) arguments.push_back(std::to_string(std::max<int64_t>(1, lease_ms)));
    arguments.insert(arguments.end(), {held->second.conv, std::to_string(lease)});
  }
  const auto part_done = [this, joining] {
    if (--joining->left > 0) return;
    joining->done(joining->status, std::move(joining->lost));
    host_.answered();
  };
  joining->left += by_partition.size();
  for (const auto& [partition, arguments] : by_partition) {
    RunIn(partition, std::string(name), "feed_renew", {}, arguments,
          [this, joining, part_done](const RedisResult& result) {
            if (!result.status.ok()) joining->status = StatusOfRedis(result.status);
            for (size_t i = 0; i < result.reply.elements.size(); ++i) {
              joining->lost.push_back(NumberAt(result.reply, i));
              leases_.erase(joining->lost.back());
            }
            part_done();
          });
  }
  part_done();
}

void RedisFeed::Lag(std::string_view name, LagDone done) {
  Group* group = nullptr;
  Status status = Find(name, &group);
  if (group == nullptr) return done(std::move(status), {});
  auto lag = std::make_shared<FeedLag>();
  InAllPartitions(
      [this, lag, name = std::string(name)](uint32_t partition, const Finished& part_done) {
        RunIn(partition, name, "feed_lag", {}, {}, [lag, part_done](const RedisResult& result) {
          if (TextAt(result.reply, 0) != "1") lag->exact = false;
          lag->messages += NumberAt(result.reply, 1);
          lag->dead_letters += NumberAt(result.reply, 3);
          const auto oldest_ms = static_cast<int64_t>(NumberAt(result.reply, 2));
          if (oldest_ms != 0 && (lag->oldest_at_ms == 0 || oldest_ms < lag->oldest_at_ms))
            lag->oldest_at_ms = oldest_ms;
          part_done(result.status);
        });
      },
      [this, lag, done = std::move(done)](const RedisStatus& all) {
        done(StatusOfRedis(all), *lag);
        host_.answered();
      });
}

std::string FeedLetterName(uint64_t mid, char end) {
  const std::string digits = std::to_string(mid);
  return std::string(kLetterDigits - digits.size(), '0') + digits + end;
}

void RedisFeed::Letters(std::string_view name, uint64_t after_mid, uint32_t limit, LettersDone done) {
  Group* group = nullptr;
  Status status = Find(name, &group);
  if (group == nullptr) return done(std::move(status), {}, false);
  LettersFrom(std::string(name), after_mid, std::clamp(limit, 1u, kMaxDeadLetterPage), std::move(done));
}

// The list names where each letter lies; one that is not there any more, or never came to be, is left out.
void RedisFeed::LettersFrom(const std::string& group, uint64_t after_mid, uint32_t limit, LettersDone done) {
  const std::string key = FeedLettersKey(group);
  host_.client->Command(
      SlotOfKey(key),
      {"ZRANGEBYLEX", key, "(" + FeedLetterName(after_mid, ';'), "+", "LIMIT", "0", std::to_string(limit + 1)}, true,
      [this, group, limit, done = std::move(done)](const RedisResult& result) {
        struct Joining {
          std::vector<DeadLetter> letters;
          Status status;
          size_t left = 1;
        };
        auto joining = std::make_shared<Joining>();
        joining->status = StatusOfRedis(result.status);
        const std::vector<RedisReply>& names = result.reply.elements;
        const size_t count = std::min<size_t>(limit, names.size());
        const bool more = names.size() > count;
        uint64_t last_mid = 0;
        std::map<uint32_t, std::vector<std::string>> by_partition;
        for (size_t i = 0; i < count; ++i) {
          last_mid = std::strtoull(names[i].text.c_str(), nullptr, 10);
          const auto partition =
              static_cast<uint32_t>(std::strtoul(names[i].text.c_str() + kLetterDigits + 1, nullptr, 10));
          if (partition >= kRedisPartitions) continue;
          std::vector<std::string>& arguments = by_partition[partition];
          if (arguments.empty()) arguments.emplace_back("tell");
          arguments.push_back(std::to_string(last_mid));
        }
        const auto part_done = [this, joining, group, limit, more, last_mid, done] {
          if (--joining->left > 0) return;
          std::sort(joining->letters.begin(), joining->letters.end(),
                    [](const DeadLetter& one, const DeadLetter& other) { return one.message.mid < other.message.mid; });
          if (joining->letters.empty() && more && joining->status.ok())
            return LettersFrom(group, last_mid, limit, done);
          done(joining->status, std::move(joining->letters), more);
          host_.answered();
        };
        joining->left += by_partition.size();
        for (const auto& [partition, arguments] : by_partition) {
          RunIn(partition, group, "feed_letter", {}, arguments, [joining, part_done](const RedisResult& told) {
            if (!told.status.ok()) joining->status = StatusOfRedis(told.status);
            for (const RedisReply& letter : told.reply.elements) joining->letters.push_back(LetterFrom(letter));
            part_done();
          });
        }
        part_done();
      });
}

std::vector<FeedGroupView> RedisFeed::Groups() const {
  std::vector<FeedGroupView> views;
  for (const auto& [name, group] : groups_) {
    if (group.ready) views.push_back({name, group.created_at_ms});
  }
  return views;
}

std::vector<std::string> RedisFeed::Names() const {
  std::vector<std::string> names;
  for (const auto& named : groups_) names.push_back(named.first);
  return names;
}

// A group of this process that has to take over news, or one that is not known here: once more, then it is unavailable.
void RedisFeed::Lowest(std::string_view conv, Log::PositionDone done) {
  const ConversationKeys conversation(conv);
  const PartitionKeys shelf(conversation.partition());
  std::vector<std::string> keys = {shelf.groups, shelf.feed};
  std::vector<std::string> arguments = {std::string(conv)};
  for (const std::string& name : Names()) {
    keys.push_back(shelf.State(name));
    arguments.push_back(name);
  }
  TakeOver(conversation.partition());  // runs before what follows: the same slot, in order
  Run("feed_lowest", keys, arguments, [this, done = std::move(done)](const RedisResult& result) {
    const std::string& word = TextAt(result.reply, 0);
    Status status = StatusOfRedis(result.status);
    if (word == "GROUPS") Meet(TextAt(result.reply, 1));
    if (word == "GROUPS" || word == "FEED") status = Status::Error(Code::kUnavailable, "ask again");
    done(status, word == "NONE" ? kMaxInteger : NumberAt(result.reply, 0));
    host_.answered();
  });
}

}  // namespace everyonce
