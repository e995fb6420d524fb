// Where a user stands in his conversations: each by one script, those of several partitions side by side.

#include <algorithm>
#include <utility>

#include "redis/redis_group.h"
#include "redis/redis_keys.h"
#include "redis/redis_log.h"
#include "redis/redis_read.h"

namespace everyonce {

void RedisLog::ListIndex(const std::string& user, const std::string& after, size_t limit,
                         std::function<void(Status, std::vector<std::string>)> done) {
  const std::string key = UserIndexKey(user);
  client_.Command(SlotOfKey(key),
                  {"ZRANGEBYLEX", key, after.empty() ? "-" : "(" + after, "+", "LIMIT", "0", std::to_string(limit)},
                  true, [done = std::move(done)](const RedisResult& result) {
                    std::vector<std::string> convs;
                    for (const RedisReply& conv : result.reply.elements) convs.push_back(conv.text);
                    done(StatusOfRedis(result.status), std::move(convs));
                  });
}

// In the order of `positions`. A position with epoch 0 asks for the view alone.
void RedisLog::ViewMany(const std::string& user, const std::string& device, const std::vector<Position>& positions,
                        ViewManyDone done) {
  struct Joining {
    std::vector<Seen> seen;
    Status status;
    size_t left = 1;
    ViewManyDone done;
  };
  struct Part {
    std::vector<size_t> indices;
    std::vector<std::string> keys;
    std::vector<std::string> arguments;
  };
  auto joining = std::make_shared<Joining>();
  joining->seen.resize(positions.size());
  joining->done = std::move(done);
  std::map<uint32_t, Part> parts;
  for (size_t i = 0; i < positions.size(); ++i) {
    const Position& position = positions[i];
    if (!IsParty(user, position.conv)) continue;
    const ConversationKeys keys(position.conv);
    Part& part = parts[keys.partition()];
    if (part.indices.empty()) part.arguments = {user, device};
    part.indices.push_back(i);
    part.keys.insert(part.keys.end(), {keys.Meta(), keys.Log(), keys.Members(), keys.Marks(), keys.Own(user)});
    part.arguments.insert(part.arguments.end(),
                          {KindOf(position.conv), std::to_string(position.epoch), std::to_string(position.seq)});
    joining->seen[i].view.conv = position.conv;
  }
  const auto part_done = [joining] {
    if (--joining->left > 0) return;
    if (!joining->status.ok()) joining->seen.clear();
    joining->done(joining->status, std::move(joining->seen));
  };
  for (auto& [partition, part] : parts) {
    ++joining->left;
    Run("views", part.keys, part.arguments,
        [this, joining, indices = part.indices, part_done](const RedisResult& result) {
          if (!result.status.ok() || result.reply.elements.size() != indices.size()) {
            joining->status = result.status.ok() ? BrokenScriptReply() : StatusOfRedis(result.status);
            return part_done();
          }
          for (size_t i = 0; i < indices.size(); ++i) {
            const RedisReply& reply = result.reply.elements[i];
            Seen& seen = joining->seen[indices[i]];
            if (reply.elements.empty()) continue;
            seen.found = true;
            seen.view = ViewFrom(reply, seen.view.conv);
            seen.resume = static_cast<Resume>(std::min<uint64_t>(NumberAt(reply, 6), 2));
            seen.keep = NumberAt(reply, 7);
            if (TextAt(reply, 8) == "1") continue;
            ++joining->left;
            WhenStable(seen.view.conv, false, [joining, part_done](const RedisStatus& status) {
              if (!status.ok()) joining->status = StatusOfRedis(status);
              part_done();
            });
          }
          part_done();
        });
  }
  part_done();
}

void RedisLog::View(std::string_view user, std::string_view device, std::string_view conv, ViewDone done) {
  const TicketPointer ticket = TakeTicket();
  AfterCommits([this, ticket, user = std::string(user), device = std::string(device), conv = std::string(conv),
                done = std::move(done)] {
    ViewMany(user, device, {Position{conv, 0, 0}}, [this, ticket, done](Status status, std::vector<Seen> seen) {
      ConversationView view;
      if (status.ok() && !seen[0].found) status = UnknownConv();
      if (status.ok()) view = std::move(seen[0].view);
      Settle(ticket, [done, status, view] { done(status, view); });
    });
  });
}

void RedisLog::ResumeAt(std::string_view user, std::string_view device, const std::vector<Position>& positions,
                        ResumeDone done) {
  const TicketPointer ticket = TakeTicket();
  auto take = [this, ticket, positions, done = std::move(done)](const Status& status, const std::vector<Seen>& seen) {
    std::vector<ResumeView> views(status.ok() ? positions.size() : 0);
    for (size_t i = 0; i < views.size(); ++i) {
      views[i].view.conv = positions[i].conv;
      views[i].resume = Resume::kReset;
      if (!seen[i].found || seen[i].view.epoch == 0) continue;
      views[i] = {seen[i].view, seen[i].resume, seen[i].keep};
    }
    Settle(ticket, [done, status, views = std::move(views)]() mutable { done(status, std::move(views)); });
  };
  AfterCommits([this, user = std::string(user), device = std::string(device), positions, take = std::move(take)] {
    ViewMany(user, device, positions, take);
  });
}

void RedisLog::Views(std::string_view user, std::string_view device, std::string_view after_conv, size_t limit,
                     ViewsDone done) {
  const TicketPointer ticket = TakeTicket();
  auto take = [this, ticket, done = std::move(done)](const Status& status, std::vector<ConversationView> views,
                                                     bool more) {
    Settle(ticket, [done, status, views = std::move(views), more]() mutable { done(status, std::move(views), more); });
  };
  AfterCommits([this, user = std::string(user), device = std::string(device), after = std::string(after_conv), limit,
                take = std::move(take)] {
    ViewsFrom(std::make_shared<std::vector<ConversationView>>(), user, device, after, limit, take);
  });
}

// A list may name more than there is, so it is read on until there is enough.
void RedisLog::ViewsFrom(const std::shared_ptr<std::vector<ConversationView>>& views, const std::string& user,
                         const std::string& device, const std::string& after, size_t limit, ViewsDone done) {
  const size_t wanted = std::min(limit + 1 - views->size(), kIndexChunk * 4);
  ListIndex(user, after, wanted,
            [this, views, user, device, limit, wanted, done = std::move(done)](const Status& status,
                                                                               const std::vector<std::string>& convs) {
              if (!status.ok()) return done(status, {}, false);
              std::vector<Position> positions;
              positions.reserve(convs.size());
              for (const std::string& conv : convs) positions.push_back({conv, 0, 0});
              ViewMany(
                  user, device, positions,
                  [this, views, user, device, limit, wanted, convs, done](const Status& read, std::vector<Seen> seen) {
                    if (!read.ok()) return done(read, {}, false);
                    for (Seen& one : seen) {
                      if (one.found && one.view.epoch != 0) views->push_back(std::move(one.view));
                    }
                    if (convs.size() == wanted && views->size() <= limit) {
                      return ViewsFrom(views, user, device, convs.back(), limit, done);
                    }
                    const bool more = views->size() > limit;
                    if (more) views->resize(limit);
                    done(read, std::move(*views), more);
                  });
            });
}

}  // namespace everyonce
