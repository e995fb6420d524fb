#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/limits.h"
#include "core/status.h"

namespace everyonce {

// What a client may send, protocol.md. kUnknown is any other `t`: answered with an `error`, the connection stays up.
enum class PacketType : uint8_t {
  kUnknown,
  kHello,
  kResume,
  kPing,
  kPong,
  kSend,
  kStatus,
  kSkip,
  kGot,
  kPull,
  kHistory,
  kCounts,
  kCreate,
  kAdd,
  kRemove,
  kLeave,
  kRead,
  kSignal,
  kTokens,
};

struct Position {
  std::string conv;
  uint64_t epoch = 0;
  uint64_t seq = 0;
};

struct PackagePart {
  std::string id;
  uint32_t index = 0;
  uint32_t total = 0;
};

// One decoded, shape-checked packet. Owns its bytes. Only the keys that belong to `type` are set; every identifier has
// passed its grammar, every integer its range.
struct Packet {
  PacketType type = PacketType::kUnknown;
  std::string type_name;  // `t` as sent, for the answer to an unknown one; at most 64 bytes of it
  std::string rid_json;   // `rid` as JSON text, ready to be echoed ("\"a\"" or "12"); empty: none
  std::string conv;
  std::string id;
  std::string device;        // hello, status
  std::string message_type;  // send's `type`, "text" where it was absent
  std::string body;          // raw JSON text, byte for byte as sent (send, signal)
  std::string token;
  std::string next;
  std::string after_conv;  // counts' `after`
  uint64_t version = 0;    // hello's `v`: any integer; whether it is spoken is the caller's to judge
  uint64_t pe = 0;
  std::optional<uint64_t> n;
  std::optional<uint64_t> epoch;
  std::optional<uint64_t> seq;   // got, read
  std::optional<uint64_t> from;  // got, skip
  std::optional<uint64_t> to;
  std::optional<uint64_t> limit;
  std::optional<uint64_t> before;  // history
  std::optional<uint64_t> after;
  std::optional<uint64_t> count;  // tokens
  std::optional<uint64_t> at;     // send: the sender's own clock
  std::optional<PackagePart> package;
  bool live = true;
  bool hold = false;
  bool newest_first = false;
  bool history_all = false;
  std::vector<Position> positions;   // `at` of hello and resume
  std::vector<std::string> ids;      // status
  std::vector<std::string> members;  // create, add, remove
};

// Why a packet was refused, with what is needed to answer it: as a nack where it is a send whose conv and id could be
// read, else as an error. `status.field` is the key.
struct PacketError {
  Status status;
  std::string rid_json;
  bool is_send = false;
  std::string conv;  // send: empty if it could not be read or is no conversation id
  std::string id;    // send: empty if it could not be read or is no message id
  std::optional<uint64_t> n;
  std::string package_id;  // send: pkg.id, where it could be read
  bool is_hello = false;
  bool too_many_positions = false;  // hello or resume with more than 200: close code 4400
};

struct DecodedPacket {
  Packet packet;
  std::optional<PacketError> error;  // set: `packet` holds only what could be read
};

// Decodes frames. Keeps its parser's memory between calls, so one per thread; not thread-safe.
class FrameDecoder {
 public:
  FrameDecoder();
  ~FrameDecoder();
  FrameDecoder(const FrameDecoder&) = delete;
  FrameDecoder& operator=(const FrameDecoder&) = delete;

  // Appends to `out` the packets of one frame in order: one for a JSON object, each element for an array (an element
  // that is no object is a PacketError). Returns kBadRequest, and appends nothing, where the frame is not JSON or
  // neither object nor array. A body larger than limits.body_bytes is a PacketError with kTooLarge. Frames larger than
  // limits.frame_bytes are the edge's to refuse (1009) and are not checked here. `frame` is not kept.
  // Behind the kBadPacketsToClose-th PacketError of one frame nothing more is appended: the connection ends there.
  // A key given twice: the last one counts. Keys that do not belong to the packet's type are not looked at, and `rid`
  // in a packet that has no answer is echoed where it is one, else ignored.
  Status Decode(std::string_view frame, const Limits& limits, std::vector<DecodedPacket>* out);

 private:
  struct Impl;
  Impl* impl_;
};

}  // namespace everyonce
