// Reading for consumer groups: leases are taken by partition, then the messages are read conversation by conversation.

#include "redis/redis_feed.h"

#include <algorithm>
#include <utility>

#include "redis/redis_group.h"

namespace everyonce {
namespace {

constexpr size_t kMaxLeases = 100'000;       // given out here and never given back
constexpr size_t kPartitionsOfOneTake = 64;  // that turn out to have nothing

Status StatusOfRedis(const RedisStatus& status) {
  return status.ok() ? Status::Ok() : Status::Error(Code::kUnavailable, status.message);
}

std::vector<std::string> KeysIn(uint32_t partition, const std::string& group) {
  const PartitionKeys keys(partition);
  return {keys.groups, keys.feed, keys.State(group), keys.News(group), keys.Held(group), keys.Letters(group)};
}

Message MessageFrom(const RedisReply& reply, const std::string& conv) {
  return {.conv = conv,
          .epoch = NumberAt(reply, 1),
          .seq = NumberAt(reply, 0),
          .mid = NumberAt(reply, 2),
          .from = TextAt(reply, 3),
          .device = TextAt(reply, 4),
          .n = NumberAt(reply, 5),
          .id = TextAt(reply, 6),
          .type = TextAt(reply, 7),
          .body = TextAt(reply, 8),
          .at_ms = static_cast<int64_t>(NumberAt(reply, 9))};
}

}  // namespace

struct RedisFeed::Taking {
  FeedQuery query;
  TakeDone done;
  FeedPage page;
  Status status;
  size_t looked = 0;
  size_t under_way = 0;  // of one partition
  std::set<uint64_t> links;
};

Status RedisFeed::Find(std::string_view name, Group** group) {
  const auto found = groups_.find(name);
  if (found == groups_.end() || !found->second.ready) {
    return Status::Error(Code::kBadRequest, "there is no such consumer group", "group");
  }
  *group = &found->second;
  return Status::Ok();
}

void RedisFeed::Run(const char* script, std::vector<std::string> keys, std::vector<std::string> arguments, Done done) {
  host_.client->RunScript(*FindLuaScript(script), keys, arguments, std::move(done));
}

// `keys` and `arguments` behind those that name the group in the partition.
void RedisFeed::RunIn(uint32_t partition, const std::string& group, const char* script, std::vector<std::string> keys,
                      std::vector<std::string> arguments, Done done) {
  std::vector<std::string> names = KeysIn(partition, group);
  names.insert(names.end(), keys.begin(), keys.end());
  arguments.insert(arguments.begin(), group);
  Run(script, std::move(names), std::move(arguments), std::move(done));
}

void RedisFeed::Queue(Group* group, uint32_t partition) {
  if (group->queued[partition]) return;
  group->queued[partition] = true;
  group->queue.push_back(partition);
}

void RedisFeed::Ring(const std::string& name, Group* group) {
  if (!group->waiting || group->queue.empty()) return;
  group->waiting = false;
  if (bell_) bell_(name);
}

// --- taking ---

void RedisFeed::Take(const FeedQuery& query, TakeDone done) {
  Group* group = nullptr;
  Status status = Find(query.group, &group);
  if (group == nullptr) return done(std::move(status), {});
  auto taking = std::make_shared<Taking>();
  taking->query = query;
  taking->query.conversations = std::clamp(query.conversations, 1u, kMaxFeedConversations);
  taking->done = std::move(done);
  group->taken_at_ms = uv_now(host_.loop);
  if (!query.conv.empty()) return TakeFrom(taking, RedisPartitionOf(query.conv));
  if (group->looked) return TakeNext(taking);
  group->when_looked.emplace_back([this, taking] { TakeNext(taking); });
  LookAtAll(query.group);
}

// The next partition that may have news, until there is enough, or none.
void RedisFeed::TakeNext(const TakingPointer& taking) {
  Group* group = nullptr;
  Status status = Find(taking->query.group, &group);
  if (group == nullptr) taking->status = std::move(status);
  const bool enough = taking->page.slices.size() >= taking->query.conversations || taking->query.max_bytes == 0;
  if (group == nullptr || enough || group->queue.empty() || ++taking->looked > kPartitionsOfOneTake ||
      !taking->status.ok()) {
    return EndTaking(taking);
  }
  const uint32_t partition = group->queue.front();
  group->queue.pop_front();
  group->queued[partition] = false;
  TakeFrom(taking, partition);
}

void RedisFeed::TakeFrom(const TakingPointer& taking, uint32_t partition) {
  const size_t count = taking->query.conversations - taking->page.slices.size();
  RunIn(partition, taking->query.group, "feed_take", {},
        {std::to_string(partition), std::to_string(count), std::to_string(std::max<int64_t>(1, taking->query.lease_ms)),
         taking->query.conv},
        [this, taking, partition](const RedisResult& result) { Took(taking, partition, result); });
}

void RedisFeed::Took(const TakingPointer& taking, uint32_t partition, const RedisResult& result) {
  LookedAt(taking->query.group, partition, result);
  if (!result.status.ok()) {
    taking->status = StatusOfRedis(result.status);
    return EndTaking(taking);
  }
  const std::vector<RedisReply>& reply = result.reply.elements;
  const size_t count = reply.size() > 3 ? reply.size() - 3 : 0;
  if (count > 0 && result.link != 0) taking->links.insert(result.link);
  taking->under_way = count + 1;
  const size_t bytes = count == 0 ? 0 : taking->query.max_bytes / count;
  for (size_t i = 3; i < reply.size(); ++i) ReadSlice(taking, reply[i], bytes);
  if (--taking->under_way > 0) return;
  taking->query.conv.empty() ? TakeNext(taking) : EndTaking(taking);
}

// {conv lease position head}: what lies between the two.
void RedisFeed::ReadSlice(const TakingPointer& taking, const RedisReply& held, size_t max_bytes) {
  FeedSlice slice;
  slice.conv = TextAt(held, 0);
  slice.lease = NumberAt(held, 1);
  if (leases_.size() >= kMaxLeases) leases_.clear();
  leases_[slice.lease] = {taking->query.group, slice.conv};
  const ConversationKeys keys(slice.conv);
  std::vector<std::string> names = {keys.Meta(), keys.Log()};
  std::vector<std::string> arguments = {TextAt(held, 2), TextAt(held, 3),
                                        std::to_string(std::min(taking->query.limit, kMaxFeedMessages)),
                                        std::to_string(max_bytes), std::to_string(slice.conv.size())};
  Run("feed_read", std::move(names), std::move(arguments),
      [this, taking, slice = std::move(slice), head = NumberAt(held, 3)](const RedisResult& result) mutable {
        for (const RedisReply& message : result.reply.elements) {
          slice.messages.push_back(MessageFrom(message, slice.conv));
        }
        if (!result.status.ok()) {
          taking->status = StatusOfRedis(result.status);
          GiveBack(taking->query.group, slice.conv, slice.lease, 0);
        } else if (slice.messages.empty() && taking->query.conv.empty() && taking->query.limit > 0) {
          GiveBack(taking->query.group, slice.conv, slice.lease, head);  // nothing is left of it
        } else {
          for (const Message& message : slice.messages) {
            const size_t size = message.body.size() + 512;
            taking->query.max_bytes -= std::min(taking->query.max_bytes, size);
          }
          taking->page.slices.push_back(std::move(slice));
        }
        if (--taking->under_way > 0) return;
        taking->query.conv.empty() ? TakeNext(taking) : EndTaking(taking);
      });
}

void RedisFeed::GiveBack(const std::string& group, const std::string& conv, uint64_t lease, uint64_t seq) {
  leases_.erase(lease);
  const ConversationKeys keys(conv);
  RunIn(keys.partition(), group, "feed_ack", {keys.Meta(), keys.Log()},
        {conv, std::to_string(lease), std::to_string(seq), "1", "0", "0", "", "0"}, [](const RedisResult&) {});
}

// What may yet be lost is given to nobody: the connections that read wait for their replicas (semantics c-7).
void RedisFeed::EndTaking(const TakingPointer& taking) {
  if (host_.replicas == 0 || taking->links.empty()) return Answer(taking);
  taking->under_way = taking->links.size();
  for (const uint64_t link : std::exchange(taking->links, {})) {
    host_.client->WaitForReplicas(link, host_.replicas, host_.replica_timeout_ms, [this, taking](RedisStatus status) {
      if (!status.ok()) taking->status = StatusOfRedis(status);
      if (--taking->under_way > 0) return;
      if (!taking->status.ok()) {
        for (const FeedSlice& slice : taking->page.slices) GiveBack(taking->query.group, slice.conv, slice.lease, 0);
        taking->page.slices.clear();
      }
      Answer(taking);
    });
  }
}

void RedisFeed::Answer(const TakingPointer& taking) {
  // One that can not be read must not keep what was taken beside it.
  if (!taking->page.slices.empty()) taking->status = Status::Ok();
  Group* group = nullptr;
  const Status found = Find(taking->query.group, &group);
  if (found.ok() && group != nullptr && taking->query.conv.empty()) {
    taking->page.more = !group->queue.empty();
    group->waiting = !taking->page.more;
  }
  taking->done(taking->status, std::move(taking->page));
  host_.answered();
}

}  // namespace everyonce
