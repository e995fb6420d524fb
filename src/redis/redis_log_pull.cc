// Pull: a walk over the conversations of a user that have something for him, a page of each by one script.

#include <algorithm>
#include <deque>
#include <utility>

#include "redis/redis_group.h"
#include "redis/redis_keys.h"
#include "redis/redis_log.h"
#include "redis/redis_read.h"

namespace everyonce {

struct RedisLog::Walk {
  PullQuery query;
  Page page;
  TicketPointer ticket;
  PageDone done;
  uint64_t items_left = 0;
  size_t bytes_left = 0;
  std::deque<std::string> convs;  // that have something, next
  std::string after;              // the list is read behind it
  std::string until;              // and to here; empty: to its end
  bool listed = false;            // all of it
  bool came_round = false;
};

void RedisLog::Pull(const PullQuery& query, PageDone done) {
  auto walk = std::make_shared<Walk>();
  walk->query = query;
  walk->ticket = TakeTicket();
  walk->done = std::move(done);
  walk->items_left = std::max<uint32_t>(1, query.limit);
  walk->bytes_left = query.max_bytes;
  if (!query.conv.empty()) {
    walk->listed = walk->came_round = true;
    if (!IsParty(query.user, query.conv)) return WalkDone(walk, UnknownConv());
    return AfterCommits([this, walk] { PageOf(walk, walk->query.conv, true); });
  }
  walk->after = query.go_on ? query.go_on->conv : query.after_conv;
  walk->came_round = query.go_on.has_value() || query.after_conv.empty();
  AfterCommits([this, walk] {
    const std::optional<Position>& go_on = walk->query.go_on;
    if (go_on && IsParty(walk->query.user, go_on->conv)) return PageOf(walk, go_on->conv, false);
    WalkOn(walk);
  });
}

void RedisLog::WalkOn(const std::shared_ptr<Walk>& walk) {
  if (walk->items_left == 0 || walk->page.covers.size() >= walk->query.max_spans) return WalkDone(walk, Status::Ok());
  if (!walk->convs.empty()) {
    const std::string conv = walk->convs.front();
    walk->convs.pop_front();
    return PageOf(walk, conv, false);
  }
  if (walk->listed) {
    if (walk->came_round || !walk->page.covers.empty()) return WalkDone(walk, Status::Ok());
    // Nothing is needed behind it: round to where it began.
    walk->came_round = true;
    walk->listed = false;
    walk->after.clear();
    walk->until = walk->query.after_conv;
  }
  ListIndex(walk->query.user, walk->after, kIndexChunk, [this, walk](Status status, std::vector<std::string> convs) {
    if (!status.ok()) return WalkDone(walk, std::move(status));
    walk->listed = convs.size() < kIndexChunk;
    if (!convs.empty()) walk->after = convs.back();
    std::vector<Position> positions;
    for (std::string& conv : convs) {
      if (!walk->until.empty() && conv > walk->until) {
        walk->listed = true;
        break;
      }
      positions.push_back({std::move(conv), 0, 0});
    }
    ViewMany(walk->query.user, walk->query.device, positions, [this, walk](Status read, const std::vector<Seen>& seen) {
      if (!read.ok()) return WalkDone(walk, std::move(read));
      for (const Seen& one : seen) {
        if (one.found && one.view.got < one.view.head) walk->convs.push_back(one.view.conv);
      }
      WalkOn(walk);
    });
  });
}

void RedisLog::PageOf(const std::shared_ptr<Walk>& walk, const std::string& conv, bool always) {
  const PullQuery& query = walk->query;
  const ConversationKeys keys(conv);
  const bool goes_on = query.go_on && query.go_on->conv == conv;
  Run("page", {keys.Meta(), keys.Log(), keys.Members(), keys.Marks(), keys.Own(query.user)},
      {KindOf(conv), query.user, query.device, query.newest_first ? "newest" : "oldest", query.hold ? "1" : "0",
       std::to_string(walk->items_left), std::to_string(walk->bytes_left), walk->page.items.empty() ? "1" : "0",
       always ? "1" : "0", goes_on ? std::to_string(query.go_on->epoch) : "",
       goes_on ? std::to_string(query.go_on->seq) : "", std::to_string(conv.size()),
       std::to_string(query.archived_bytes)},
      [this, walk, conv, always](const RedisResult& result) {
        const RedisReply& reply = result.reply;
        if (!result.status.ok()) return WalkDone(walk, StatusOfRedis(result.status));
        if (reply.elements.empty()) return always ? WalkDone(walk, UnknownConv()) : WalkOn(walk);
        if (reply.elements.size() < 10) return WalkDone(walk, BrokenScriptReply());
        const uint64_t epoch = NumberAt(reply, 0);
        const bool complete = TextAt(reply, 1) == "1";
        walk->items_left = NumberAt(reply, 8);
        walk->bytes_left = NumberAt(reply, 9);
        for (size_t i = 10; i < reply.elements.size(); ++i) {
          walk->page.items.push_back(ItemFrom(reply.elements[i], conv, epoch));
        }
        if (NumberAt(reply, 3) != 0) {
          walk->page.covers.push_back({conv, epoch, NumberAt(reply, 2), NumberAt(reply, 3)});
          walk->page.position = {conv, epoch, NumberAt(reply, 4)};
          // The walk stays where it stood while the oldest hole is served.
          const bool newest_hole = walk->query.newest_first && !complete && walk->query.go_on &&
                                   walk->query.go_on->conv == conv && NumberAt(reply, 4) == walk->query.go_on->seq;
          if (newest_hole) walk->page.position = *walk->query.go_on;
        }
        if (TextAt(reply, 5) == "1") walk->page.finished.push_back(ViewFrom(reply.elements[7], conv));
        WhenStable(conv, TextAt(reply, 6) == "1", [this, walk, complete](const RedisStatus& stable) {
          if (!stable.ok()) return WalkDone(walk, StatusOfRedis(stable));
          if (!complete || !walk->query.conv.empty()) return WalkDone(walk, Status::Ok());
          WalkOn(walk);
        });
      });
}

void RedisLog::WalkDone(const std::shared_ptr<Walk>& walk, Status status) {
  Settle(walk->ticket,
         [walk, status = std::move(status)] { walk->done(status, status.ok() ? std::move(walk->page) : Page()); });
}

}  // namespace everyonce
