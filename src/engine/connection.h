#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/packet.h"
#include "core/packet_writer.h"
#include "engine/rate_limiter.h"
#include "engine/shared_rates.h"
#include "log/log.h"

namespace everyonce {

// Names a connection, or, above 2^32, one request of the application itself.
using ConnectionId = uint64_t;
inline constexpr ConnectionId kApplicationBit = uint64_t{1} << 32;

// Where a connection is on its way in. It moves only forward.
enum class Phase : uint8_t {
  kOpened,          // nothing heard: the next packet must be a hello
  kAuthenticating,  // the hook is asked who this is
  kEntering,        // the hello is being committed
  kWelcomed,
  kClosed,
};

struct PushedMessage {
  uint64_t seq = 0;
  int64_t pushed_ms = 0;
};

// What a connection was told of one conversation (protocol.md, Receiving: live and behind).
struct Link {
  bool told = false;  // welcome, resume or head has named it on this connection
  bool live = false;
  bool caught_up = false;  // behind, though nothing is missing: live as soon as the window has room
  bool head_due = false;   // behind, and newer than the last head that went out
  bool loading = false;    // the log is asked where it begins: nothing is told of it before that is known
  // What came while it was loading, in order: packets to be told then. Too many: none, and head_due.
  std::vector<std::pair<uint64_t, std::string>> held;
  uint8_t repeats = 0;  // times that what is unacked was pushed again
  uint64_t epoch = 0;
  uint64_t head = 0;
  uint64_t got = 0;
  uint64_t next = 1;  // the seq that would follow without a gap
  int64_t head_sent_ms = 0;
  int64_t first_push_ms = 0;          // of the oldest that is unacked, the first time
  std::vector<PushedMessage> pushed;  // not yet acked, ascending; all links together at most limits.window
};

// Decoded packets in order. One allocation for as many as ever waited at once, kept while few do: a deque would
// allocate for each, since a packet is larger than its nodes.
class PacketQueue {
 public:
  bool empty() const { return first_ == packets_.size(); }
  size_t size() const { return packets_.size() - first_; }
  const DecodedPacket& front() const { return packets_[first_]; }
  void push_back(DecodedPacket packet) { packets_.push_back(std::move(packet)); }
  // REQUIRES: !empty().
  DecodedPacket Take() {
    DecodedPacket packet = std::move(packets_[first_++]);
    if (empty()) {
      packets_.clear();
      first_ = 0;
      if (packets_.capacity() > kKept) packets_.shrink_to_fit();
    } else if (first_ >= kTaken && first_ >= size()) {
      // One that is never quite empty: what was taken makes room, at a cost of one move per packet.
      packets_.erase(packets_.begin(), packets_.begin() + static_cast<std::ptrdiff_t>(first_));
      first_ = 0;
    }
    return packet;
  }

 private:
  static constexpr size_t kKept = 4;
  static constexpr size_t kTaken = 64;
  std::vector<DecodedPacket> packets_;
  size_t first_ = 0;
};

// A pull whose page is to be read when what it acks is in the log, and this step's output has room.
struct DeferredPull {
  std::string rid_json;
  PullQuery query;
};

struct Connection {
  Connection(ConnectionId connection_id, uint32_t rate_per_second)
      : id(connection_id), rate(rate_per_second), refused(60'000), malformed(60'000) {}

  ConnectionId id;
  Phase phase = Phase::kOpened;
  bool application = false;  // a request of the server's own: answers go out as kAnswer
  bool for_client = false;   // … handed on for somebody else: the ids of its messages are judged as a device's
  bool live_pushes = true;   // hello's `live`
  bool lagging = false;      // the socket's own buffer is full
  bool ready = false;        // queued for processing
  bool dirty = false;        // has output
  bool heads_due = false;    // listed in Engine::heads_due_
  std::string user;
  std::string device;
  uint64_t pe = 0;
  std::vector<Position> positions;  // hello's `at`, until the welcome

  PacketQueue inbox;  // decoded, waiting for what came before them: kMaxWaitingPackets and one frame at most
  uint32_t commands_in_flight = 0;
  uint32_t reads_in_flight = 0;
  std::optional<DeferredPull> deferred_pull;  // counts as a read in flight

  std::unordered_map<std::string, Link> links;
  uint32_t unacked = 0;          // pushed and not acked, over all links
  int64_t last_progress_ms = 0;  // last ack or pull

  // Where other processes share the log (engine/relaying.h).
  std::vector<bool> channels;      // watched for it
  int64_t hello_ms = 0;            // when it said hello, by the log; 0: not yet
  int64_t displaced_ms = 0;        // the newest hello of its device that was heard of elsewhere
  uint64_t listed = UINT64_MAX;    // conversations on the user's list before the welcome's views were read
  std::vector<std::string> heard;  // conversations that bells told of while it was entering …
  std::vector<uint32_t> unsure;    // … and channels of which bells were missed then
  bool wide = false;               // has conversations that no link stands for

  FrameJoiner out;  // what is owed to it at the end of the step

  RateLimiter rate;
  std::shared_ptr<SharedRate> user_rate;  // with the user's other connections; null: no limit
  std::shared_ptr<SharedRate> address_rate;
  WindowCounter refused;
  WindowCounter malformed;
};

}  // namespace everyonce
