#include "redis/redis_retention.h"

#include <algorithm>
#include <utility>

#include "core/identifiers.h"
#include "redis/redis_group.h"
#include "redis/redis_keys.h"

namespace everyonce {
namespace {

constexpr uint32_t kPartitionsAtOnce = 256;
constexpr size_t kNamesAtOnce = 64;  // of a partition; and conversations in a slice
constexpr uint32_t kTries = 20;      // of one conversation in one round
constexpr int64_t kTurnMs = 30'000;
constexpr int64_t kSeenMs = int64_t{30} * 24 * 3600 * 1000;

}  // namespace

struct RedisRetention::Asking {
  Name name;
  std::string version;
  std::vector<std::string> arguments;  // per user: name, number of devices, these
  size_t left = 1;
  bool failed = false;
};

int64_t RedisRetention::Slice(int64_t now_ms) {
  if (!options_.removes()) return -1;
  now_ms_ = std::max(now_ms_, now_ms);
  if (!idle()) return options_.slice_every_ms;
  if (resting_) {
    resting_ = false;
    return options_.every_ms;
  }
  if (!in_round_) {
    TakeTurn();
  } else if (!names_.empty()) {
    const size_t count = std::min(names_.size(), kNamesAtOnce);
    under_way_ += count;
    for (size_t i = 0; i < count; ++i) {
      const Name name = std::move(names_.front());
      names_.pop_front();
      LookAt(name, "", {});
    }
  } else if (!unlisted_.empty() || next_partition_ < kRedisPartitions) {
    ListNames();
  } else {
    EndRound();
  }
  return options_.slice_every_ms;
}

void RedisRetention::TakeTurn() {
  ++under_way_;
  host_.client->RunScript(*FindLuaScript("turn"), {RetentionTurnKey()}, {host_.owner, std::to_string(kTurnMs)},
                          [this](const RedisResult& result) {
                            in_round_ = result.status.ok() && result.reply.integer == 1;
                            resting_ = !in_round_;
                            PartDone();
                          });
}

void RedisRetention::EndRound() {
  in_round_ = false;
  resting_ = true;
  next_partition_ = 0;
  ++host_.counters->retention_runs;
  host_.counters->retention_at_ms = now_ms_;
}

// Names of the next partitions, some of each. The turn is held meanwhile.
void RedisRetention::ListNames() {
  ++under_way_;
  host_.client->RunScript(*FindLuaScript("turn"), {RetentionTurnKey()}, {host_.owner, std::to_string(kTurnMs)},
                          [this](const RedisResult&) { PartDone(); });
  std::deque<std::pair<uint32_t, std::string>> asked;
  std::swap(asked, unlisted_);
  while (asked.size() < kPartitionsAtOnce && next_partition_ < kRedisPartitions) {
    asked.emplace_back(next_partition_++, "");
  }
  under_way_ += asked.size();
  for (const auto& [partition, after] : asked) {
    const std::string key = PartitionKeys(partition).catalogue;
    host_.client->Command(
        SlotOfKey(key),
        {"ZRANGEBYLEX", key, after.empty() ? "-" : "(" + after, "+", "LIMIT", "0", std::to_string(kNamesAtOnce)}, true,
        [this, partition = partition](const RedisResult& result) { Listed(partition, result); });
  }
}

void RedisRetention::Listed(uint32_t partition, const RedisResult& result) {
  if (!result.status.ok()) Failed();
  const std::vector<RedisReply>& convs = result.reply.elements;
  for (const RedisReply& conv : convs) names_.push_back({conv.text});
  if (convs.size() == kNamesAtOnce) unlisted_.emplace_back(partition, convs.back().text);
  PartDone();
}

void RedisRetention::Failed() { ++host_.counters->retention_failures; }

// `version` empty: nobody was asked.
void RedisRetention::LookAt(Name name, const std::string& version, const std::vector<std::string>& users) {
  const ConversationKeys keys(name.conv);
  const PartitionKeys shelf(keys.partition());
  std::vector<std::string> names = {keys.Meta(),  keys.Log(),   keys.Members(), keys.Senders(),
                                    keys.Marks(), shelf.groups, shelf.feed};
  const int64_t too_old_ms = options_.max_age_ms == 0 ? 0 : std::max<int64_t>(1, now_ms_ - options_.max_age_ms);
  const std::vector<std::string> groups = host_.groups();
  std::vector<std::string> arguments = {IsDirect(name.conv) ? "d" : "g",
                                        name.conv,
                                        std::to_string(too_old_ms),
                                        std::to_string(options_.messages),
                                        options_.until_acked ? "1" : "0",
                                        std::to_string(options_.slice_records),
                                        version,
                                        std::to_string(groups.size())};
  for (const std::string& group : groups) {
    names.push_back(shelf.State(group));
    arguments.push_back(group);
  }
  arguments.insert(arguments.end(), users.begin(), users.end());
  host_.client->RunScript(*FindLuaScript("retain"), names, arguments,
                          [this, name = std::move(name)](const RedisResult& result) { Looked(name, result); });
}

void RedisRetention::Looked(const Name& name, const RedisResult& result) {
  const std::string& word = TextAt(result.reply, 0);
  bool again = false;
  if (!result.status.ok()) {
    Failed();
  } else if (word == "ASK") {
    return AskDevices(name, result.reply);
  } else if (word == "GROUPS") {
    host_.meet_group(TextAt(result.reply, 1));
    again = true;
  } else if (word == "FEED") {
    host_.take_over(RedisPartitionOf(name.conv));
    again = true;
  } else if (word == "OK") {
    host_.counters->removed_messages += NumberAt(result.reply, 1);
    host_.counters->removed_bytes += NumberAt(result.reply, 2);
    again = TextAt(result.reply, 3) == "1";
    Disown(name, result.reply);
  }
  if (again && word == "OK") names_.push_front(name);
  if (again && word != "OK" && name.tries < kTries) names_.push_back({name.conv, name.tries + 1});
  PartDone();
}

// Lets the removed messages go from their senders' lists. Where that fails they are there until the next step.
void RedisRetention::Disown(const Name& name, const RedisReply& reply) {
  const ConversationKeys keys(name.conv);
  std::vector<std::string> names = {keys.Meta()};
  for (size_t i = 4; i < reply.elements.size(); ++i) names.push_back(keys.Own(reply.elements[i].text));
  if (names.size() == 1) return;
  ++under_way_;
  host_.client->RunScript(*FindLuaScript("disown"), names, {}, [this](const RedisResult& result) {
    if (!result.status.ok()) Failed();
    PartDone();
  });
}

// Who joins meanwhile changes the version of the members, and all are asked again.
void RedisRetention::AskDevices(const Name& name, const RedisReply& reply) {
  auto asking = std::make_shared<Asking>();
  asking->name = name;
  asking->version = TextAt(reply, 1);
  std::vector<std::string> users;
  for (size_t i = 2; i < reply.elements.size(); ++i) users.push_back(reply.elements[i].text);
  if (IsDirect(name.conv)) {
    const DirectUsers both = UsersOfDirect(name.conv);
    users = {std::string(both.first), std::string(both.second)};
  }
  const auto part_done = [this, asking] {
    if (--asking->left > 0) return;
    if (!asking->failed) return LookAt(asking->name, asking->version, asking->arguments);
    Failed();
    PartDone();
  };
  asking->left += users.size();
  for (const std::string& user : users) {
    const std::string key = UserDevicesKey(user);
    host_.client->Command(SlotOfKey(key), {"HGETALL", key}, true,
                          [this, asking, user, part_done](const RedisResult& r) {
                            asking->failed = asking->failed || !r.status.ok();
                            std::vector<std::string> devices;
                            for (size_t i = 0; i + 1 < r.reply.elements.size(); i += 2) {
                              const SeenDevice seen = SeenDeviceOf(r.reply.elements[i + 1].text);
                              if (seen.first_hello_ms != 0 && seen.last_seen_ms > now_ms_ - kSeenMs) {
                                devices.push_back(r.reply.elements[i].text);
                              }
                            }
                            asking->arguments.push_back(user);
                            asking->arguments.push_back(std::to_string(devices.size()));
                            asking->arguments.insert(asking->arguments.end(), devices.begin(), devices.end());
                            part_done();
                          });
  }
  part_done();
}

}  // namespace everyonce
