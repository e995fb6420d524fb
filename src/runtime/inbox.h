#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/feed_call.h"

namespace everyonce {

// What the edge tells the engine thread, in order. One item per crossing of the queue, however many frames it holds.
enum class InputKind : uint8_t {
  kFrames,
  kOpen,
  kAccept,
  kClose,
  kLagging,
  kRequest,
  kDrain,
  kMessageEvents,
  kAuthorized,
  kTask,
  kFeed,
  kArchived,
  kStop
};

struct FrameSpan {
  uint32_t connection = 0;
  uint32_t offset = 0;
  uint32_t length = 0;
};

struct Input {
  InputKind kind = InputKind::kFrames;
  bool flag = false;        // kLagging, kMessageEvents, kAuthorized; kRequest: handed on for a client
  uint32_t id = 0;          // connection, request or question; kTask: a request, answered by what the task gives
  int64_t after_ms = 0;     // kDrain
  std::string user = {};    // kAccept, kRequest; kOpen: the address
  std::string device = {};  // kRequest: on whose behalf; empty: the application itself
  std::string bytes = {};   // kFrames: all frames one behind the other; kRequest: the packet
  std::vector<FrameSpan> frames = {};  // kFrames
  // kTask: run between groups, on the engine thread, while the log is open. Gives a JSON packet.
  std::function<std::string()> task = {};
  std::unique_ptr<FeedCall> feed = {};  // kFeed
  std::vector<std::string> texts = {};  // kArchived; `flag`: the archive could be read
};

}  // namespace everyonce
