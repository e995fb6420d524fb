// Where other processes store into the same log: what is told to them, and what their bells tell.

#include <algorithm>
#include <utility>

#include "core/identifiers.h"
#include "engine/engine.h"

namespace everyonce {
namespace {

constexpr size_t kMaxPacketOfBell = 4096;       // a larger message is told of, and read by those who want it
constexpr size_t kMaxHeardWhileEntering = 256;  // conversations that one connection keeps between hello and welcome
constexpr size_t kHeardPerStep = 4096;
constexpr size_t kMaxNews = 4096;  // conversations that wait to be looked at; beyond it their channel is compared

size_t BytesOf(const Bell& bell) { return sizeof(Bell) + bell.packet.size(); }

bool IsIn(const MemberList& sorted, const std::string& user) {
  return std::binary_search(sorted.begin(), sorted.end(), user);
}

}  // namespace

void Engine::ListenToRelay() {
  relay_ = log_->relay();
  if (relay_ == nullptr) return;
  relaying_ = std::make_unique<Relaying>();
  relaying_->channels.resize(relay_->channels());
  const auto heard = [this](std::vector<Bell> bells) {
    for (Bell& bell : bells) {
      const bool full =
          relaying_->heard.size() >= Relaying::kMaxHeard || relaying_->heard_bytes >= Relaying::kMaxHeardBytes;
      if (full) {
        MarkUnsure(relay_->ChannelOf(bell.conv.empty() ? bell.user : bell.conv));
        continue;
      }
      relaying_->heard_bytes += BytesOf(bell);
      relaying_->heard.push_back(std::move(bell));
    }
  };
  relay_->Listen(heard, [this](uint32_t channel) { MarkUnsure(channel); });
}

// --- telling ---

// On the channel of its conversation, and of users who may not listen there yet.
void Engine::TellBell(const Bell& bell, const std::vector<std::string>& users) {
  std::vector<uint32_t> channels;
  if (!bell.conv.empty()) channels.push_back(relay_->ChannelOf(bell.conv));
  for (const std::string& user : users) channels.push_back(relay_->ChannelOf(user));
  std::sort(channels.begin(), channels.end());
  channels.erase(std::unique(channels.begin(), channels.end()), channels.end());
  for (const uint32_t channel : channels) relay_->Tell(channel, bell);
}

void Engine::TellMessage(const Delivery& delivery, const std::vector<std::string>& removed) {
  const Message& message = delivery.message;
  Bell bell;
  bell.kind = Bell::Kind::kMessage;
  bell.conv = message.conv;
  bell.epoch = message.epoch;
  bell.seq = message.seq;
  bell.user = message.from;
  bell.device = message.device;
  if (delivery.packet.size() <= kMaxPacketOfBell) bell.packet = delivery.packet;
  bell.added = delivery.added;
  bell.removed = removed;
  bell.audience = delivery.audience;
  // The first message of a direct conversation makes it known to its users.
  const bool begins = message.seq == 1 && IsDirect(message.conv);
  TellBell(bell, begins ? *delivery.audience : delivery.added);
}

// --- who listens here ---

void Engine::Watch(Connection& connection, uint32_t channel) {
  if (connection.channels.empty()) connection.channels.resize(relay_->channels());
  if (connection.channels[channel]) return;
  connection.channels[channel] = true;
  relay_->Watch(channel);
}

void Engine::ListenTo(Connection& connection, const std::string& conv) {
  const uint32_t channel = relay_->ChannelOf(conv);
  Watch(connection, channel);
  relaying_->channels[channel].conversations[conv].connections.push_back(&connection);
}

SharedConversation* Engine::SharedOf(const std::string& conv) {
  auto& conversations = relaying_->channels[relay_->ChannelOf(conv)].conversations;
  const auto found = conversations.find(conv);
  return found == conversations.end() ? nullptr : &found->second;
}

// REQUIRES: it is not in online_ any more.
void Engine::StopListening(Connection& connection) {
  for (const auto& [conv, link] : connection.links) {
    SharedConversation* shared = SharedOf(conv);
    if (shared == nullptr) continue;
    std::erase(shared->connections, &connection);
    if (!shared->connections.empty()) continue;
    GiveHeld(shared, kMaxInteger);
    if (!shared->connections.empty()) continue;  // somebody gained it by what was held
    relaying_->channels[relay_->ChannelOf(conv)].conversations.erase(conv);
  }
  const auto entering = relaying_->entering.find(connection.user);
  if (entering != relaying_->entering.end()) {
    std::erase(entering->second, &connection);
    if (entering->second.empty()) relaying_->entering.erase(entering);
  }
  if (!connection.user.empty() && !online_.contains(connection.user)) {
    relaying_->channels[relay_->ChannelOf(connection.user)].users.erase(connection.user);
  }
  if (connection.wide) --relaying_->wide;
  for (uint32_t channel = 0; channel < connection.channels.size(); ++channel) {
    if (connection.channels[channel]) relay_->Unwatch(channel);
  }
  connection.channels.clear();
}

// A connection begins to listen before anything is read for it, so that nothing falls between the two.
void Engine::BeginListening(Connection& connection) {
  Watch(connection, relay_->ChannelOf(connection.user));
  relaying_->entering[connection.user].push_back(&connection);
}

// Its hello is in the log. False: a later one of the same device is already known, and this connection is closed.
bool Engine::TellOfHello(Connection& connection, int64_t hello_ms) {
  connection.hello_ms = hello_ms;
  if (connection.displaced_ms > hello_ms) {
    ++counters_.replaced;
    Shut(connection, 4409);
    return false;
  }
  TellBell({.kind = Bell::Kind::kDevice,
            .user = connection.user,
            .device = connection.device,
            .pe = connection.pe,
            .hello_ms = hello_ms},
           {connection.user});
  relay_->Send();
  relay_->People({{connection.user, connection.device}},
                 [this, id = connection.id](bool ok, const std::vector<Relay::Person>& people) {
                   Connection* current = Find(id);
                   if (ok && current != nullptr && current->phase == Phase::kEntering) {
                     current->listed = people[0].conversations;
                   }
                 });
  return true;
}

// The welcome is out: from here on bells are for it. What they told of while its views were read is looked at again.
void Engine::ListenFromWelcome(Connection& connection, bool wide) {
  if (wide) {
    // It is told of everything, and has no link for most.
    connection.wide = true;
    ++relaying_->wide;
    for (uint32_t channel = 0; channel < relay_->channels(); ++channel) Watch(connection, channel);
  }
  auto& users = relaying_->channels[relay_->ChannelOf(connection.user)].users;
  const auto [entry, inserted] = users.try_emplace(connection.user, connection.listed);
  if (!inserted && entry->second != connection.listed) entry->second = UINT64_MAX;
  const auto entering = relaying_->entering.find(connection.user);
  if (entering != relaying_->entering.end()) {
    std::erase(entering->second, &connection);
    if (entering->second.empty()) relaying_->entering.erase(entering);
  }
  for (const uint32_t channel : std::exchange(connection.unsure, {})) {
    if (connection.channels[channel]) MarkUnsure(channel);
  }
  for (const std::string& conv : std::exchange(connection.heard, {})) RecheckConnection(connection, conv);
}

// --- hearing ---

void Engine::TakeHeard() {
  std::deque<Bell>& heard = relaying_->heard;
  for (size_t i = 0; i < kHeardPerStep && !heard.empty() && pushed_bytes_ < options_.output_bytes; ++i) {
    Bell bell = std::move(heard.front());
    heard.pop_front();
    relaying_->heard_bytes -= BytesOf(bell);
    Hear(bell);
  }
}

void Engine::Hear(Bell& bell) {
  switch (bell.kind) {
    case Bell::Kind::kMessage:
      return HearMessage(bell);
    case Bell::Kind::kNews:
      NoteEntering(bell);
      if (IsDirect(bell.conv)) {
        const DirectUsers users = UsersOfDirect(bell.conv);
        return HearNews(bell.conv, {std::string(users.first), std::string(users.second)});
      }
      return HearNews(bell.conv, {});
    case Bell::Kind::kReceipt:
    case Bell::Kind::kSignal:
      return TellMembers(bell);
    case Bell::Kind::kDevice:
      return HearDevice(bell);
  }
}

void Engine::HearMessage(Bell& bell) {
  if (!relaying_->entering.empty()) NoteEntering(bell);
  if (bell.audience == nullptr) return FindAudience(bell);
  Delivery delivery;
  delivery.message.conv = std::move(bell.conv);
  delivery.message.epoch = bell.epoch;
  delivery.message.seq = bell.seq;
  delivery.message.from = std::move(bell.user);
  delivery.message.device = std::move(bell.device);
  delivery.packet = std::move(bell.packet);
  delivery.audience = std::move(bell.audience);
  delivery.added = std::move(bell.added);
  Arrive(std::move(delivery));
}

// The members have changed since they were last asked for here, or never were.
void Engine::FindAudience(Bell& bell) {
  std::vector<std::string> users = bell.added;
  users.insert(users.end(), bell.removed.begin(), bell.removed.end());
  if (!Concerns(bell.conv, users)) return;
  if (bell.version.empty()) return HearNews(bell.conv, users);
  const std::string conv = bell.conv;
  log_->MembersOf(conv, [this, users, kept = std::make_shared<Bell>(std::move(bell))](
                            const Status&, const std::shared_ptr<const MemberList>&) {
    if (relay_->Resolve(kept.get())) return HearMessage(*kept);
    HearNews(kept->conv, users);
  });
}

bool Engine::Concerns(const std::string& conv, const std::vector<std::string>& users) {
  return SharedOf(conv) != nullptr || relaying_->wide > 0 ||
         std::any_of(users.begin(), users.end(), [&](const auto& user) { return online_.contains(user); });
}

// Something may be there that nobody here was told of. `users`: who may have it beside those who listen.
void Engine::HearNews(const std::string& conv, const std::vector<std::string>& users) {
  if (!Concerns(conv, users)) return;
  if (rechecks_.size() >= kMaxNews) return MarkUnsure(relay_->ChannelOf(conv));
  NoteNews(conv, users, false);
}

// The views of those who are between hello and welcome may be older than this bell.
void Engine::NoteEntering(const Bell& bell) {
  for (const auto& [user, connections] : relaying_->entering) {
    if (bell.audience != nullptr && !IsIn(*bell.audience, user)) continue;
    for (Connection* connection : connections) {
      if (connection->heard.size() < kMaxHeardWhileEntering) {
        connection->heard.push_back(bell.conv);
      } else {
        connection->unsure.push_back(relay_->ChannelOf(bell.conv));
      }
    }
  }
}

// Receipts and signals go to members who are online now, and to nobody else.
void Engine::TellMembers(const Bell& bell) {
  if (SharedOf(bell.conv) == nullptr) return;
  const bool signal = bell.kind == Bell::Kind::kSignal;
  log_->MembersOf(bell.conv, [this, signal, packet = bell.packet](const Status& status,
                                                                  const std::shared_ptr<const MemberList>& members) {
    if (!status.ok() || members == nullptr) return;
    for (const std::string& member : *members) {
      const auto found = online_.find(member);
      if (found == online_.end()) continue;
      for (Connection* each : found->second) {
        if (each->lagging || (signal && pushed_bytes_ >= options_.output_bytes)) continue;
        Out(*each)->append(packet);
        pushed_bytes_ += packet.size();
      }
    }
  });
}

// A device has one connection, over all processes: the one that said hello last.
void Engine::HearDevice(const Bell& bell) {
  std::vector<Connection*> older;
  const auto online = online_.find(bell.user);
  if (online != online_.end()) older = online->second;
  const auto entering = relaying_->entering.find(bell.user);
  if (entering != relaying_->entering.end()) {
    older.insert(older.end(), entering->second.begin(), entering->second.end());
  }
  for (Connection* connection : older) {
    if (connection->device != bell.device) continue;
    connection->displaced_ms = std::max(connection->displaced_ms, bell.hello_ms);
    if (connection->hello_ms == 0 || connection->hello_ms >= bell.hello_ms) continue;
    ++counters_.replaced;
    Shut(*connection, 4409);
  }
}

// --- in order ---

// A message comes to this process, from its own commits or by a bell: it is given to connections when what is before it
// was, or did not come in time.
void Engine::Arrive(Delivery delivery) {
  const Message& message = delivery.message;
  SharedConversation* shared = SharedOf(message.conv);
  if (shared == nullptr) return Give(delivery);
  if (message.epoch < shared->epoch) return NoteNews(message.conv, {}, false);  // of a history that is over
  if (message.epoch > shared->epoch) {
    GiveHeld(shared, kMaxInteger);
    shared->epoch = message.epoch;
    shared->next = 0;
  }
  if (shared->next == 0) {
    shared->next = message.seq;
    for (const Connection* connection : shared->connections) {
      const Link& link = connection->links.at(message.conv);
      if (link.epoch == message.epoch && !link.loading) shared->next = std::min(shared->next, link.head + 1);
    }
  }
  if (message.seq < shared->next) {
    // Heard twice; or those who follow it were given before, and told that something is missing.
    Connection* own = delivery.own == 0 ? nullptr : Find(delivery.own);
    if (own != nullptr) OwnAccepted(*own, message);
    return;
  }
  if (message.seq > shared->next) {
    const uint64_t seq = message.seq;
    ++relaying_->counters.held;
    if (shared->held.empty()) {
      shared->held_until_ms = now_.steady_ms + options_.relaying.hold_ms;
      relaying_->holds.push_back({shared->held_until_ms, message.conv});
    }
    shared->held_bytes += delivery.packet.size();
    shared->held.try_emplace(seq, std::move(delivery));
    const bool full =
        shared->held.size() > Relaying::kMaxHeldPerConversation || shared->held_bytes > Relaying::kMaxHeldBytes;
    if (full) GiveHeld(shared, kMaxInteger);
    return;
  }
  Give(delivery);
  ++shared->next;
  if (shared->held.empty()) return;
  while (!shared->held.empty() && shared->held.begin()->first == shared->next) GiveHeld(shared, shared->next);
  if (shared->held.empty()) return;
  shared->held_until_ms = now_.steady_ms + options_.relaying.hold_ms;
  relaying_->holds.push_back({shared->held_until_ms, shared->held.begin()->second.message.conv});
}

// Gives what is held up to this seq, whatever is missing between.
void Engine::GiveHeld(SharedConversation* shared, uint64_t up_to) {
  while (!shared->held.empty() && shared->held.begin()->first <= up_to) {
    const auto node = shared->held.extract(shared->held.begin());
    shared->held_bytes -= node.mapped().packet.size();
    shared->next = node.key() + 1;
    Give(node.mapped());
  }
}

}  // namespace everyonce
