// Bells may be lost. What no bell told of is found by comparing positions: of a channel at once when something of it
// may have been missed, of everything in turn all the time.

#include <algorithm>
#include <utility>

#include "engine/engine.h"

namespace everyonce {
namespace {

constexpr uint32_t kSweepParts = 16;  // a round over all channels goes in so many steps
constexpr size_t kHeadsAtOnce = 256;  // conversations in one question
constexpr size_t kPeopleAtOnce = 256;
constexpr size_t kMaxComparing = 32;  // questions under way
constexpr size_t kMaxSuspicions = 65'536;
constexpr size_t kMaxViews = 20'000;

bool IsOff(const Link& link, const Relay::Head& head) { return link.epoch != head.epoch || link.head < head.seq; }

}  // namespace

void Engine::MarkUnsure(uint32_t channel) {
  if (channel >= relaying_->channels.size()) return;
  for (const auto& entry : relaying_->entering) {
    for (Connection* connection : entry.second) {
      if (connection->unsure.size() < relaying_->channels.size()) connection->unsure.push_back(channel);
    }
  }
  WatchedChannel& watched = relaying_->channels[channel];
  if (watched.unsure || (watched.conversations.empty() && watched.users.empty())) return;
  watched.unsure = true;
  relaying_->unsure.push_back(channel);
}

void Engine::RunRelaying() {
  Relaying& relaying = *relaying_;
  const int64_t now_ms = now_.steady_ms;
  while (!relaying.holds.empty() && relaying.holds.front().due_ms <= now_ms) {
    const std::string conv = std::move(relaying.holds.front().conv);
    relaying.holds.pop_front();
    SharedConversation* shared = SharedOf(conv);
    if (shared == nullptr || shared->held.empty() || shared->held_until_ms > now_ms) continue;
    ++relaying.counters.gaps;
    GiveHeld(shared, kMaxInteger);
  }
  while (!relaying.suspicions.empty() && relaying.suspicions.front().due_ms <= now_ms) {
    const Relaying::Suspicion suspicion = std::move(relaying.suspicions.front());
    relaying.suspicions.pop_front();
    CatchUpWith(suspicion);
  }
  while (!relaying.listings.empty() && relaying.listings.front().due_ms <= now_ms) {
    const std::string user = std::move(relaying.listings.front().user);
    relaying.listings.pop_front();
    ListAgain(user);
  }
  if (now_ms >= relaying.sweep_due_ms) {
    const auto channels = static_cast<uint32_t>(relaying.channels.size());
    for (uint32_t i = 0; i < channels / kSweepParts + 1 && relaying.sweep_due_ms != 0; ++i) {
      MarkUnsure(relaying.sweep_at);
      relaying.sweep_at = (relaying.sweep_at + 1) % channels;
    }
    relaying.sweep_due_ms = now_ms + std::max<int64_t>(1, options_.relaying.compare_ms / kSweepParts);
  }
  while (!relaying.unsure.empty() && relaying.comparing < kMaxComparing && now_ms >= relaying.compare_again_ms) {
    const uint32_t channel = relaying.unsure.front();
    relaying.unsure.pop_front();
    relaying.channels[channel].unsure = false;
    CompareConversations(channel);
    ComparePeople(channel);
  }
}

int64_t Engine::RelayingDeadline() const {
  if (relay_ == nullptr) return INT64_MAX;
  const Relaying& relaying = *relaying_;
  int64_t due_ms = relaying.sweep_due_ms;
  if (!relaying.holds.empty()) due_ms = std::min(due_ms, relaying.holds.front().due_ms);
  if (!relaying.suspicions.empty()) due_ms = std::min(due_ms, relaying.suspicions.front().due_ms);
  if (!relaying.listings.empty()) due_ms = std::min(due_ms, relaying.listings.front().due_ms);
  // With as many under way as may be, an answer wakes us.
  if (!relaying.unsure.empty() && relaying.comparing < kMaxComparing) {
    due_ms = std::min(due_ms, relaying.compare_again_ms);
  }
  return due_ms;
}

// The store could not answer: later.
void Engine::CompareLater(uint32_t channel) {
  relaying_->compare_again_ms = now_.steady_ms + options_.relaying.retry_ms;
  MarkUnsure(channel);
}

void Engine::CompareConversations(uint32_t channel) {
  std::vector<std::string> convs;
  const auto ask = [&] {
    if (convs.empty()) return;
    ++relaying_->comparing;
    relaying_->counters.compared += convs.size();
    relay_->Heads(convs, [this, channel, convs](bool ok, const std::vector<Relay::Head>& heads) {
      --relaying_->comparing;
      if (!ok) return CompareLater(channel);
      for (size_t i = 0; i < heads.size(); ++i) Suspect(convs[i], heads[i]);
    });
    convs.clear();
  };
  for (const auto& entry : relaying_->channels[channel].conversations) {
    convs.push_back(entry.first);
    if (convs.size() == kHeadsAtOnce) ask();
  }
  ask();
}

void Engine::CompareConversation(const std::string& conv) {
  if (SharedOf(conv) == nullptr) return;
  ++relaying_->counters.compared;
  relay_->Heads({conv}, [this, conv](bool ok, const std::vector<Relay::Head>& heads) {
    if (!ok) return CompareLater(relay_->ChannelOf(conv));
    Suspect(conv, heads[0]);
  });
}

// The log has more of a conversation than connections were told, or less: soon they are told, if that stays so.
void Engine::Suspect(const std::string& conv, const Relay::Head& head) {
  const SharedConversation* shared = SharedOf(conv);
  if (shared == nullptr || relaying_->suspicions.size() >= kMaxSuspicions) return;
  bool more = false;
  bool less = false;
  for (const Connection* connection : shared->connections) {
    const Link& link = connection->links.at(conv);
    if (link.loading) continue;
    more = more || IsOff(link, head);
    less = less || (link.head > head.seq && (link.epoch == head.epoch || head.epoch == 0));
  }
  if (!more && !less) return;
  relaying_->suspicions.push_back({now_.steady_ms + options_.relaying.grace_ms, conv, head, less});
}

void Engine::CatchUpWith(const Relaying::Suspicion& suspicion) {
  const SharedConversation* shared = SharedOf(suspicion.conv);
  if (shared == nullptr) return;
  const std::vector<Connection*> connections = shared->connections;  // what is asked may be answered at once
  for (Connection* connection : connections) {
    Link& link = connection->links.at(suspicion.conv);
    if (connection->phase != Phase::kWelcomed || link.loading) continue;
    if (suspicion.less && link.head > suspicion.head.seq) {
      ++relaying_->counters.catch_ups;
      CheckHistory(*connection, suspicion.conv, link);
    } else if (IsOff(link, suspicion.head)) {
      ++relaying_->counters.catch_ups;
      RecheckConnection(*connection, suspicion.conv);
    }
  }
}

// Whether these users' devices are still theirs, and whether they gained a conversation.
void Engine::ComparePeople(uint32_t channel) {
  std::vector<std::pair<std::string, std::string>> devices;
  std::vector<ConnectionId> ids;
  const auto ask = [&] {
    if (devices.empty()) return;
    ++relaying_->comparing;
    relay_->People(devices, [this, channel, ids](bool ok, const std::vector<Relay::Person>& people) {
      --relaying_->comparing;
      if (!ok) return CompareLater(channel);
      JudgePeople(ids, people);
    });
    devices.clear();
    ids.clear();
  };
  for (const auto& entry : relaying_->channels[channel].users) {
    const auto online = online_.find(entry.first);
    if (online == online_.end()) continue;
    for (const Connection* connection : online->second) {
      devices.emplace_back(connection->user, connection->device);
      ids.push_back(connection->id);
    }
    if (devices.size() >= kPeopleAtOnce) ask();
  }
  ask();
}

void Engine::JudgePeople(const std::vector<ConnectionId>& ids, const std::vector<Relay::Person>& people) {
  for (size_t i = 0; i < ids.size() && i < people.size(); ++i) {
    Connection* connection = Find(ids[i]);
    if (connection == nullptr || connection->phase != Phase::kWelcomed) continue;
    if (people[i].hello_ms > connection->hello_ms) {
      ++counters_.replaced;
      Shut(*connection, 4409);
      continue;
    }
    auto& users = relaying_->channels[relay_->ChannelOf(connection->user)].users;
    const auto known = users.find(connection->user);
    if (known == users.end() || known->second == people[i].conversations) continue;
    // A conversation is on the list before it has its first message (index first): the bell of that is most likely
    // under way.
    if (relaying_->listings.size() >= kMaxSuspicions) continue;
    known->second = people[i].conversations;
    relaying_->listings.push_back({now_.steady_ms + options_.relaying.grace_ms, connection->user});
  }
}

// Tells the user's connections of conversations that they were not told of. One with more than a welcome names is left
// alone: it asks `counts`.
void Engine::ListAgain(const std::string& user) {
  const auto online = online_.find(user);
  if (online == online_.end()) return;
  for (const Connection* connection : std::vector<Connection*>(online->second)) {
    if (connection->wide) continue;
    log_->Views(user, connection->device, {}, kMaxViews,
                [this, id = connection->id](const Status& status, const std::vector<ConversationView>& views, bool) {
                  Connection* current = Find(id);
                  if (current == nullptr || current->wide) return;
                  if (!status.ok()) return ListUnknown(current->user);
                  for (const ConversationView& view : views) {
                    if (current->links.contains(view.conv) || (!view.member && view.head <= view.got)) continue;
                    ++relaying_->counters.catch_ups;
                    TellNews(*current, view);
                  }
                });
  }
}

// Its list could not be read: what it names counts as unknown, and is compared again.
void Engine::ListUnknown(const std::string& user) {
  const uint32_t channel = relay_->ChannelOf(user);
  const auto known = relaying_->channels[channel].users.find(user);
  if (known != relaying_->channels[channel].users.end()) known->second = UINT64_MAX;
  CompareLater(channel);
}

// The log may have another history than the one that this connection was told of (protocol.md, Epochs): asks what of it
// survived, and tells. What comes meanwhile is told by `head` then.
void Engine::CheckHistory(Connection& connection, const std::string& conv, Link& link) {
  const Position told{conv, link.epoch, link.head};
  link.loading = true;
  log_->ResumeAt(connection.user, connection.device, {told},
                 [this, id = connection.id, told](const Status& status, const std::vector<ResumeView>& views) {
                   Connection* current = Find(id);
                   if (current == nullptr) return;
                   Link& checked = current->links.at(told.conv);
                   checked.loading = false;
                   if (!status.ok() || views.empty()) {
                     checked.epoch = told.epoch;
                     // One that was owed had no turn meanwhile.
                     if (checked.head_due) HeadSoon(*current, told.conv, checked);
                     return RecheckLater(told.conv, {current->user});
                   }
                   TellHistory(*current, checked, told, views[0]);
                 });
}

void Engine::TellHistory(Connection& connection, Link& link, const Position& told, const ResumeView& found) {
  const ConversationView& view = found.view;
  const bool held = !link.held.empty() || link.head_due;
  const uint64_t held_head = held ? link.head : 0;
  link.held.clear();
  // It is gone, and so is everything else, most likely: the client comes again, is told of all, and offers its own.
  if (view.epoch == 0) return Shut(connection, 1012);
  // A slower clock named it than the one that named what was lost, and clients take the higher epoch for the later.
  // This was asked for after the other had been told, so which is the later is known: who comes again is judged by what
  // he brings.
  if (view.epoch < told.epoch) {
    SharedConversation* shared = SharedOf(told.conv);
    if (shared != nullptr && shared->epoch > view.epoch) {
      shared->held.clear();  // of the history that is over; what survived of it is pulled
      shared->held_bytes = 0;
      shared->epoch = view.epoch;
      shared->next = 0;
    }
    return Shut(connection, 1012);
  }
  if (found.resume == everyonce::Resume::kOk && view.epoch == told.epoch) {
    link.epoch = told.epoch;
    link.head = std::max(told.seq, view.head);
    if (link.head > told.seq || link.head_due) HeadSoon(connection, told.conv, link);
    return;
  }
  const uint64_t keep = found.resume == everyonce::Resume::kOk          ? told.seq
                        : found.resume == everyonce::Resume::kTruncated ? found.keep
                                                                        : 0;
  WriteEpoch(told.conv, view.epoch, keep, Out(connection));
  const size_t before = link.pushed.size();
  std::erase_if(link.pushed, [&](const PushedMessage& each) { return each.seq > keep; });
  connection.unacked -= static_cast<uint32_t>(before - link.pushed.size());
  link.repeats = 0;
  link.told = true;
  link.live = false;
  link.caught_up = false;
  link.epoch = view.epoch;
  link.got = view.got;
  link.head = std::max(view.head, held_head);
  link.next = link.head + 1;
  if (link.got >= link.head) return CatchUp(connection, link);
  SendHead(connection, told.conv, link);
}

}  // namespace everyonce
