#include <algorithm>
#include <utility>

#include "engine/engine.h"

namespace everyonce {
namespace {

constexpr std::string_view kExpiredReason = "expired";
constexpr uint8_t kMaxRepeats = 3;          // of an unacked push, protocol.md
constexpr uint64_t kMaxRedelivered = 1000;  // in one page; the rest when it is due again
constexpr size_t kMaxHeld = 64;             // messages of a conversation that a connection is just told of
constexpr size_t kSmallAudience = 64;       // below it, walk the audience; above, the smaller of audience and online

void WriteMessageEvent(std::string_view packet, std::string* json) {
  *json += R"({"event":"message","message":)";
  json->append(packet);
  *json += '}';
}

}  // namespace

// A message is stored, durable and acked: out to everybody here, and to the other processes.
void Engine::Accepted(Delivery delivery, const std::vector<std::string>& removed) {
  WriteMsg(delivery.message, &delivery.packet);
  if (options_.message_events) {
    std::string json;
    WriteMessageEvent(delivery.packet, &json);
    Event(json);
  }
  if (relay_ == nullptr) return Give(delivery);
  TellMessage(delivery, removed);
  Arrive(std::move(delivery));
}

void Engine::Give(const Delivery& delivery) {
  Connection* own = delivery.own == 0 ? nullptr : Find(delivery.own);
  if (own != nullptr) OwnAccepted(*own, delivery.message);
  Deliver(delivery);
}

// Fan-out: to every device of every member as of that seq. One stored record, one encoded packet, a copy per socket.
void Engine::Deliver(const Delivery& delivery) {
  const Message& message = delivery.message;
  const MemberList& audience = *delivery.audience;
  const std::vector<std::string>& added = delivery.added;
  auto deliver_to_user = [&](const std::string& user, const std::vector<Connection*>& connections) {
    const bool gained = std::find(added.begin(), added.end(), user) != added.end();
    for (Connection* connection : connections) {
      if (connection->device == message.device && user == message.from) {  // it has the ack
        if (relay_ != nullptr && connection->id != delivery.own) OwnAccepted(*connection, message);
        continue;
      }
      DeliverTo(*connection, message, delivery.packet, gained);
    }
  };
  if (audience.size() <= kSmallAudience || audience.size() <= online_.size()) {
    for (const std::string& user : audience) {
      const auto found = online_.find(user);
      if (found != online_.end()) deliver_to_user(user, found->second);
    }
    return;
  }
  for (const auto& [user, connections] : online_) {
    if (std::binary_search(audience.begin(), audience.end(), user)) deliver_to_user(user, connections);
  }
}

void Engine::DeliverTo(Connection& connection, const Message& message, std::string_view packet, bool gained) {
  Link& link = LinkOf(connection, message, gained);
  if (relay_ != nullptr && !link.loading && link.epoch != 0 && link.epoch != message.epoch) {
    if (message.epoch < link.epoch) return;
    CheckHistory(connection, message.conv, link);
  }
  if (link.loading) {
    link.epoch = message.epoch;
    link.head = std::max(link.head, message.seq);
    if (link.held.size() < kMaxHeld) {
      link.held.emplace_back(message.seq, packet);
    } else {
      link.head_due = true;
    }
    return;
  }
  if (message.seq < link.next && message.epoch == link.epoch && link.live) return;  // told already
  link.epoch = message.epoch;
  link.head = std::max(link.head, message.seq);
  Tell(connection, message.conv, link, message.seq, packet);
}

// Pushes a message, or tells of it by a head; one without a packet always so.
void Engine::Tell(Connection& connection, const std::string& conv, Link& link, uint64_t seq, std::string_view packet) {
  if (link.live && (packet.empty() || connection.lagging || connection.unacked >= options_.limits.window ||
                    pushed_bytes_ >= options_.output_bytes)) {
    FallBehind(connection, conv, link);
  } else if (link.live) {
    if (!link.told || seq != link.next) SendHead(connection, conv, link);
    Push(connection, link, seq, packet);
  } else {
    HeadSoon(connection, conv, link);
  }
}

// News of a conversation that is behind: at once, then at most once an interval with the newest.
void Engine::HeadSoon(Connection& connection, const std::string& conv, Link& link) {
  link.caught_up = false;
  link.head_due = true;
  if (now_.steady_ms - link.head_sent_ms >= options_.head_interval_ms || link.head_sent_ms == 0) {
    return SendHead(connection, conv, link);
  }
  if (!connection.heads_due) {
    connection.heads_due = true;
    heads_due_.push_back(connection.id);
  }
  heads_due_ms_ = std::min(heads_due_ms_, link.head_sent_ms + options_.head_interval_ms);
}

// The link of a conversation that this connection was not told of: one gained while connected starts live at its first
// visible seq; any other (past the welcome's thousand) is live only where nothing before this message is missing.
Link& Engine::LinkOf(Connection& connection, const Message& message, bool gained) {
  const auto [found, inserted] = LinkTo(connection, message.conv);
  Link& link = *found;
  if (!inserted && !gained) return link;
  link.told = false;
  link.epoch = message.epoch;
  link.next = message.seq;
  link.got = 0;
  link.head = 0;
  LoadLink(connection, message.conv, link,
           [gained, seq = message.seq](const ConversationView& view) { return gained || view.got + 1 >= seq; });
  return link;
}

std::pair<Link*, bool> Engine::LinkTo(Connection& connection, const std::string& conv) {
  const auto [entry, inserted] = connection.links.try_emplace(conv);
  if (inserted && relay_ != nullptr && !connection.application) ListenTo(connection, conv);
  return {&entry->second, inserted};
}

// Asks the log where a link begins. `is_live`: whether nothing before the message that it is for is missing. Where the
// log answers later, what comes meanwhile is held, and told then.
void Engine::LoadLink(Connection& connection, const std::string& conv, Link& link,
                      std::function<bool(const ConversationView&)> is_live) {
  link.live = false;
  link.loading = true;
  link.head_due = false;
  link.held.clear();
  const ConnectionId id = connection.id;
  log_->View(connection.user, connection.device, conv,
             [this, id, conv, is_live = std::move(is_live)](const Status& status, const ConversationView& view) {
               Connection* current = Find(id);
               if (current == nullptr) return;
               const auto found = current->links.find(conv);
               if (found == current->links.end() || !found->second.loading) return;
               Link& loaded = found->second;
               loaded.loading = false;
               if (status.ok()) {
                 loaded.got = std::max(loaded.got, view.got);
                 loaded.head = std::max(loaded.head, view.head);
                 loaded.live = current->live_pushes && !loaded.head_due && is_live(view);
               }
               const auto held = std::exchange(loaded.held, {});
               if (loaded.head_due) return SendHead(*current, conv, loaded);
               for (const auto& [seq, packet] : held) {
                 if (seq >= loaded.next || !loaded.live) Tell(*current, conv, loaded, seq, packet);
               }
             });
}

void Engine::Push(Connection& connection, Link& link, uint64_t seq, std::string_view packet) {
  Out(connection)->append(packet);
  pushed_bytes_ += packet.size();
  ++counters_.pushes;
  ++connection.unacked;
  link.next = seq + 1;
  if (link.pushed.empty()) link.first_push_ms = now_.steady_ms;
  link.pushed.push_back({seq, now_.steady_ms});
  redelivery_due_ms_ = std::min(redelivery_due_ms_, now_.steady_ms + options_.redelivery_ms);
}

void Engine::FallBehind(Connection& connection, const std::string& conv, Link& link) {
  link.live = false;
  link.caught_up = false;
  SendHead(connection, conv, link);
}

void Engine::SendHead(Connection& connection, const std::string& conv, Link& link) {
  ++counters_.heads;
  WriteHead(conv, link.epoch, link.head, link.got, Out(connection));
  link.told = true;
  link.head_due = false;
  link.head_sent_ms = now_.steady_ms;
}

// Live again, from the very next message on. REQUIRES: nothing up to head is missing at the device or on its way.
void Engine::CatchUp(Connection& connection, Link& link) {
  if (link.live || !connection.live_pushes) return;
  link.caught_up = true;
  if (connection.lagging || connection.unacked >= options_.limits.window) return;
  link.live = true;
  link.head_due = false;
  link.next = link.head + 1;
}

// The window or the socket has room again: what waited for nothing else is live.
void Engine::CatchUpAll(Connection& connection) {
  if (connection.lagging || connection.unacked >= options_.limits.window) return;
  for (auto& entry : connection.links) {
    if (!entry.second.live && entry.second.caught_up) CatchUp(connection, entry.second);
  }
}

// The sending device's own message counts as acked by it, and it knows the seq from its ack.
void Engine::OwnAccepted(Connection& connection, const Message& message) {
  const auto [found, inserted] = LinkTo(connection, message.conv);
  Link& link = *found;
  if (inserted) {
    link.epoch = message.epoch;
    // What follows in this group is committed already and reaches this link by Deliver.
    LoadLink(connection, message.conv, link,
             [seq = message.seq](const ConversationView& view) { return view.got >= seq; });
  }
  if (relay_ != nullptr && !inserted && !link.loading && link.epoch != 0 && message.epoch > link.epoch) {
    CheckHistory(connection, message.conv, link);
  }
  // What lies between did not come: it is not to be told any more.
  const bool jumped = !inserted && !link.loading && link.live && message.seq > link.next;
  if (message.seq == link.got + 1) link.got = message.seq;
  link.head = std::max(link.head, message.seq);
  if (message.seq >= link.next) link.next = message.seq + 1;
  if (jumped) SendHead(connection, message.conv, link);
}

void Engine::RunHeads() {
  heads_due_ms_ = INT64_MAX;
  std::vector<ConnectionId> again;
  for (const ConnectionId id : std::exchange(heads_due_, {})) {
    Connection* connection = Find(id);
    if (connection == nullptr) continue;
    connection->heads_due = false;
    for (auto& [conv, link] : connection->links) {
      if (!link.head_due || link.loading) continue;
      const int64_t due_ms = link.head_sent_ms + options_.head_interval_ms;
      if (now_.steady_ms >= due_ms) {
        SendHead(*connection, conv, link);
        continue;
      }
      heads_due_ms_ = std::min(heads_due_ms_, due_ms);
      connection->heads_due = true;
    }
    if (connection->heads_due) again.push_back(id);
  }
  heads_due_.insert(heads_due_.end(), again.begin(), again.end());
}

// What was pushed and is unacked after 10 s goes out again, three times; then the connection is given up, or, where it
// showed life by another ack or pull, the conversation goes behind.
void Engine::RunRedelivery() {
  redelivery_due_ms_ = INT64_MAX;
  std::vector<ConnectionId> silent;
  for (auto& [id, connection] : connections_) {
    if (connection->unacked == 0) continue;
    for (auto& [conv, link] : connection->links) {
      if (link.pushed.empty()) continue;
      const int64_t due_ms = link.pushed.front().pushed_ms + options_.redelivery_ms;
      if (now_.steady_ms < due_ms) {
        redelivery_due_ms_ = std::min(redelivery_due_ms_, due_ms);
        continue;
      }
      if (link.repeats < kMaxRepeats) {
        ++link.repeats;
        if (!connection->lagging) Redeliver(*connection, conv, link, link.pushed.front().seq);
        redelivery_due_ms_ = std::min(redelivery_due_ms_, now_.steady_ms + options_.redelivery_ms);
        continue;
      }
      if (connection->last_progress_ms <= link.first_push_ms) {
        silent.push_back(id);
        break;
      }
      connection->unacked -= static_cast<uint32_t>(link.pushed.size());
      link.pushed.clear();
      link.repeats = 0;
      FallBehind(*connection, conv, link);
    }
  }
  // A scan over everybody, so at most one a second.
  if (redelivery_due_ms_ != INT64_MAX) redelivery_due_ms_ = std::max(redelivery_due_ms_, now_.steady_ms + 1000);
  for (const ConnectionId id : silent) {
    Connection* connection = Find(id);
    if (connection != nullptr) Shut(*connection, 4410);
  }
}

void Engine::Redeliver(Connection& connection, const std::string& conv, Link& link, uint64_t first) {
  PullQuery query;
  query.user = connection.user;
  query.device = connection.device;
  query.conv = conv;
  // What is unacked below was not pushed here: a client that pages newest first has it yet to come.
  query.hold = true;
  query.go_on = Position{conv, link.epoch, first - 1};
  query.limit = static_cast<uint32_t>(std::min<uint64_t>(link.pushed.back().seq - first + 1, kMaxRedelivered));
  const ConnectionId id = connection.id;
  log_->Pull(query, [this, id, conv](const Status& status, const Page& page) {
    Connection* current = Find(id);
    if (current == nullptr || !status.ok()) return;
    const auto found = current->links.find(conv);
    if (found == current->links.end()) return;
    Link& pushed_link = found->second;
    for (const PageItem& item : page.items) {
      if (item.is_hole() && item.hole.reason == kExpiredReason) WriteHole(item.hole, Out(*current));  // since pushed
      const bool pushed = std::any_of(pushed_link.pushed.begin(), pushed_link.pushed.end(),
                                      [&](const PushedMessage& each) { return each.seq == item.message.seq; });
      if (item.is_hole() || !pushed) continue;
      std::string packet;
      WriteMsg(item.message, &packet);
      Out(*current)->append(packet);
      pushed_bytes_ += packet.size();
      ++counters_.redeliveries;
    }
    // What had no room in this page follows in the next: the same repeat, not a later one.
    const uint64_t told = page.items.empty() ? pushed_link.pushed.back().seq : page.position.seq;
    for (PushedMessage& each : pushed_link.pushed) each.pushed_ms = now_.steady_ms;
    const auto rest = std::find_if(pushed_link.pushed.begin(), pushed_link.pushed.end(),
                                   [&](const PushedMessage& each) { return each.seq > told; });
    if (rest != pushed_link.pushed.end() && pushed_bytes_ < options_.output_bytes) {
      Redeliver(*current, conv, pushed_link, rest->seq);
    }
  });
}

}  // namespace everyonce
