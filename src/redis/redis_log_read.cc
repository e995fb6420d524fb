// Reads: each conversation by one script, those of several partitions side by side. What is read above what is known to
// be replicated is held back until it is.

#include <algorithm>
#include <utility>

#include "core/identifiers.h"
#include "core/producer_table.h"
#include "redis/redis_group.h"
#include "redis/redis_keys.h"
#include "redis/redis_log.h"

namespace everyonce {
namespace {

constexpr size_t kIndexChunk = 256;

Status StatusOfRedis(const RedisStatus& status) {
  return status.ok() ? Status::Ok() : Status::Error(Code::kUnavailable, status.message);
}

Status UnknownConv() { return Status::Error(Code::kUnknownConv, "no such conversation, or you are not in it"); }
Status Broken() { return Status::Error(Code::kUnavailable, "a script's reply that is none"); }

bool IsParty(std::string_view user, std::string_view conv) {
  if (!IsDirect(conv)) return true;
  const DirectUsers users = UsersOfDirect(conv);
  return user == users.first || user == users.second;
}

const char* KindOf(std::string_view conv) { return IsDirect(conv) ? "d" : "g"; }

// epoch head got read unread member, as view_of of lua/shared/settled.lua gives them.
ConversationView ViewFrom(const RedisReply& reply, const std::string& conv) {
  ConversationView view;
  view.conv = conv;
  view.epoch = NumberAt(reply, 0);
  view.head = NumberAt(reply, 1);
  view.got = NumberAt(reply, 2);
  view.read = NumberAt(reply, 3);
  view.unread = NumberAt(reply, 4);
  view.member = TextAt(reply, 5) == "1";
  return view;
}

PageItem ItemFrom(const RedisReply& reply, const std::string& conv, uint64_t epoch) {
  PageItem item;
  if (reply.elements.size() == 3) {
    const char* reason = TextAt(reply, 2) == "expired" ? "expired" : "not_visible";
    item.hole = {.span = {conv, epoch, NumberAt(reply, 0), NumberAt(reply, 1)}, .reason = reason};
    return item;
  }
  item.message = {.conv = conv,
                  .epoch = epoch,  // positions are told in the current history
                  .seq = NumberAt(reply, 0),
                  .mid = NumberAt(reply, 1),
                  .from = TextAt(reply, 2),
                  .device = TextAt(reply, 3),
                  .n = NumberAt(reply, 4),
                  .id = TextAt(reply, 5),
                  .type = TextAt(reply, 6),
                  .body = TextAt(reply, 7),
                  .at_ms = static_cast<int64_t>(NumberAt(reply, 8))};
  return item;
}

}  // namespace

// The first script of a read.
void RedisLog::RunRead(const char* script, std::vector<std::string> keys, std::vector<std::string> arguments,
                       Done done) {
  AfterCommits([this, script, keys = std::move(keys), arguments = std::move(arguments), done = std::move(done)] {
    Run(script, keys, arguments, done);
  });
}

void RedisLog::WhenStable(const std::string& conv, bool stable, Joined done) {
  if (stable || options_.replicas == 0) return done({});
  const ConversationKeys keys(conv);
  Run("stable", {keys.Meta()}, {"touch", "0"}, [this, meta = keys.Meta(), done = std::move(done)](RedisResult result) {
    if (!result.status.ok()) return done(std::move(result.status));
    client_.WaitForReplicas(result.link, options_.replicas, options_.replica_timeout_ms,
                            [this, meta, head = result.reply.text, done](RedisStatus status) {
                              if (status.ok()) Run("stable", {meta}, {"raise", head}, [](const RedisResult&) {});
                              done(std::move(status));
                            });
  });
}

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
            joining->status = result.status.ok() ? Broken() : StatusOfRedis(result.status);
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

// --- pull ---

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
        if (reply.elements.size() < 10) return WalkDone(walk, Broken());
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

// --- the others ---

void RedisLog::History(const HistoryQuery& query, HistoryDone done) {
  const TicketPointer ticket = TakeTicket();
  if (!query.user.empty() && !IsParty(query.user, query.conv)) {
    return Settle(ticket, [done = std::move(done)] { done(UnknownConv(), {}); });
  }
  const ConversationKeys keys(query.conv);
  const auto optional = [](const std::optional<uint64_t>& number) { return number ? std::to_string(*number) : ""; };
  RunRead("history", {keys.Meta(), keys.Log(), keys.Members()},
          {KindOf(query.conv), query.user, optional(query.before), optional(query.after),
           std::to_string(std::max<uint32_t>(1, query.limit)), std::to_string(query.max_bytes),
           std::to_string(query.conv.size()), std::to_string(query.archived_bytes)},
          [this, ticket, conv = query.conv, done = std::move(done)](const RedisResult& result) {
            const RedisReply& reply = result.reply;
            HistoryPage page;
            Status status = StatusOfRedis(result.status);
            if (status.ok() && reply.elements.size() < 3) status = reply.elements.empty() ? UnknownConv() : Broken();
            for (size_t i = 3; status.ok() && i < reply.elements.size(); ++i) {
              page.items.push_back(ItemFrom(reply.elements[i], conv, NumberAt(reply, 0)));
            }
            page.more = status.ok() && TextAt(reply, 1) == "1";
            WhenStable(conv, !status.ok() || TextAt(reply, 2) == "1",
                       [this, ticket, done, status, page](const RedisStatus& stable) {
                         const Status answer = stable.ok() ? status : StatusOfRedis(stable);
                         Settle(ticket, [done, answer, page] { done(answer, answer.ok() ? page : HistoryPage()); });
                       });
          });
}

void RedisLog::StatusOf(std::string_view conv, std::string_view user, std::string_view device,
                        const std::vector<std::string>& ids, StatusDone done) {
  const TicketPointer ticket = TakeTicket();
  StatusAnswer stranger;
  stranger.code = Code::kUnknownConv;
  if (!IsParty(user, conv)) return Settle(ticket, [done = std::move(done), stranger] { done(stranger); });
  const ConversationKeys keys(conv);
  std::vector<std::string> names = {keys.Meta(), keys.Log(), keys.Members(), keys.Senders(), keys.Blocks(user, device)};
  std::vector<std::string> arguments = {KindOf(conv), std::string(user), std::string(device)};
  for (const std::string& id : ids) {
    names.push_back(keys.Window(user, id));
    arguments.push_back(id);
    arguments.push_back(std::to_string(HashOfId(id)));
  }
  RunRead("status", names, arguments,
          [this, ticket, name = std::string(conv), done = std::move(done)](const RedisResult& result) {
            StatusAnswer answer;
            if (!result.status.ok()) answer.code = Code::kUnavailable;
            if (TextAt(result.reply, 0) == "UNKNOWN_CONV") answer.code = Code::kUnknownConv;
            if (result.reply.elements.size() > 2) {
              for (const RedisReply& id : result.reply.elements[2].elements) answer.unknown.push_back(id.text);
            }
            for (size_t i = 3; i < result.reply.elements.size(); ++i) {
              const RedisReply& found = result.reply.elements[i];
              answer.found.push_back({TextAt(found, 0), NumberAt(found, 1), NumberAt(found, 2), NumberAt(found, 3),
                                      NumberAt(found, 4), static_cast<int64_t>(NumberAt(found, 5))});
            }
            const bool stable = answer.code != Code::kOk || TextAt(result.reply, 1) == "1";
            WhenStable(name, stable, [this, ticket, done, answer](const RedisStatus& status) mutable {
              if (!status.ok()) answer = {.code = Code::kUnavailable};
              Settle(ticket, [done, answer] { done(answer); });
            });
          });
}

void RedisLog::MembersOf(std::string_view conv, MembersDone done) {
  const TicketPointer ticket = TakeTicket();
  if (IsDirect(conv)) {
    const DirectUsers users = UsersOfDirect(conv);
    auto list = std::make_shared<MemberList>(MemberList{std::string(users.first), std::string(users.second)});
    return Settle(ticket, [done = std::move(done), list] { done(Status::Ok(), list); });
  }
  const ConversationKeys keys(conv);
  RunRead("conversation_members", {keys.Meta(), keys.Members()}, {},
          [this, ticket, name = std::string(conv), done = std::move(done)](const RedisResult& result) {
            std::shared_ptr<MemberList> list;
            if (result.reply.elements.size() == 2) {
              list = std::make_shared<MemberList>();
              for (const RedisReply& user : result.reply.elements[1].elements) list->push_back(user.text);
              std::sort(list->begin(), list->end());
              members_.insert_or_assign(name, Members{TextAt(result.reply, 0), list});
            }
            Settle(ticket, [done, status = StatusOfRedis(result.status), list] { done(status, list); });
          });
}

}  // namespace everyonce
