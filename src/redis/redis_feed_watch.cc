// Where there may be news: groups that other processes have made, the bell, leases that ran out, and a look at
// everything.

#include <algorithm>
#include <utility>

#include "redis/redis_feed.h"
#include "redis/redis_group.h"

namespace everyonce {
namespace {

constexpr uint64_t kTickMs = 100;
constexpr uint64_t kRefreshMs = 2'000;
constexpr uint64_t kActiveMs = 60'000;    // somebody here reads the group
constexpr uint64_t kLookAllMs = 15'000;   // at all partitions, of a group that is read here (semantics h-7)
constexpr uint64_t kLookIdleMs = 60'000;  // and of others: what nobody takes over would pile up in the feed

}  // namespace

RedisFeed::RedisFeed(Host host) : host_(std::move(host)) {
  timer_ = new uv_timer_t;
  uv_timer_init(host_.loop, timer_);
  timer_->data = this;
}

void RedisFeed::Close() {
  if (closed_) return;
  closed_ = true;
  uv_close(reinterpret_cast<uv_handle_t*>(timer_),
           [](uv_handle_t* handle) { delete reinterpret_cast<uv_timer_t*>(handle); });
  timer_ = nullptr;
}

void RedisFeed::Start(std::function<void(RedisStatus)> done) {
  if (timer_ != nullptr && uv_is_active(reinterpret_cast<uv_handle_t*>(timer_)) == 0) {
    uv_timer_start(
        timer_, [](uv_timer_t* timer) { static_cast<RedisFeed*>(timer->data)->OnTimer(); }, kTickMs, kTickMs);
    uv_unref(reinterpret_cast<uv_handle_t*>(timer_));
  }
  Refresh(std::move(done));
}

void RedisFeed::OnTimer() {
  const uint64_t now_ms = uv_now(host_.loop);
  if (now_ms >= refresh_at_ms_) Refresh([](const RedisStatus&) {});
  bool active = false;
  for (auto& [name, group] : groups_) {
    if (!group.ready) continue;
    active = active || now_ms - group.taken_at_ms < kActiveMs;
    for (uint32_t partition = 0; partition < kRedisPartitions; ++partition) {
      uint64_t& look_at_ms = group.look_at_ms[partition];
      if (look_at_ms == 0 || now_ms < look_at_ms) continue;
      look_at_ms = 0;
      Queue(&group, partition);
    }
    Ring(name, &group);
    if (now_ms >= group.look_all_at_ms) LookAtAll(name);
  }
  if (active) AskBell();
}

void RedisFeed::Refresh(Finished done) {
  if (refreshing_) return done({});
  refreshing_ = true;
  refresh_at_ms_ = uv_now(host_.loop) + kRefreshMs;
  Run("feed_groups", {FeedGroupsKey()}, {"list"},
      [this, as_of = changes_, done = std::move(done)](const RedisResult& result) {
        refreshing_ = false;
        if (!result.status.ok()) return done(result.status);
        if (as_of != changes_) return done({});  // older than what was done here since
        std::set<std::string_view> there;
        for (size_t i = 0; i + 2 < result.reply.elements.size(); i += 3) {
          const std::string& name = TextAt(result.reply, i);
          there.insert(name);
          Group& group = groups_[name];
          group.ready = TextAt(result.reply, i + 1) == "ready";
          group.created_at_ms = static_cast<int64_t>(NumberAt(result.reply, i + 2));
        }
        std::erase_if(groups_, [&there](const auto& named) { return !there.contains(named.first); });
        done({});
      });
}

void RedisFeed::AskBell() {
  if (asking_bell_ || closed_) return;
  asking_bell_ = true;
  Run("feed_bell", {FeedBellKey()}, {"ask", bell_time_}, [this](const RedisResult& result) {
    asking_bell_ = false;
    if (!result.status.ok() || result.reply.elements.empty()) return;
    // Redis's clock may have gone back: another server.
    bell_time_ = TextAt(result.reply, 0);
    for (auto& [name, group] : groups_) {
      for (size_t i = 1; i < result.reply.elements.size(); ++i) {
        const uint64_t partition = NumberAt(result.reply, i);
        if (partition < kRedisPartitions) Queue(&group, static_cast<uint32_t>(partition));
      }
      Ring(name, &group);
    }
  });
}

void RedisFeed::RingFar(const std::vector<uint32_t>& partitions) {
  std::vector<std::string> arguments = {"ring"};
  for (const uint32_t partition : partitions) arguments.push_back(std::to_string(partition));
  Run("feed_bell", {FeedBellKey()}, std::move(arguments), [](const RedisResult&) {});
}

void RedisFeed::Stored(const std::vector<uint32_t>& partitions) {
  if (groups_.empty() || partitions.empty() || closed_) return;
  for (auto& [name, group] : groups_) {
    for (const uint32_t partition : partitions) Queue(&group, partition);
    Ring(name, &group);
  }
  RingFar(partitions);
}

void RedisFeed::LookAtAll(const std::string& name) {
  Group& group = groups_[name];
  if (group.looking) return;
  group.looking = true;
  const uint64_t now_ms = uv_now(host_.loop);
  group.look_all_at_ms = now_ms + (now_ms - group.taken_at_ms < kActiveMs ? kLookAllMs : kLookIdleMs);
  InAllPartitions(
      [this, name](uint32_t partition, const Finished& part_done) {
        RunIn(partition, name, "feed_take", {}, {std::to_string(partition), "0", "1", ""},
              [this, name, partition, part_done](const RedisResult& result) {
                LookedAt(name, partition, result);
                part_done(result.status);
              });
      },
      [this, name](const RedisStatus& status) {
        const auto found = groups_.find(name);
        if (found == groups_.end()) return;
        found->second.looking = false;
        found->second.looked = found->second.looked || status.ok();
        Ring(name, &found->second);
        for (const auto& then : std::exchange(found->second.when_looked, {})) then();
      });
}

// What feed_take.lua told of a partition.
void RedisFeed::LookedAt(const std::string& name, uint32_t partition, const RedisResult& result) {
  const auto found = groups_.find(name);
  if (found == groups_.end()) return;
  Group& group = found->second;
  const std::string& word = TextAt(result.reply, 0);
  if (!result.status.ok() || word == "SEEDING") {
    group.look_at_ms[partition] = uv_now(host_.loop) + 1000;
    return;
  }
  if (word == "NONE") return NotThere(name, partition);
  if (TextAt(result.reply, 1) == "1") Queue(&group, partition);
  uint64_t wait_ms = 0;
  if (result.reply.elements[2].ToNumber(&wait_ms)) {
    const uint64_t at_ms = uv_now(host_.loop) + std::max<uint64_t>(wait_ms, 1);
    uint64_t& look_at_ms = group.look_at_ms[partition];
    look_at_ms = look_at_ms == 0 ? at_ms : std::min(look_at_ms, at_ms);
  }
}

// A partition was wiped, and the group with it: what it has by now was accepted since.
void RedisFeed::NotThere(const std::string& name, uint32_t partition) {
  const auto found = groups_.find(name);
  if (found == groups_.end() || !found->second.ready || !mending_.emplace(name, partition).second) return;
  // Or it was dropped by another process: then it must not come back.
  const std::string registry = FeedGroupsKey();
  host_.client->Command(SlotOfKey(registry), {"HGET", registry, name}, true,
                        [this, name, partition](const RedisResult& known) {
                          if (known.reply.text.starts_with("ready ")) return OpenAgain(name, partition);
                          mending_.erase({name, partition});
                          Refresh([](const RedisStatus&) {});
                        });
}

void RedisFeed::OpenAgain(const std::string& name, uint32_t partition) {
  auto opening = std::make_shared<Opening>();
  opening->group = name;
  opening->waiting[partition] = [this, name, partition](const RedisStatus&) {
    mending_.erase({name, partition});
    const auto group = groups_.find(name);
    if (group == groups_.end()) return;
    Queue(&group->second, partition);
    Ring(name, &group->second);
  };
  OpenIn(opening, partition);
}

void RedisFeed::Meet(const std::string& name) {
  if (!IsFeedName(name)) return;
  Refresh([this, name](const RedisStatus& status) {
    if (!status.ok() || groups_.contains(name)) return;
    Run("feed_groups", {FeedGroupsKey()}, {"open", name, "0", std::to_string(kMaxFeedGroups)},
        [this, name](const RedisResult& opened) {
          if (!opened.status.ok()) return;
          Run("feed_groups", {FeedGroupsKey()}, {"ready", name},
              [this](const RedisResult&) { Refresh([](const RedisStatus&) {}); });
        });
  });
}

void RedisFeed::TakeOver(uint32_t partition) {
  for (const std::string& name : Names()) {
    RunIn(partition, name, "feed_take", {}, {std::to_string(partition), "0", "1", ""},
          [this, name, partition](const RedisResult& result) { LookedAt(name, partition, result); });
  }
}

}  // namespace everyonce
