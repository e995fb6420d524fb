#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "core/json_writer.h"
#include "core/limits.h"
#include "core/message.h"
#include "core/status.h"

namespace everyonce {

// Every packet that the server sends (protocol.md). Each Write appends one packet as JSON to `out`, keys in the order
// of protocol.md, and allocates nothing but `out`'s own growth. Text must be valid UTF-8, a body and a rid valid JSON:
// both are so once they have passed FrameDecoder. Times are Unix milliseconds.

// One entry of welcome.convs, or of a resume's answer. `resume` is set where the client brought a position.
struct ConversationEntry {
  ConversationView view;
  std::optional<Resume> resume;
  uint64_t keep = 0;  // written where resume is kTruncated

  ConversationEntry() = default;
  explicit ConversationEntry(ConversationView conversation) : view(std::move(conversation)) {}
  explicit ConversationEntry(ResumeView resumed)
      : view(std::move(resumed.view)), resume(resumed.resume), keep(resumed.keep) {}
};

struct WelcomePacket {
  std::string_view user = {};
  std::string_view device = {};
  std::string_view node = {};
  int64_t now_ms = 0;
  Limits limits = {};
  std::string_view tokens = {};  // "accepted" or "required"; empty: nothing is written
  std::span<const ConversationEntry> convs = {};
  bool more = false;
};
void WriteWelcome(const WelcomePacket& welcome, std::string* out);

// `rid_json` here and below: Packet::rid_json, JSON text ready to be echoed; never empty in an answer that needs one.
void WriteResume(std::string_view rid_json, std::span<const ConversationEntry> convs, std::string* out);

struct AckPacket {
  std::string_view conv = {};
  std::string_view id = {};
  uint64_t n = 0;  // 0: the send had none
  uint64_t seq = 0;
  uint64_t epoch = 0;
  uint64_t mid = 0;
  int64_t at_ms = 0;
  Safe safe = Safe::kMemory;
  bool duplicate = false;
};
void WriteAck(const AckPacket& ack, std::string* out);

struct NackPacket {
  std::string_view conv = {};
  std::string_view id = {};
  uint64_t n = 0;  // 0: the send had none
  Code code = Code::kBadRequest;
  std::string_view message = {};
  std::optional<uint64_t> expected = {};  // gap
  int64_t retry_ms = -1;                  // -1: final, nothing written
};
void WriteNack(const NackPacket& nack, std::string* out);

struct ErrorPacket {
  Code code = Code::kBadRequest;
  std::string_view message = {};
  std::string_view rid_json = {};   // empty: none
  int64_t retry_ms = -1;            // -1: nothing written
  std::optional<uint64_t> pe = {};  // stale_device: the known incarnation
};
void WriteError(const ErrorPacket& error, std::string* out);

void WriteMsg(const Message& message, std::string* out);
void WriteHole(const Hole& hole, std::string* out);
void WriteHead(std::string_view conv, uint64_t epoch, uint64_t head, uint64_t got, std::string* out);

// The answer to a pull; an empty `next`: there is none, this is the last page.
void WritePage(std::string_view rid_json, std::span<const PageItem> items, std::span<const Span> covers,
               std::string_view next, std::string* out);

// The answer to a history: no covers, and `more` always told.
void WriteHistoryPage(std::string_view rid_json, std::span<const PageItem> items, bool more, std::string* out);

void WriteCounts(std::string_view rid_json, uint64_t total, std::span<const ConversationView> convs, bool more,
                 std::string* out);
void WriteStatus(std::string_view rid_json, std::string_view conv, const StatusAnswer& answer, std::string* out);
void WriteTokens(std::string_view rid_json, std::span<const std::string> tokens, std::string* out);
void WriteOk(std::string_view rid_json, std::string* out);
void WritePong(std::string* out);

// `code`: "drain".
void WriteBye(std::string_view code, int64_t after_ms, std::string* out);

void WriteReceipt(std::string_view conv, uint64_t epoch, std::string_view user, uint64_t got, uint64_t read,
                  std::string* out);
void WriteSignal(std::string_view conv, std::string_view from, std::string_view body, std::string* out);
void WriteEpoch(std::string_view conv, uint64_t epoch, uint64_t keep, std::string* out);

// Joins what is owed to one connection into one frame: `[a,b]`, or a single packet bare. Reuse it: Clear keeps memory.
class FrameJoiner {
 public:
  // Where to append the next packet: exactly one, by one Write. Valid until the next call of any kind.
  std::string* Next();

  size_t packets() const { return packets_; }
  size_t bytes() const { return text_.size(); }  // of the frame so far; the caller closes a frame that grows too long

  // The frame. Empty where there is no packet. Valid until Next or Clear; nothing may be added before Clear.
  std::string_view Finish();
  void Clear();

 private:
  std::string text_;  // always begins with `[`, which a single packet leaves out
  size_t packets_ = 0;
};

}  // namespace everyonce
