#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>

#include "core/packet.h"

namespace everyonce {

// What waits for the authorize hook on one connection. What changes one conversation stays in order, in a lane of its
// own: all of a lane is asked for at once, and done in the order in which it came. Reads wait by themselves.
struct Asking {
  struct Waiting {
    DecodedPacket decoded;
    uint32_t question = 0;  // 0: answered, or needs no answer
    bool refused = false;
  };
  // A whole package fits into a lane.
  static constexpr size_t kMaxLane = 512;
  static constexpr size_t kMaxWaiting = 2048;  // over all lanes, and the reads

  std::unordered_map<std::string, std::deque<Waiting>> lanes;  // by conversation, none empty
  std::unordered_map<uint32_t, Waiting> reads;                 // by question
  std::deque<Waiting> answered_reads;                          // wait for the commands before them
  size_t waiting = 0;
};

}  // namespace everyonce
