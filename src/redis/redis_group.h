#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/sequencer.h"
#include "log/refusal.h"
#include "redis/redis_log.h"

namespace everyonce {

// What a RedisLog keeps of a group that is under way. Of that class alone.

// conv → version and list of its members, as far as a call knows them.
using KnownMembers = std::map<std::string, std::pair<std::string, std::shared_ptr<const MemberList>>>;

struct ScriptCall {
  const LuaScript* script = nullptr;
  std::vector<size_t> indices = {};  // of its commands in the group
  uint16_t slot = 0;
  RedisArguments keys = {};
  RedisArguments arguments = {};
  KnownMembers members = {};
  std::vector<std::string> change = {};  // of members.lua, which may be run a second time with one of them changed
};

// A token that a message of the group came under.
struct TokenUse {
  std::string id;
  bool fresh = false;  // nobody had taken it before
  uint64_t seq = 0;    // where its message is stored; 0: that is not known
  uint64_t epoch = 0;
  uint64_t mid = 0;
  int64_t at_ms = 0;
};
// A refusal that is none: the message is stored, as its token tells.
inline constexpr char kStoredUnderToken[] = "stored under this token";

// The commands of one partition in a wave.
struct RedisLog::Lane {
  uint32_t partition = 0;
  std::vector<ScriptCall> calls;
  size_t next = 0;
};

struct RedisLog::Group {
  const std::vector<Command>* commands = nullptr;
  std::vector<Outcome> outcomes;
  std::vector<uint64_t> mids;        // of each send: its own, then its parts'
  std::vector<uint32_t> first_mids;  // by command: where its mids begin
  int64_t now_ms = 0;
  uint64_t random = 0;  // see NextEpoch
  size_t next = 0;      // the first command of the next wave
  size_t parts = 0;     // of what is under way that are not done
  std::function<void()> then;
  std::deque<Lane> lanes;                          // of this wave
  std::set<uint64_t> links;                        // connections that wrote
  std::map<size_t, std::vector<TokenUse>> tokens;  // of this wave
  std::map<size_t, Outcome> token_refusals;
  std::vector<uint32_t> stored;  // partitions that have got messages
  RedisStatus failure;           // of what all of the group rests on
  TicketPointer ticket;
  CommitDone done;

  // Those of the parts of a package follow by push_back.
  void AddMids(size_t index, uint64_t mid) {
    first_mids.resize(commands->size());
    first_mids[index] = static_cast<uint32_t>(mids.size());
    mids.push_back(mid);
  }
  std::span<const uint64_t> MidsOf(size_t index) const {
    const Command& command = (*commands)[index];
    if (command.kind != CommandKind::kSend && command.kind != CommandKind::kMembers) return {};
    return {mids.data() + first_mids[index], 1 + command.parts.size()};
  }

  // The epoch that a history would have which begins with the next call: another for each, of one random number.
  uint64_t NextEpoch() { return EpochTable::NewEpoch(0, now_ms, random++); }
};

struct RedisLog::Hello {
  GroupPointer group;
  size_t index = 0;
  Outcome outcome;
  std::map<uint32_t, ScriptCall> calls;  // acks, by partition
  std::set<std::string, std::less<>> brought;
};

const LuaScript* ScriptOf(CommandKind kind);
std::string DeviceName(const Command& command);
Outcome UnavailableOutcome(const RedisStatus& status);

// The arguments of members.lua; known pe at [4], whether the users are indexed at [7], names from this index on.
inline constexpr size_t kMembersFirstName = 11;
std::vector<std::string> MembersArguments(const Command& command, int64_t now_ms, uint64_t mid, uint64_t epoch);

// What a script answered to `command`; without the audience of a direct conversation. `members`: of the call, brought
// up to date with what the reply tells.
Outcome OutcomeOf(const Command& command, const RedisReply& reply, std::span<const uint64_t> mids,
                  KnownMembers* members);

// What is known of a device (lua/device.lua): its newest run, its first hello and when it was last seen, Unix ms; 0:
// never.
SeenDevice SeenDeviceOf(const std::string& text);

// How a dead letter is named on its group's list: by its mid, so that the oldest message comes first.
std::string FeedLetterName(uint64_t mid, char end);

// The code with this wire name; kUnavailable where there is none.
Code CodeOf(std::string_view name);
uint64_t NumberAt(const RedisReply& reply, size_t index);
const std::string& TextAt(const RedisReply& reply, size_t index);

}  // namespace everyonce
