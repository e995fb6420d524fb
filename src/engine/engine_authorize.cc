// The application's word on what a member may do (EngineOptions::authorize): a packet is held while the edge asks, and
// goes on with the verdict. What a verdict does to a command is decided inside the commit, in protocol.md's order.

#include <utility>

#include "core/json_writer.h"
#include "engine/engine.h"

namespace everyonce {
namespace {

constexpr int64_t kTooManyRetryMs = 1000;

// Whether a packet changes its conversation, so that it must not overtake another one of this connection.
bool ChangesConversation(const DecodedPacket& decoded) {
  if (decoded.error) return decoded.error->is_send && !decoded.error->conv.empty();
  switch (decoded.packet.type) {
    case PacketType::kSend:
    case PacketType::kSkip:
    case PacketType::kCreate:
    case PacketType::kAdd:
    case PacketType::kRemove:
    case PacketType::kLeave:
      return true;
    default:
      return false;
  }
}

// The hook's name for what a packet wants; null: it needs no leave. The application itself is asked about only where it
// acts for a user; what it reads is its own affair.
const char* ActionOf(const Connection& connection, const DecodedPacket& decoded) {
  if (decoded.error || (connection.application && connection.user.empty())) return nullptr;
  switch (decoded.packet.type) {
    case PacketType::kSend:
      return connection.application ? "publish" : "send";
    case PacketType::kCreate:
      return "create";
    case PacketType::kAdd:
      return "add";
    case PacketType::kRemove:
      return "remove";
    case PacketType::kPull:
    case PacketType::kHistory:
    case PacketType::kCounts:
      return connection.application ? nullptr : "read";
    default:
      return nullptr;
  }
}

std::string QuestionJson(const char* action, const std::string& user, const Packet& packet) {
  std::string json = std::string(R"({"action":")") + action + R"(","user":)";
  WriteJsonString(user, &json);
  json += R"(,"conv":)";
  if (packet.conv.empty()) {
    json += "null";
  } else {
    WriteJsonString(packet.conv, &json);
  }
  if (packet.type == PacketType::kCreate || packet.type == PacketType::kAdd || packet.type == PacketType::kRemove) {
    json += R"(,"members":[)";
    for (const std::string& member : packet.members) {
      if (json.back() != '[') json += ',';
      WriteJsonString(member, &json);
    }
    json += ']';
  }
  return json + '}';
}

}  // namespace

// Takes the packet where it has to wait: for the hook's word, or behind what waits for it.
bool Engine::HoldForVerdict(Connection& connection, DecodedPacket* decoded) {
  const char* action = ActionOf(connection, *decoded);
  const bool in_lane = ChangesConversation(*decoded);
  const std::string conv = decoded->error ? decoded->error->conv : decoded->packet.conv;
  const auto found = asking_.find(connection.id);
  std::deque<Asking::Waiting>* lane = nullptr;
  if (in_lane && found != asking_.end() && found->second.lanes.contains(conv)) lane = &found->second.lanes[conv];
  if (action == nullptr && lane == nullptr) return false;
  const bool full = found != asking_.end() && (found->second.waiting >= Asking::kMaxWaiting ||
                                               (lane != nullptr && lane->size() >= Asking::kMaxLane));
  if (full) {
    RefuseForNow(connection, *decoded, "Too much waits to be allowed; wait, then send the same again.",
                 kTooManyRetryMs);
    return true;
  }
  Asking& asking = asking_[connection.id];
  Asking::Waiting waiting;
  if (action != nullptr) {
    do waiting.question = ++last_question_;
    while (last_question_ == 0 || questions_.contains(last_question_));
    questions_[waiting.question] = connection.id;
    output_.AddBytes(OutputKind::kAuthorize, waiting.question, QuestionJson(action, connection.user, decoded->packet));
  }
  waiting.decoded = std::move(*decoded);
  ++asking.waiting;
  if (in_lane) {
    asking.lanes[conv].push_back(std::move(waiting));
  } else {
    asking.reads.emplace(waiting.question, std::move(waiting));
  }
  return true;
}

// Answers for connections that are gone are ignored: the edge may be late.
void Engine::Authorized(uint32_t question, bool allowed) {
  const auto asked = questions_.find(question);
  if (asked == questions_.end()) return;
  const ConnectionId id = asked->second;
  questions_.erase(asked);
  const auto found = asking_.find(id);
  Connection* connection = Find(id);
  if (found == asking_.end() || connection == nullptr) return;
  Asking& asking = found->second;
  const auto read = asking.reads.find(question);
  if (read != asking.reads.end()) {
    read->second.refused = !allowed;
    asking.answered_reads.push_back(std::move(read->second));
    asking.reads.erase(read);
    return MakeReady(*connection);
  }
  for (auto& [conv, lane] : asking.lanes) {
    for (Asking::Waiting& waiting : lane) {
      if (waiting.question != question) continue;
      waiting.question = 0;
      waiting.refused = !allowed;
      return RunLane(id, std::string(conv));
    }
  }
}

// Does what is answered at the front of a lane. Any of it may end the connection.
void Engine::RunLane(ConnectionId id, const std::string& conv) {
  for (;;) {
    const auto found = asking_.find(id);
    Connection* connection = Find(id);
    if (found == asking_.end() || connection == nullptr) return;
    Asking& asking = found->second;
    const auto lane = asking.lanes.find(conv);
    if (lane == asking.lanes.end() || lane->second.front().question != 0) return;
    Asking::Waiting next = std::move(lane->second.front());
    lane->second.pop_front();
    --asking.waiting;
    if (lane->second.empty()) asking.lanes.erase(lane);
    if (asking.waiting == 0) asking_.erase(found);
    if (next.decoded.error) {
      Refuse(*connection, *next.decoded.error);
      continue;
    }
    Packet& packet = next.decoded.packet;
    switch (packet.type) {
      case PacketType::kSend:
        SendMessage(*connection, std::move(packet), next.refused);
        break;
      case PacketType::kSkip:
        Skip(*connection, std::move(packet));
        break;
      case PacketType::kLeave:
        ChangeMembers(*connection, std::move(packet));
        break;
      default:
        ChangeMembers(*connection, std::move(packet), !next.refused);
    }
  }
}

// An allowed read goes on as if it had just come, behind the commands that came before it.
bool Engine::RunAnsweredRead(Connection& connection) {
  const auto found = asking_.find(connection.id);
  if (found == asking_.end() || found->second.answered_reads.empty()) return false;
  if (connection.commands_in_flight + connection.reads_in_flight > 0) return false;
  Asking& asking = found->second;
  Asking::Waiting next = std::move(asking.answered_reads.front());
  asking.answered_reads.pop_front();
  --asking.waiting;
  if (asking.waiting == 0) asking_.erase(found);
  Packet& packet = next.decoded.packet;
  if (next.refused) {
    RefuseRead(connection, packet);
  } else if (packet.type == PacketType::kPull) {
    Pull(connection, std::move(packet));
  } else if (packet.type == PacketType::kHistory) {
    History(connection, std::move(packet));
  } else {
    Counts(connection, std::move(packet));
  }
  return true;
}

// A stranger can't tell from a refusal whether the conversation exists.
void Engine::RefuseRead(Connection& connection, const Packet& packet) {
  constexpr std::string_view kMessage = "You may not read this.";
  if (packet.conv.empty()) {
    return SendError(connection, {.code = Code::kForbidden, .message = kMessage, .rid_json = packet.rid_json});
  }
  const ConnectionId id = connection.id;
  ++connection.reads_in_flight;
  log_->View(connection.user, {}, packet.conv,
             [this, id, rid_json = packet.rid_json, kMessage](const Status& status, const ConversationView&) {
               Connection* asking = Find(id);
               if (asking == nullptr) return;
               ReadDone(*asking);
               if (!status.ok()) return SendReadError(*asking, status, rid_json);
               SendError(*asking, {.code = Code::kForbidden, .message = kMessage, .rid_json = rid_json});
             });
}

}  // namespace everyonce
