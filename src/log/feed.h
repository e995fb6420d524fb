#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/message.h"
#include "core/status.h"

namespace everyonce {

// The feed: consumer groups read every message that the log accepted, of all conversations, for the application's own
// work (semantics h).
//
// 1. At least once, in order within a conversation, durable position. A group has one position per conversation, stored
//    as a mark: a power cut may lower it, which repeats messages and loses none. Whoever handles them tells repeats by
//    (conv, epoch, seq), where `epoch` is the one that the message was numbered in, which no later one changes.
// 2. One at a time. What is taken of a conversation is leased: nobody else gets any of it until the lease is released
//    or has run out. Leases live in memory; after a crash they are gone with those who had them.
// 3. Nothing that a group has not passed may be removed from the log (Log::LowestGroupPosition).
// 4. The bell is lossy: whoever waits for news also asks now and then.

inline constexpr size_t kMaxFeedGroups = 32;           // each costs every commit a look-up
inline constexpr size_t kMaxFeedNameBytes = 48;        // [A-Za-z0-9_.-]
inline constexpr uint32_t kMaxFeedConversations = 64;  // leased by one Take
inline constexpr uint32_t kMaxFeedMessages = 1000;     // of one conversation in one Take
inline constexpr size_t kMaxFeedBytes = 4u << 20;      // of one Take; a single message that is larger goes alone
inline constexpr size_t kMaxDeadLetters = 100'000;     // of a group; then nothing more is parked (kUnavailable)
inline constexpr size_t kMaxFeedErrorBytes = 2048;     // of a dead letter's reason
inline constexpr uint32_t kMaxDeadLetterPage = 100;

// The name of a consumer group: 1 to kMaxFeedNameBytes of A-Z a-z 0-9 _ . -
inline bool IsFeedName(std::string_view name) {
  const auto allowed = [](char letter) {
    return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') || (letter >= '0' && letter <= '9') ||
           letter == '_' || letter == '.' || letter == '-';
  };
  return !name.empty() && name.size() <= kMaxFeedNameBytes && std::all_of(name.begin(), name.end(), allowed);
}

// Why a message was given up, as it is kept: cut where a character begins.
inline std::string ShortenedFeedError(std::string text) {
  if (text.size() <= kMaxFeedErrorBytes) return text;
  size_t size = kMaxFeedErrorBytes;
  while (size > 0 && (static_cast<uint8_t>(text[size]) & 0xc0) == 0x80) --size;
  text.resize(size);
  return text;
}

enum class FeedAction : uint8_t {
  kOpen,    // register the group, or find it registered
  kAck,     // all up to `seq` is handled; `release`: give the lease back
  kPark,    // the message at `seq` is given up: a dead letter, and the position passes it. One durable act
  kMark,    // a dead letter was tried again in vain: `attempts`, `error`
  kForget,  // a dead letter is done with
  kDrop,    // the group, its positions and its dead letters
};

// A change, carried by Command (CommandKind::kFeed). Outcomes: kOk; kBadRequest: no such group, name or letter;
// kConflict: the lease has run out, or is another's; kUnavailable.
struct FeedChange {
  FeedAction action = FeedAction::kAck;
  std::string group;
  bool from_now = false;  // kOpen: what is accepted from here on only; looked at when the group is new
  uint64_t lease = 0;     // kAck, kPark
  uint64_t seq = 0;       // kAck (0: nothing more), kPark
  bool release = false;   // kAck
  uint64_t mid = 0;       // kMark, kForget: the dead letter's message
  uint64_t attempts = 0;  // kPark, kMark
  std::string error;      // kPark, kMark: for a person; cut to kMaxFeedErrorBytes
};

struct FeedQuery {
  std::string group;
  std::string conv;  // empty: whichever has news; else this one, also where it has none
  uint32_t conversations = 1;
  uint32_t limit = 100;  // messages of each; 0: only the lease
  size_t max_bytes = kMaxFeedBytes;
  int64_t lease_ms = 0;
  int64_t now_ms = 0;
};

struct FeedSlice {
  std::string conv;
  uint64_t lease = 0;
  std::vector<Message> messages;  // ascending by seq; `epoch` is each message's own
};

struct FeedPage {
  std::vector<FeedSlice> slices;
  bool more = false;  // there may be more at once; false: the bell rings when there is
};

struct FeedLag {
  uint64_t messages = 0;     // accepted and not yet passed
  int64_t oldest_at_ms = 0;  // when the oldest of them was accepted; 0: none is known
  uint64_t dead_letters = 0;
  bool exact = true;  // false: not everything has been looked at since the start; ask again
};

struct DeadLetter {
  Message message;
  uint64_t attempts = 0;
  std::string error;
  int64_t at_ms = 0;  // parked, or last tried again
};

struct FeedGroupView {
  std::string group;
  int64_t created_at_ms = 0;
};

// Reading a feed; changes go through Log::Commit. Every call answers by its callback, as the Log's do.
class Feed {
 public:
  virtual ~Feed() = default;

  // The oldest messages that the group has not passed, of conversations that nobody holds, fairly in turn.
  using TakeDone = std::function<void(Status status, FeedPage page)>;
  virtual void Take(const FeedQuery& query, TakeDone done) = 0;

  // Holds leases on. `lost`: those that are not the caller's any more.
  using RenewDone = std::function<void(Status status, std::vector<uint64_t> lost)>;
  virtual void Renew(std::string_view group, const std::vector<uint64_t>& leases, int64_t lease_ms, int64_t now_ms,
                     RenewDone done) = 0;

  using LagDone = std::function<void(Status status, FeedLag lag)>;
  virtual void Lag(std::string_view group, LagDone done) = 0;

  // Dead letters above `after_mid`, oldest message first. `more`: there are further ones.
  using LettersDone = std::function<void(Status status, std::vector<DeadLetter> letters, bool more)>;
  virtual void Letters(std::string_view group, uint64_t after_mid, uint32_t limit, LettersDone done) = 0;

  virtual std::vector<FeedGroupView> Groups() const = 0;

  // Called when a group whose last Take left nothing has news.
  using Bell = std::function<void(std::string_view group)>;
  virtual void OnNews(Bell bell) = 0;
};

}  // namespace everyonce
