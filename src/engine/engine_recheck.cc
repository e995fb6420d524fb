#include <algorithm>
#include <utility>

#include "core/identifiers.h"
#include "engine/engine.h"

namespace everyonce {
namespace {

// Conversations that wait to be looked at: more than two groups in a row that failed hold. Past it whoever is connected
// is told to come again, and asks about all.
constexpr size_t kMaxRechecks = 10'000;
constexpr size_t kMaxRepeats = 4096;  // of those that repeats give rise to; beyond it their channel is compared
constexpr size_t kRechecksAtOnce = 64;
constexpr int64_t kRetryMs = 1000;

}  // namespace

// A commit that failed is unknown: what it held may be stored, and then nobody was told of it. Its sender asks again
// and gets the first answer; the others learn of it here, from the log, as soon as that can be read: by `head`, as of
// anything that was not pushed.
void Engine::NoteUnknown(const Command& command) {
  if (command.kind != CommandKind::kSend && command.kind != CommandKind::kMembers) return;
  // Those who went by it are no members any more.
  std::vector<std::string> users = command.members;
  if (command.kind == CommandKind::kMembers) users.push_back(command.user);
  NoteNews(command.conv, users, true);
}

// A send that was accepted not long ago, perhaps by a process that died before it told anybody, or by a first try whose
// answer got lost on the way from the store.
void Engine::NoteRepeat(const Command& command, const Outcome& outcome) {
  if (now_.wall_ms - outcome.at_ms >= 2 * options_.relaying.compare_ms) return;
  if (rechecks_.size() < kMaxRepeats) return NoteNews(command.conv, {}, true);
  MarkUnsure(relay_->ChannelOf(command.conv));
  TellBell({.kind = Bell::Kind::kNews, .conv = command.conv}, {});
}

// `users`: to look for beside the members. `tell_others`: the processes that share the log don't know of it either.
void Engine::NoteNews(const std::string& conv, const std::vector<std::string>& users, bool tell_others) {
  std::set<std::string>& all_users = rechecks_[conv];
  for (const std::string& user : users) {
    if (online_.contains(user)) all_users.insert(user);
  }
  if (relay_ != nullptr && tell_others) relaying_->to_tell.insert(conv);
  recheck_due_ms_ = std::min(recheck_due_ms_, now_.steady_ms);
  if (rechecks_.size() <= kMaxRechecks) return;
  rechecks_.clear();
  std::vector<ConnectionId> all;
  for (const auto& [id, connection] : connections_) {
    if (!connection->application) all.push_back(id);
  }
  for (const ConnectionId id : all) Shut(*Find(id), 1012);
}

void Engine::RunRechecks() {
  recheck_due_ms_ = committing_ ? now_.steady_ms + 1 : INT64_MAX;
  if (committing_) return;
  if (recheck_failed_) {
    // A store that failed is opened again by a commit, and nobody else may send one.
    recheck_failed_ = false;
    log_->Commit(no_commands_, now_.wall_ms, [](const std::vector<Outcome>&) {});
  }
  for (size_t i = 0; i < kRechecksAtOnce && !rechecks_.empty() && !recheck_failed_; ++i) {
    auto node = rechecks_.extract(rechecks_.begin());
    log_->MembersOf(node.key(), [this, conv = node.key(), users = std::move(node.mapped())](
                                    const Status& status, const std::shared_ptr<const MemberList>& members) mutable {
      if (status.code == Code::kUnavailable) return RecheckLater(conv, users);
      if (relay_ != nullptr && relaying_->to_tell.erase(conv) > 0) {
        TellBell({.kind = Bell::Kind::kNews, .conv = conv}, status.ok() && IsDirect(conv) ? *members : MemberList());
      }
      if (status.ok() && members != nullptr) users.insert(members->begin(), members->end());
      if (relay_ != nullptr) CompareConversation(conv);
      for (const std::string& user : users) RecheckUser(conv, user);
    });
  }
  if (!rechecks_.empty()) {
    recheck_due_ms_ = std::min(recheck_due_ms_, now_.steady_ms + (recheck_failed_ ? kRetryMs : 1));
  }
}

void Engine::RecheckLater(const std::string& conv, const std::set<std::string>& users) {
  rechecks_[conv].insert(users.begin(), users.end());
  recheck_failed_ = true;
  recheck_due_ms_ = std::min(recheck_due_ms_, now_.steady_ms + kRetryMs);
}

void Engine::RecheckUser(const std::string& conv, const std::string& user) {
  const auto online = online_.find(user);
  if (online == online_.end()) return;
  std::vector<ConnectionId> ids;
  for (const Connection* connection : online->second) ids.push_back(connection->id);
  for (const ConnectionId id : ids) {
    const Connection* connection = Find(id);
    // Where others store, too, what the log has beyond what was told is mostly on its way: positions tell, a while
    // later.
    const bool compared = relay_ != nullptr && connection != nullptr && connection->links.contains(conv);
    if (connection != nullptr && !compared) RecheckConnection(*connection, conv);
  }
}

void Engine::RecheckConnection(const Connection& connection, const std::string& conv) {
  log_->View(
      connection.user, connection.device, conv,
      [this, id = connection.id, conv, user = connection.user](const Status& status, const ConversationView& view) {
        if (status.code == Code::kUnavailable) return RecheckLater(conv, {user});
        Connection* current = Find(id);
        if (status.ok() && current != nullptr) TellNews(*current, view);
      });
}

// What a connection was told of a conversation is brought up to what the log holds.
void Engine::TellNews(Connection& connection, const ConversationView& view) {
  if (view.epoch == 0) return;  // nothing was ever said there
  const auto [found, inserted] = LinkTo(connection, view.conv);
  Link& link = *found;
  if (!inserted && view.epoch == link.epoch && view.head <= link.head) return;
  if (!inserted && relay_ != nullptr && view.epoch != link.epoch && link.epoch != 0) {
    if (!link.loading) CheckHistory(connection, view.conv, link);
    return;
  }
  link.epoch = view.epoch;
  link.head = std::max(inserted ? 0 : link.head, view.head);
  link.got = std::max(inserted ? 0 : link.got, view.got);
  if (inserted) link.live = false;
  if (link.got >= link.head) {
    // Its own, or acked meanwhile: nothing is missing.
    link.next = std::max(link.next, link.head + 1);
    return CatchUp(connection, link);
  }
  if (link.live) return FallBehind(connection, view.conv, link);
  HeadSoon(connection, view.conv, link);
}

}  // namespace everyonce
