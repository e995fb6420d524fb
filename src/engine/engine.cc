#include "engine/engine.h"

#include <algorithm>
#include <utility>

#include "core/identifiers.h"

namespace everyonce {
namespace {

// Decoded packets that wait on one connection. A frame is taken in whole while fewer do, so that what one step takes in
// (EngineThread: kMaxPacketsPerStep and a frame) never meets it on a connection that waits for nobody.
constexpr size_t kMaxWaitingPackets = 8192;
constexpr int64_t kRetryWaitingMs = 1000;
constexpr int64_t kArchiveWaitMs = 100;  // between looks for the archive's group, which comes at a server's first start
constexpr uint32_t kMalformedPerMinute = 10;

bool IsCommand(const DecodedPacket& decoded) {
  if (decoded.error) return decoded.error->is_send;
  switch (decoded.packet.type) {
    case PacketType::kSend:
    case PacketType::kSkip:
    case PacketType::kGot:
    case PacketType::kRead:
    case PacketType::kCreate:
    case PacketType::kAdd:
    case PacketType::kRemove:
    case PacketType::kLeave:
    case PacketType::kTokens:  // depends on nothing that came before it
      return true;
    default:
      return false;
  }
}

// What a packet counts against limits.rate.
uint32_t CostOf(const DecodedPacket& decoded) {
  if (decoded.error || decoded.packet.type != PacketType::kTokens) return 1;
  return static_cast<uint32_t>((decoded.packet.count.value_or(1) + kTokensPerRate - 1) / kTokensPerRate);
}

}  // namespace

Engine::Engine(Log* log, EngineOptions options)
    : log_(log),
      options_(std::move(options)),
      user_rates_(options_.limits.user_rate),
      address_rates_(options_.limits.address_rate),
      packages_(options_.package_limits, options_.package_timeout_ms) {
  ListenToFeed();
  log_->OnTrouble([this](std::string_view code, std::string_view message) { Trouble(code, message); });
  ListenToRelay();
}
Engine::~Engine() {
  if (log_->feed() != nullptr) log_->feed()->OnNews({});
  log_->OnTrouble({});
  if (relay_ != nullptr) relay_->Listen({}, {});
}

Connection* Engine::Find(ConnectionId id) {
  const auto found = connections_.find(id);
  return found == connections_.end() ? nullptr : found->second.get();
}

Connection& Engine::Insert(ConnectionId id, bool application) {
  auto connection = std::make_unique<Connection>(id, application ? 0 : options_.limits.rate);
  connection->application = application;
  Connection& inserted = *connection;
  connections_[id] = std::move(connection);
  if (!application) ++counters_.connections;
  return inserted;
}

void Engine::Open(uint32_t connection, std::string_view address) {
  if (Find(connection) != nullptr) return;
  Connection& opened = Insert(connection, false);
  if (!address.empty()) opened.address_rate = address_rates_.Of(address, now_.steady_ms);
}

void Engine::Accept(uint32_t id, std::string_view user) {
  Connection* connection = Find(id);
  if (connection == nullptr || connection->phase != Phase::kAuthenticating) return;
  connection->user = user;
  connection->user_rate = user_rates_.Of(user, now_.steady_ms);
  connection->phase = Phase::kEntering;
  MakeReady(*connection);
}

// What it had sent before it went is decided all the same, as far as no read comes before it; nobody hears the answers.
void Engine::Close(uint32_t id) {
  Connection* connection = Find(id);
  if (connection != nullptr && connection->phase == Phase::kWelcomed) ProcessInbox(*connection);
  Forget(id);
}

void Engine::SetLagging(uint32_t id, bool lagging) {
  Connection* connection = Find(id);
  if (connection == nullptr) return;
  connection->lagging = lagging;
  if (!lagging) CatchUpAll(*connection);
}

size_t Engine::Receive(uint32_t id, std::string_view frame, const Time& now) {
  now_ = now;
  Connection* connection = Find(id);
  if (connection == nullptr || connection->phase == Phase::kClosed) return 0;
  decoded_.clear();
  const Status status = decoder_.Decode(frame, options_.limits, &decoded_);
  if (!status.ok()) {
    DecodedPacket refused;
    refused.error.emplace();
    refused.error->status = status;
    decoded_.push_back(std::move(refused));
  }
  // Only a connection that waits for an answer of somebody else's (authorize, a store far away) gathers that much: what
  // the edge hands over is bounded, and is taken when what came before it was looked at.
  const size_t packets = decoded_.size();
  if (connection->inbox.size() >= kMaxWaitingPackets) {
    RefuseWaiting(*connection);
    return packets;
  }
  for (DecodedPacket& decoded : decoded_) connection->inbox.push_back(std::move(decoded));
  MakeReady(*connection);
  return packets;
}

// The frame that was just decoded finds too many before it: refused packet by packet, for now, and counted like any
// other that comes too fast.
void Engine::RefuseWaiting(Connection& connection) {
  if (connection.phase != Phase::kWelcomed) {
    SendError(connection, {.code = Code::kRateLimited, .message = "Too many packets before the welcome."});
    return Shut(connection, 4429);
  }
  uint64_t refused = 0;
  for (const DecodedPacket& decoded : decoded_) {
    RefuseForNow(connection, decoded, "Too many packets wait for an answer; wait, then send the same again.",
                 kRetryWaitingMs);
    refused = connection.refused.Add(now_.steady_ms);
  }
  // Without a limit on the rate, none on what comes too fast: then it is the default's that ends this.
  if (refused >= uint64_t{10} * (options_.limits.rate > 0 ? options_.limits.rate : Limits{}.rate)) {
    Shut(connection, 4429);
  }
}

void Engine::Request(uint32_t request, std::string_view user, std::string_view device, std::string_view packet,
                     bool for_client) {
  Connection& connection = Insert(kApplicationBit | request, true);
  connection.user = user;
  connection.device = device.empty() ? "server" : device;
  connection.phase = Phase::kWelcomed;
  connection.for_client = for_client;
  decoded_.clear();
  Limits limits = options_.limits;
  const Status status = decoder_.Decode(packet, limits, &decoded_);
  if (!status.ok() || decoded_.size() != 1) {
    return SendError(connection,
                     {.code = Code::kBadRequest, .message = status.ok() ? "A request is one packet." : status.message});
  }
  connection.inbox.push_back(std::move(decoded_.front()));
  MakeReady(connection);
}

void Engine::Drain(int64_t after_ms) {
  for (auto& [id, connection] : connections_) {
    if (connection->application || connection->phase == Phase::kClosed) continue;
    WriteBye("drain", after_ms, Out(*connection));
  }
}

void Engine::MakeReady(Connection& connection) {
  if (connection.ready) return;
  connection.ready = true;
  ready_.push_back(connection.id);
}

void Engine::Step(const Time& now) {
  now_ = now;
  if (relay_ != nullptr) TakeHeard();
  do {
    while (!ready_.empty() && pushed_bytes_ < options_.output_bytes && group_.size() < options_.group_commands &&
           group_bytes_ < options_.group_bytes) {
      Connection* connection = Find(ready_.front());
      ready_.pop_front();
      if (connection == nullptr) continue;
      connection->ready = false;
      ProcessInbox(*connection);
    }
    if (!committing_ && !group_.empty()) CommitGroup();
  } while (!committing_ && (!group_.empty() || (!ready_.empty() && pushed_bytes_ < options_.output_bytes)));
  RunTimers();
  if (relay_ != nullptr) relay_->Send();
}

// Takes packets in order until one has to wait: a read waits for the commands before it, everything waits for a read.
void Engine::ProcessInbox(Connection& connection) {
  const ConnectionId id = connection.id;
  for (Connection* current = &connection; current != nullptr; current = Find(id)) {
    if (current->phase == Phase::kClosed || current->phase == Phase::kAuthenticating) return;
    if (current->phase == Phase::kEntering) {
      if (current->commands_in_flight + current->reads_in_flight == 0) Enter(*current);
      return;
    }
    if (!asking_.empty() && RunAnsweredRead(*current)) continue;
    if (pushed_bytes_ >= options_.output_bytes && (current->deferred_pull || !current->inbox.empty())) {
      MakeReady(*current);  // when this step's output is taken
      return;
    }
    if (current->deferred_pull) {
      --current->reads_in_flight;
      DeferredPull pull = std::move(*current->deferred_pull);
      current->deferred_pull.reset();
      ReadPage(id, std::move(pull.rid_json), std::move(pull.query));
      continue;
    }
    if (current->inbox.empty() || current->reads_in_flight > 0) return;
    if (!IsCommand(current->inbox.front()) && current->commands_in_flight > 0) return;
    if (group_.size() >= options_.group_commands || group_bytes_ >= options_.group_bytes) {
      MakeReady(*current);
      return;
    }
    DecodedPacket decoded = current->inbox.Take();
    ++counters_.packets;
    if (WithinRate(*current, decoded)) Handle(*current, std::move(decoded));
  }
}

bool Engine::WithinRate(Connection& connection, const DecodedPacket& decoded) {
  const PacketType type = decoded.packet.type;
  if (!decoded.error && (type == PacketType::kGot || type == PacketType::kRead || type == PacketType::kPing ||
                         type == PacketType::kPong)) {
    return true;
  }
  const int64_t retry_ms = connection.rate.Take(now_.steady_ms, CostOf(decoded));
  if (retry_ms == 0) {
    return WithinShared(connection, connection.user_rate.get(), decoded) &&
           WithinShared(connection, connection.address_rate.get(), decoded);
  }
  RefuseForNow(connection, decoded, "More packets than the server's rate allows; wait, then send the same again.",
               retry_ms);
  if (connection.refused.Add(now_.steady_ms) >= uint64_t{10} * options_.limits.rate) Shut(connection, 4429);
  return false;
}

// The same for what several connections share: who goes on after ten times as many warnings as packets were allowed is
// the one that is closed.
bool Engine::WithinShared(Connection& connection, SharedRate* shared, const DecodedPacket& decoded) {
  if (shared == nullptr) return true;
  const int64_t retry_ms = shared->rate.Take(now_.steady_ms, CostOf(decoded));
  if (retry_ms == 0) return true;
  RefuseForNow(connection, decoded, "More packets than all your connections together may send; wait, then send again.",
               retry_ms);
  const bool of_user = shared == connection.user_rate.get();
  const uint32_t per_second = (of_user ? user_rates_ : address_rates_).per_second();
  if (shared->refused.Add(now_.steady_ms) >= uint64_t{10} * per_second) Shut(connection, 4429);
  return false;
}

// `rate_limited`, to a packet that was not looked at further: a nack where it is a send that can be named.
void Engine::RefuseForNow(Connection& connection, const DecodedPacket& decoded, std::string_view message,
                          int64_t retry_ms) {
  const bool bad = decoded.error.has_value();
  const bool is_send = bad ? decoded.error->is_send && !decoded.error->conv.empty() && !decoded.error->id.empty()
                           : decoded.packet.type == PacketType::kSend;
  if (!is_send) {
    return SendError(connection, {.code = Code::kRateLimited,
                                  .message = message,
                                  .rid_json = bad ? decoded.error->rid_json : decoded.packet.rid_json,
                                  .retry_ms = retry_ms});
  }
  ++counters_.nacks;
  WriteNack({.conv = bad ? decoded.error->conv : decoded.packet.conv,
             .id = bad ? decoded.error->id : decoded.packet.id,
             .n = bad ? decoded.error->n.value_or(0) : decoded.packet.n.value_or(0),
             .code = Code::kRateLimited,
             .message = message,
             .retry_ms = retry_ms},
            Out(connection));
}

void Engine::Handle(Connection& connection, DecodedPacket decoded) {
  if (options_.authorize && connection.phase == Phase::kWelcomed && HoldForVerdict(connection, &decoded)) return;
  if (decoded.error) return Refuse(connection, *decoded.error);
  Packet& packet = decoded.packet;
  if (connection.phase == Phase::kOpened) return Hello(connection, std::move(packet));
  switch (packet.type) {
    case PacketType::kSend:
      return SendMessage(connection, std::move(packet));
    case PacketType::kGot:
      return Got(connection, std::move(packet));
    case PacketType::kPing:
      return WritePong(Out(connection));
    case PacketType::kPong:
      return;
    case PacketType::kPull:
      return Pull(connection, std::move(packet));
    case PacketType::kRead:
      return Read(connection, std::move(packet));
    case PacketType::kResume:
      return Resume(connection, std::move(packet));
    case PacketType::kStatus:
      return AskStatus(connection, std::move(packet));
    case PacketType::kSkip:
      return Skip(connection, std::move(packet));
    case PacketType::kSignal:
      return Signal(connection, std::move(packet));
    case PacketType::kCreate:
    case PacketType::kAdd:
    case PacketType::kRemove:
    case PacketType::kLeave:
      return ChangeMembers(connection, std::move(packet));
    case PacketType::kHello: {
      SendError(connection, {.code = Code::kBadRequest, .message = "A connection says hello once, first."});
      return Shut(connection, 4400);
    }
    case PacketType::kHistory:
      return History(connection, std::move(packet));
    case PacketType::kCounts:
      return Counts(connection, std::move(packet));
    case PacketType::kTokens:
      return Tokens(connection, std::move(packet));
    case PacketType::kUnknown:
      break;
  }
  SendError(connection, {.code = Code::kUnsupported,
                         .message = "This server does not know the packet \"" + packet.type_name + "\".",
                         .rid_json = packet.rid_json});
}

// A packet that could not be read. Before the hello it ends the connection; a send is answered by a nack, in its turn.
void Engine::Refuse(Connection& connection, const PacketError& error) {
  if (connection.phase == Phase::kOpened || error.is_hello || error.too_many_positions) {
    SendError(connection, {.code = error.status.code, .message = error.status.message, .rid_json = error.rid_json});
    return Shut(connection, 4400);
  }
  const bool too_many = !connection.application && connection.malformed.Add(now_.steady_ms) > kMalformedPerMinute;
  if (error.is_send && !error.conv.empty() && !error.id.empty()) {
    SendRefused(connection, error);
  } else {
    SendError(connection, {.code = error.status.code, .message = error.status.message, .rid_json = error.rid_json});
  }
  if (too_many) Shut(connection, 4400);
}

void Engine::Submit(Connection& connection, Command command, Pending pending) {
  ++connection.commands_in_flight;
  group_bytes_ += command.body.size();
  command.user = command.user.empty() ? connection.user : std::move(command.user);
  command.device = connection.device;
  command.pe = connection.pe;
  pending.connection = connection.id;
  group_.push_back(std::move(command));
  group_pending_.push_back(std::move(pending));
}

void Engine::CommitGroup() {
  committing_ = true;
  committing_group_.swap(group_);
  committing_pending_.swap(group_pending_);
  group_.clear();
  group_pending_.clear();
  group_bytes_ = 0;
  ++counters_.groups;
  tend_due_ms_ = std::min(tend_due_ms_, now_.steady_ms + options_.tend_interval_ms);
  counters_.commands += committing_group_.size();
  log_->Commit(committing_group_, now_.wall_ms, [this](std::vector<Outcome> outcomes) { Settle(std::move(outcomes)); });
}

void Engine::Settle(std::vector<Outcome> outcomes) {
  for (size_t i = 0; i < outcomes.size(); ++i) {
    const Command& command = committing_group_[i];
    Pending& pending = committing_pending_[i];
    Connection* connection = Find(pending.connection);
    if (outcomes[i].code == Code::kUnavailable) {
      ++counters_.unavailable;
    }
    if (outcomes[i].unknown) NoteUnknown(command);
    if (connection != nullptr) {
      --connection->commands_in_flight;
      MakeReady(*connection);
    }
    if (pending.then) {
      pending.then(connection, command, outcomes[i]);
    } else {
      AnswerSend(connection, command, outcomes[i]);
    }
  }
  committing_group_.clear();
  committing_pending_.clear();
  committing_ = false;
}

void Engine::ReadDone(Connection& connection) {
  --connection.reads_in_flight;
  MakeReady(connection);
}

void Engine::RunTimers() {
  if (now_.steady_ms >= recheck_due_ms_) RunRechecks();
  if (now_.steady_ms >= heads_due_ms_) RunHeads();
  if (now_.steady_ms >= receipts_due_ms_) RunReceipts();
  if (now_.steady_ms >= redelivery_due_ms_) RunRedelivery();
  if (now_.steady_ms >= tend_due_ms_) {
    tend_due_ms_ = log_->Tend(now_.wall_ms) ? now_.steady_ms + options_.tend_interval_ms / 10 : INT64_MAX;
  }
  if (now_.steady_ms >= retain_due_ms_ && !committing_) {
    const int64_t again_ms = MayRetain() ? log_->Retain(now_.wall_ms) : kArchiveWaitMs;
    retain_due_ms_ = again_ms < 0 ? INT64_MAX : now_.steady_ms + std::max<int64_t>(again_ms, 1);
  }
  if (now_.steady_ms >= packages_.NextDeadline()) RunPackages();
  if (relay_ != nullptr) RunRelaying();
}

int64_t Engine::NextDeadline() const {
  return std::min({tend_due_ms_, retain_due_ms_, recheck_due_ms_, heads_due_ms_, receipts_due_ms_, redelivery_due_ms_,
                   packages_.NextDeadline(), RelayingDeadline()});
}

}  // namespace everyonce
