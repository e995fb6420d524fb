#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/status.h"

namespace everyonce {

// What one server process tells the others: that something is in the log (or rose, or came) which connections there may
// want to hear of. A bell is only a bell: it may come twice, late, or not at all. What matters is in the log, and
// whoever misses one reads it there.
struct Bell {
  enum class Kind : uint8_t {
    kMessage = 1,  // stored, durable, and told to the connections of the process that rings
    kNews = 2,     // look at `conv`: something may be there that nobody was told of
    kReceipt = 3,  // a member's marks in `conv` rose
    kSignal = 4,
    kDevice = 5,  // `device` of `user` has said hello over there
  };
  Kind kind = Kind::kNews;
  std::string conv = {};
  uint64_t epoch = 0;
  uint64_t seq = 0;
  std::string user = {};  // kMessage: from whom; kDevice: whose
  std::string device = {};
  // As connections get it. kMessage: empty where it is too large for a bell.
  std::string packet = {};
  uint64_t pe = 0;       // kDevice
  int64_t hello_ms = 0;  // kDevice: Outcome::at_ms of the hello
  // kMessage: who gained and who lost the conversation by it.
  std::vector<std::string> added = {};
  std::vector<std::string> removed = {};
  // kMessage: who sees it, sorted. Null where that is not known here: see Resolve.
  std::shared_ptr<const std::vector<std::string>> audience = {};
  std::string version = {};  // the relay's own: which list of members that is
};

struct RelayCounters {
  uint64_t rung = 0;             // bells given out
  uint64_t heard = 0;            // bells of others
  uint64_t dropped = 0;          // bells not given out, since too much waited
  uint64_t lost = 0;             // bells of others that are known to have been missed
  uint64_t subscriptions = 0;    // now
  uint64_t resubscriptions = 0;  // of channels that had been subscribed to before
};

// How the server processes that share a log tell each other. Of one loop, like the Log it belongs to.
//
// A bell is rung on a channel, and every conversation and every user belongs to one. An engine watches the channels of
// the users who are connected to it, and of their conversations.
class Relay {
 public:
  virtual ~Relay() = default;

  virtual uint32_t channels() const = 0;
  virtual uint32_t ChannelOf(std::string_view name) const = 0;  // of a conversation or a user

  // Counted: a channel is watched until it was unwatched as often as watched. Unsure is called when it begins.
  virtual void Watch(uint32_t channel) = 0;
  virtual void Unwatch(uint32_t channel) = 0;

  // Gathers; Send gives out. `bell` is taken at once. Where too much waits it is dropped, and who listens learns that.
  virtual void Tell(uint32_t channel, const Bell& bell) = 0;
  virtual void Send() = 0;

  // Both are called on the loop, from outside of any call of the engine's. `unsure`: bells of this channel may have
  // been missed (or it was not watched until now): compare positions. After each, `wake` of the log (OnAnswered).
  using Heard = std::function<void(std::vector<Bell> bells)>;
  using Unsure = std::function<void(uint32_t channel)>;
  virtual void Listen(Heard heard, Unsure unsure) = 0;

  // Finds the audience of a bell in what is known here since (by Log::MembersOf). False: it is of another list of
  // members.
  virtual bool Resolve(Bell* bell) = 0;

  // Where conversations of one channel stand. Answered on the loop, perhaps at once. Epoch 0: there is none.
  struct Head {
    uint64_t epoch = 0;
    uint64_t seq = 0;
  };
  using HeadsDone = std::function<void(bool ok, std::vector<Head> heads)>;
  virtual void Heads(const std::vector<std::string>& convs, HeadsDone done) = 0;

  // Users of one channel, each with a device: when that last said hello (Outcome::at_ms; 0: never), and how many
  // conversations the user's list names.
  struct Person {
    int64_t hello_ms = 0;
    uint64_t conversations = 0;
  };
  using PeopleDone = std::function<void(bool ok, std::vector<Person> people)>;
  virtual void People(const std::vector<std::pair<std::string, std::string>>& devices, PeopleDone done) = 0;

  virtual RelayCounters counters() const = 0;
};

}  // namespace everyonce
