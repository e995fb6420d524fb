#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "engine/connection.h"
#include "log/log.h"
#include "log/relay.h"

namespace everyonce {

struct RelayingCounters {
  uint64_t held = 0;       // messages that waited for their predecessor
  uint64_t gaps = 0;       // … which did not come
  uint64_t compared = 0;   // conversations whose position was read
  uint64_t catch_ups = 0;  // connections that were sent to read what no bell told them of
};

// A message on its way to the connections of this process.
struct Delivery {
  Message message;     // of another process: without its body
  std::string packet;  // empty: too large for a bell, to be told by `head`
  std::shared_ptr<const MemberList> audience;
  std::vector<std::string> added;
  ConnectionId own = 0;  // of the sending device, which has the ack; 0: elsewhere, or gone
};

// A conversation that connections of this process were told of. Its messages come from the commits of this process and
// by the bells of others, so in any order; they are given to connections in the order of seq, as far as that can be had
// without waiting long.
struct SharedConversation {
  std::vector<Connection*> connections;
  uint64_t epoch = 0;
  uint64_t next = 0;                  // 0: nothing was given yet
  std::map<uint64_t, Delivery> held;  // by seq, all above next
  size_t held_bytes = 0;
  int64_t held_until_ms = 0;
};

struct WatchedChannel {
  std::unordered_map<std::string, SharedConversation> conversations;
  // Welcomed users, and how many conversations their lists named when those were last read; UINT64_MAX: unknown.
  std::unordered_map<std::string, uint64_t> users;
  bool unsure = false;  // listed in Relaying::unsure
};

// What an Engine keeps where other processes store into the same log.
struct Relaying {
  static constexpr size_t kMaxHeard = 65'536;
  static constexpr size_t kMaxHeardBytes = 32u << 20;
  static constexpr size_t kMaxHeldPerConversation = 256;
  static constexpr size_t kMaxHeldBytes = 4u << 20;  // of one conversation

  struct Hold {
    int64_t due_ms;
    std::string conv;
  };
  struct Suspicion {
    int64_t due_ms;
    std::string conv;
    Relay::Head head;
    bool less = false;  // connections were told of more than that
  };

  struct Listing {
    int64_t due_ms;
    std::string user;
  };

  std::vector<WatchedChannel> channels;
  std::deque<Bell> heard;
  size_t heard_bytes = 0;
  std::unordered_map<std::string, std::vector<Connection*>> entering;  // user → connections between hello and welcome
  size_t wide = 0;                                                     // connections that are
  std::unordered_set<std::string> to_tell;  // conversations of rechecks that other processes are to look at, too
  std::deque<Hold> holds;                   // by due_ms
  std::deque<Suspicion> suspicions;         // by due_ms
  std::deque<Listing> listings;             // by due_ms: users whose list names more than was told
  std::deque<uint32_t> unsure;              // channels to compare
  size_t comparing = 0;                     // questions under way
  int64_t compare_again_ms = 0;             // the store could not answer: not before
  int64_t sweep_due_ms = 0;
  uint32_t sweep_at = 0;  // the next channel of the round
  RelayingCounters counters;
};

}  // namespace everyonce
