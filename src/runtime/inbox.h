#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace everyonce {

// What the edge tells the engine thread, in order. One item per crossing of the queue, however many frames it holds.
enum class InputKind : uint8_t { kFrames, kOpen, kAccept, kClose, kLagging, kRequest, kDrain, kMessageEvents, kStop };

struct FrameSpan {
  uint32_t connection = 0;
  uint32_t offset = 0;
  uint32_t length = 0;
};

struct Input {
  InputKind kind = InputKind::kFrames;
  bool flag = false;                   // kLagging, kMessageEvents
  uint32_t id = 0;                     // connection or request
  int64_t after_ms = 0;                // kDrain
  std::string user = {};               // kAccept, kRequest
  std::string device = {};             // kRequest: on whose behalf; empty: the application itself
  std::string bytes = {};              // kFrames: all frames one behind the other; kRequest: the packet
  std::vector<FrameSpan> frames = {};  // kFrames
};

}  // namespace everyonce
