#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/status.h"

namespace everyonce {

// Plain values that the log answers with and the packet writer puts on the wire.

// The strongest loss that an acked message survives. Named in every ack (protocol.md `safe`).
enum class Safe : uint8_t { kMemory, kDisk, kReplicated };

struct Message {
  std::string conv;
  uint64_t epoch = 0;
  uint64_t seq = 0;
  uint64_t mid = 0;
  std::string from;
  std::string device;
  uint64_t n = 0;  // 0: none
  std::string id;
  std::string type;
  std::string body;  // raw JSON
  int64_t at_ms = 0;
};

// One user's and device's view of one conversation (protocol.md welcome.convs).
struct ConversationView {
  std::string conv;
  uint64_t epoch = 0;
  uint64_t head = 0;  // newest seq that is visible to the user
  uint64_t got = 0;   // all up to it is acked by the device, is its own, or is not visible
  uint64_t read = 0;
  uint64_t unread = 0;  // visible messages of others past read, without system.*
  bool member = true;   // false: left; what was visible stays readable
};

enum class Resume : uint8_t { kOk, kTruncated, kReset };
struct ResumeView {
  ConversationView view;  // epoch and head 0 where it does not exist or is not the user's
  Resume resume = Resume::kOk;
  uint64_t keep = 0;
};

struct Span {
  std::string conv;
  uint64_t epoch = 0;
  uint64_t from = 0;
  uint64_t to = 0;
};

struct Hole {
  Span span;
  std::string reason;  // `expired`, `not_visible` …
};

// A page's item: a message, or a hole (hole.span.to > 0).
struct PageItem {
  Message message;
  Hole hole;
  std::string filled = {};  // a hole: packets as JSON text, joined by commas, to be written in its place
  bool is_hole() const { return hole.span.to != 0; }
};

struct StatusFound {
  std::string id;
  uint64_t n = 0;
  uint64_t seq = 0;
  uint64_t epoch = 0;
  uint64_t mid = 0;
  int64_t at_ms = 0;
};
struct StatusAnswer {
  Code code = Code::kOk;  // kUnknownConv for a stranger
  std::vector<StatusFound> found;
  std::vector<std::string> unknown;
};

}  // namespace everyonce
