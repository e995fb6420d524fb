#include <utility>

#include "core/ws_frame.h"
#include "engine/engine.h"

namespace everyonce {
namespace {

// A frame is closed when it has grown this long, so that one connection's backlog is no single huge frame.
constexpr size_t kMaxFrameBytes = 4u << 20;

void AppendWebSocketFrame(std::string_view payload, std::string* out) {
  uint8_t header[kMaxWebSocketHeaderBytes];
  const size_t header_bytes = WriteWebSocketHeader(WebSocketOpcode::kText, payload.size(), header);
  out->append(reinterpret_cast<const char*>(header), header_bytes);
  out->append(payload);
}

}  // namespace

std::string* Engine::Out(Connection& connection) {
  if (connection.out.bytes() > kMaxFrameBytes) FlushConnection(connection);
  if (!connection.dirty) {
    connection.dirty = true;
    dirty_.push_back(connection.id);
  }
  return connection.out.Next();
}

void Engine::SendError(Connection& connection, const ErrorPacket& error) {
  ++counters_.errors;
  WriteError(error, Out(connection));
}

void Engine::FlushConnection(Connection& connection) {
  if (connection.out.packets() == 0) return;
  const std::string_view payload = connection.out.Finish();
  if (connection.application) {
    output_.AddBytes(OutputKind::kAnswer, static_cast<uint32_t>(connection.id), payload);
  } else {
    const auto offset = static_cast<uint32_t>(output_.bytes.size());
    AppendWebSocketFrame(payload, &output_.bytes);
    output_.Add(OutputKind::kWrite, static_cast<uint32_t>(connection.id), offset,
                static_cast<uint32_t>(output_.bytes.size() - offset));
  }
  connection.out.Clear();
}

// Gives out what is owed, then the close. What the connection had in flight is decided and stored all the same; its
// answers have nobody to go to.
void Engine::Shut(Connection& connection, uint32_t close_code) {
  if (connection.phase == Phase::kClosed || connection.application) return;
  FlushConnection(connection);
  output_.Add(OutputKind::kClose, static_cast<uint32_t>(connection.id), close_code);
  Forget(connection.id);
}

// Takes the connection out of every table. The object itself lives until the step's output is taken, because a caller
// up the stack may still hold it.
void Engine::Forget(ConnectionId id) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  Connection& connection = *found->second;
  if (!connection.application) --counters_.connections;
  if (connection.phase == Phase::kWelcomed && !connection.application) {
    --counters_.welcomed;
    const auto online = online_.find(connection.user);
    if (online != online_.end()) {
      std::erase(online->second, &connection);
      if (online->second.empty()) online_.erase(online);
    }
    std::string json = R"({"event":"disconnect","connection":)" + std::to_string(id) + R"(,"user":)";
    WriteJsonString(connection.user, &json);
    json += R"(,"device":)";
    WriteJsonString(connection.device, &json);
    json += '}';
    Event(json);
  }
  if (relay_ != nullptr && !connection.application) StopListening(connection);
  asking_.erase(id);
  connection.phase = Phase::kClosed;
  forgotten_.push_back(std::move(found->second));
  connections_.erase(found);
}

void Engine::Trouble(std::string_view code, std::string_view message) {
  std::string json = R"({"event":"error","code":)";
  WriteJsonString(code, &json);
  json += R"(,"message":)";
  WriteJsonString(message, &json);
  json += '}';
  Event(json);
}

void Engine::Event(std::string_view json) { output_.AddBytes(OutputKind::kEvent, 0, json); }

OutputBatch Engine::TakeOutput() {
  for (const ConnectionId id : dirty_) {
    Connection* connection = Find(id);
    if (connection == nullptr) continue;
    connection->dirty = false;
    FlushConnection(*connection);
    // A request is over with its answer.
    if (connection->application && connection->commands_in_flight + connection->reads_in_flight == 0) {
      connections_.erase(id);
    }
  }
  dirty_.clear();
  forgotten_.clear();
  pushed_bytes_ = 0;
  return std::exchange(output_, {});
}

}  // namespace everyonce
