#include <algorithm>
#include <utility>

#include "core/identifiers.h"
#include "engine/engine.h"

namespace everyonce {
namespace {

// Views that a welcome looks at to find the thousand with something new, at most.
constexpr size_t kMaxViewsOfHello = 20'000;

std::string_view NameOf(TokenCheck tokens) {
  switch (tokens) {
    case TokenCheck::kNone:
      return {};
    case TokenCheck::kIfToken:
      return "accepted";
    case TokenCheck::kRequired:
      return "required";
  }
  return {};
}

bool HasNews(const ConversationView& view) { return view.head > view.got || view.unread > 0; }

}  // namespace

// The first packet of a connection: its shape is known to be right. Asks the edge who this is.
void Engine::Hello(Connection& connection, Packet packet) {
  if (packet.type != PacketType::kHello || packet.version != 1) {
    SendError(connection, {.code = Code::kBadRequest,
                           .message = packet.type != PacketType::kHello
                                          ? "The first packet of a connection must be \"hello\"."
                                          : "\"v\" must be 1, the version of the protocol that this server speaks.",
                           .rid_json = packet.rid_json});
    return Shut(connection, 4400);
  }
  connection.device = packet.device;
  connection.pe = packet.pe;
  connection.live_pushes = packet.live;
  connection.positions = std::move(packet.positions);
  connection.phase = Phase::kAuthenticating;
  std::string json = R"({"token":)";
  if (packet.token.empty()) {
    json += "null";
  } else {
    WriteJsonString(packet.token, &json);
  }
  json += R"(,"device":)";
  WriteJsonString(packet.device, &json);
  json += '}';
  output_.AddBytes(OutputKind::kAuthenticate, static_cast<uint32_t>(connection.id), json);
}

// Commits the hello: the device and its incarnation are known from here on, and what it brought counts as acked.
void Engine::Enter(Connection& connection) {
  Command command;
  command.kind = CommandKind::kDevice;
  command.positions = connection.positions;
  if (relay_ != nullptr) BeginListening(connection);
  Submit(connection, std::move(command), {.then = [this](Connection* entered, const Command& done, Outcome& outcome) {
           if (entered != nullptr) Welcome(entered->id, done.positions, outcome);
         }});
}

void Engine::Welcome(ConnectionId id, std::vector<Position> positions, Outcome& outcome) {
  Connection* connection = Find(id);
  if (connection == nullptr) return;
  if (outcome.code != Code::kOk) {
    ErrorPacket error{.code = outcome.code, .message = outcome.message, .retry_ms = outcome.retry_ms};
    if (outcome.code == Code::kStaleDevice) error.pe = outcome.pe;
    SendError(*connection, error);
    return Shut(*connection, outcome.code == Code::kStaleDevice ? 4409 : 1013);
  }
  if (relay_ != nullptr && !TellOfHello(*connection, outcome.at_ms)) return;
  ++connection->reads_in_flight;
  log_->ResumeAt(connection->user, connection->device, positions,
                 [this, id](Status resumed_status, std::vector<ResumeView> resumed) {
                   Connection* entered = Find(id);
                   if (entered == nullptr) return;
                   auto done = [this, id, resumed_status, resumed = std::move(resumed)](
                                   Status status, std::vector<ConversationView> views, bool more) mutable {
                     Connection* welcomed = Find(id);
                     if (welcomed == nullptr) return;
                     ReadDone(*welcomed);
                     if (!status.ok() || !resumed_status.ok()) {
                       SendError(*welcomed, {.code = Code::kUnavailable, .message = "The store cannot be read now."});
                       return Shut(*welcomed, 1013);
                     }
                     WelcomeWith(*welcomed, std::move(resumed), std::move(views), more);
                   };
                   log_->Views(entered->user, entered->device, {}, kMaxViewsOfHello, std::move(done));
                 });
}

void Engine::WelcomeWith(Connection& connection, std::vector<ResumeView> resumed, std::vector<ConversationView> views,
                         bool more) {
  std::vector<Connection*>& own = online_[connection.user];
  for (Connection* other : std::vector<Connection*>(own)) {
    if (other->device != connection.device) continue;
    ++counters_.replaced;
    Shut(*other, 4409);
  }
  online_[connection.user].push_back(&connection);
  connection.phase = Phase::kWelcomed;
  connection.last_progress_ms = now_.steady_ms;
  ++counters_.welcomed;

  std::stable_sort(views.begin(), views.end(), [](const auto& a, const auto& b) { return HasNews(a) && !HasNews(b); });
  if (views.size() > kMaxWelcomeConversations) {
    views.resize(kMaxWelcomeConversations);
    more = true;
  }
  std::unordered_map<std::string_view, const ResumeView*> brought;
  for (const ResumeView& view : resumed) brought.emplace(view.view.conv, &view);
  std::vector<ConversationEntry> entries;
  entries.reserve(views.size() + resumed.size());
  for (ConversationView& view : views) {
    TellOf(connection, view);
    ConversationEntry entry(std::move(view));
    const auto found = brought.find(entry.view.conv);
    if (found != brought.end()) {
      entry.resume = found->second->resume;
      entry.keep = found->second->keep;
      brought.erase(found);
    }
    entries.push_back(std::move(entry));
  }
  for (const ResumeView& view : resumed) {
    if (brought.count(view.view.conv) == 0 || view.resume == everyonce::Resume::kOk) continue;
    if (view.view.epoch != 0) TellOf(connection, view.view);
    entries.emplace_back(view);
  }
  WriteWelcome({.user = connection.user,
                .device = connection.device,
                .node = options_.node,
                .now_ms = now_.wall_ms,
                .limits = options_.limits,
                .tokens = NameOf(options_.tokens),
                .convs = entries,
                .more = more},
               Out(connection));
  connection.positions.clear();
  if (connection.live_pushes) WantMarks(connection);
  std::string json = R"({"event":"connect","connection":)" + std::to_string(connection.id) + R"(,"user":)";
  WriteJsonString(connection.user, &json);
  json += R"(,"device":)";
  WriteJsonString(connection.device, &json);
  json += '}';
  Event(json);
  if (relay_ != nullptr) ListenFromWelcome(connection, more);
}

void Engine::Resume(Connection& connection, Packet packet) {
  // What survives counts as acked first, so that the answer shows it; an older epoch's position is clipped by the log.
  const ConnectionId id = connection.id;
  auto answer = [this, id, rid_json = packet.rid_json, positions = packet.positions]() {
    Connection* asking = Find(id);
    if (asking == nullptr) return;
    ++asking->reads_in_flight;
    log_->ResumeAt(
        asking->user, asking->device, positions, [this, id, rid_json](Status status, std::vector<ResumeView> views) {
          Connection* current = Find(id);
          if (current == nullptr) return;
          ReadDone(*current);
          if (!status.ok()) {
            return SendError(*current, {.code = status.code, .message = status.message, .rid_json = rid_json});
          }
          std::vector<ConversationEntry> entries;
          for (ResumeView& view : views) {
            const auto link = current->links.find(view.view.conv);
            const bool told = link != current->links.end() && link->second.told;
            if (view.view.epoch != 0 && !told) TellOf(*current, view.view);
            entries.emplace_back(std::move(view));
          }
          WriteResume(rid_json, entries, Out(*current));
        });
  };
  // An ack's epoch 0 would mean the current one: as a position it is one that no log ever had.
  std::erase_if(packet.positions, [](const Position& position) { return position.epoch == 0; });
  if (packet.positions.empty()) return answer();
  for (size_t i = 0; i < packet.positions.size(); ++i) {
    Command command;
    command.kind = CommandKind::kGot;
    command.conv = packet.positions[i].conv;
    command.epoch = packet.positions[i].epoch;
    command.to = packet.positions[i].seq;
    const bool last = i + 1 == packet.positions.size();
    Submit(connection, std::move(command),
           {.then = [this, last, answer](Connection* acked, const Command& done, Outcome& outcome) {
             Acked(acked, done, outcome);
             if (last) answer();
           }});
  }
}

// The connection has been told where it stands in a conversation: live where nothing is missing, else behind.
void Engine::TellOf(Connection& connection, const ConversationView& view) {
  // One who left and has all is told no more, unless let in again. Where that is another process's doing, its bell may
  // be lost, and positions tell.
  if (!view.member && view.head <= view.got && relay_ == nullptr) return;
  Link& link = *LinkTo(connection, view.conv).first;
  link.told = true;
  link.live = connection.live_pushes && view.got >= view.head;
  link.head_due = false;
  link.epoch = view.epoch;
  link.head = view.head;
  link.got = view.got;
  link.next = view.head + 1;
}

}  // namespace everyonce
