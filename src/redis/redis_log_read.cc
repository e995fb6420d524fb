// Reads of one conversation: history, what became of ids, who is in it. What is read above what is known to be
// replicated is held back until it is.

#include <algorithm>
#include <utility>

#include "core/producer_table.h"
#include "redis/redis_group.h"
#include "redis/redis_keys.h"
#include "redis/redis_log.h"
#include "redis/redis_read.h"

namespace everyonce {

Status StatusOfRedis(const RedisStatus& status) {
  return status.ok() ? Status::Ok() : Status::Error(Code::kUnavailable, status.message);
}

Status UnknownConv() { return Status::Error(Code::kUnknownConv, "no such conversation, or you are not in it"); }
Status BrokenScriptReply() { return Status::Error(Code::kUnavailable, "a script's reply that is none"); }

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
  Run("stable", {keys.Meta()}, {"touch", "0"},
      [this, meta = std::string(keys.Meta()), done = std::move(done)](RedisResult result) {
        if (!result.status.ok()) return done(std::move(result.status));
        client_.WaitForReplicas(result.link, options_.replicas, options_.replica_timeout_ms,
                                [this, meta, head = result.reply.text, done](RedisStatus status) {
                                  if (status.ok()) Run("stable", {meta}, {"raise", head}, [](const RedisResult&) {});
                                  done(std::move(status));
                                });
      });
}

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
            if (status.ok() && reply.elements.size() < 3)
              status = reply.elements.empty() ? UnknownConv() : BrokenScriptReply();
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
