#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/acked_ranges.h"
#include "core/sequencer.h"
#include "log/kv.h"

namespace everyonce {

// The key and record format of the embedded log, for its writer and every reader of a store.
//
// Identifiers hold no zero byte, so a zero ends each of them in a key, and keys sort by identifier, then number (8
// bytes, big-endian). Values begin with a version byte. What is written per message is one record in kLog; everything
// else is a snapshot that is completed from the log's tail, or a block written once in 64 messages.
//
//   kLog            conv 0 seq                      a message
//   kConversations  h conv                          ConversationRecord
//                   m conv 0 user                   visible spans of a member of a group
//                   f conv 0 user                   how many messages the user has sent (OwnRecord)
//                   o conv 0 user 0 first-seq       64 seqs of the user's own messages
//                   u user 0 conv                   index: the user's conversations
//   kProducers      p conv 0 user 0 device          Producer snapshot
//                   b conv 0 user 0 device 0 block  answers to 64 consecutive n
//                   s conv 0 user 0 device 0 n seq  KeptAnswer: a removed record that one of the last 64 n points at
//   kMarks          g user 0 device 0 conv          what the device has acked
//                   r user 0 conv                   the user's read mark
//                   d user 0 device                 DeviceRecord
//   kWindow         conv 0 user 0 id                WindowEntry
//   kTokens         token                           TokenClaim: the message it was used for
//   kMeta           token key                       what message tokens are signed with
//                   mid worker                      no mid above this millisecond is given out (MidReservation)
//                   generation                      raised when the store may have lost a tail: new epochs for all
//                   generation epoch                the least that a log's epoch of that generation is
//                   feed group                      FeedRecord; the group's number is in it
//                   feeds-dropped 0 number          a group was dropped: its positions and letters are to be removed
//
// Of consumer groups in kMarks, `number` 8 bytes, big-endian:
//                   c number conv                   what the group has passed: (epoch, seq)
//                   x number mid                    a dead letter

// A message as stored, with views into the stored value.
struct LogRecord {
  uint64_t mid = 0;
  int64_t at_ms = 0;
  uint64_t n = 0;             // 0: none
  uint64_t system_count = 0;  // messages of type system.* up to and including this one
  uint64_t run = 0;           // how many messages in a row, this one the last, are from the same user and device
  std::string_view from;
  std::string_view device;
  std::string_view id;
  std::string_view type;
  std::string_view body;
};
std::string EncodeLogRecord(const LogRecord& record);
[[nodiscard]] bool DecodeLogRecord(std::string_view value, LogRecord* record);
inline bool IsSystemType(std::string_view type) { return type.starts_with("system."); }

// A conversation as of `snapshot_seq`. What came after is read from the log.
struct ConversationRecord {
  int64_t created_at_ms = 0;
  std::string creator;  // empty for a direct one
  bool history_all = false;
  uint64_t generation = 0;  // of the store, when the newest epoch began
  EpochTable epochs;
  uint64_t snapshot_seq = 0;
  uint64_t system_count = 0;  // up to snapshot_seq
  int64_t last_at_ms = 0;
  // Retention has removed all up to `floor`, which is never above snapshot_seq, and among it so many system.* messages.
  uint64_t floor = 0;
  uint64_t floor_system_count = 0;

  std::string Encode() const;
  [[nodiscard]] static bool Decode(std::string_view value, ConversationRecord* record);
};

// What a duplicate is told: of a record, or left of one that was removed.
struct KeptAnswer {
  uint64_t mid = 0;
  int64_t at_ms = 0;
  std::string id;

  std::string Encode() const;
  [[nodiscard]] static bool Decode(std::string_view value, KeptAnswer* answer);
};

// What a user may see: from..to, with the number of system.* messages before `from` and up to `to`.
struct VisibleSpan {
  uint64_t from = 1;
  uint64_t to = kMaxInteger;  // kMaxInteger: still a member
  uint64_t system_before = 0;
  uint64_t system_at_end = 0;

  bool open() const { return to == kMaxInteger; }
};
using VisibleSpans = std::vector<VisibleSpan>;  // ascending, disjoint, not touching
std::string EncodeSpans(const VisibleSpans& spans);
[[nodiscard]] bool DecodeSpans(std::string_view value, VisibleSpans* spans);

// How many messages a user has sent to a conversation, with the seqs of those that fill no block yet.
struct OwnRecord {
  uint64_t total = 0;
  std::vector<uint64_t> recent;  // the newest total % 64, ascending

  std::string Encode(uint64_t as_of_seq) const;
  [[nodiscard]] static bool Decode(std::string_view value, OwnRecord* record, uint64_t* as_of_seq);
};
inline constexpr size_t kOwnBlock = 64;
std::string EncodeOwnBlock(uint64_t count_before, const std::vector<uint64_t>& seqs);
[[nodiscard]] bool DecodeOwnBlock(std::string_view value, uint64_t* count_before, std::vector<uint64_t>* seqs);

struct GotRecord {
  uint64_t epoch = 0;
  AckedRanges acked;

  std::string Encode() const;
  [[nodiscard]] static bool Decode(std::string_view value, GotRecord* record);
};

struct ReadRecord {
  uint64_t epoch = 0;
  uint64_t seq = 0;
  uint64_t own_count = 0;     // the user's own messages up to seq
  uint64_t system_count = 0;  // system.* messages up to seq: with own_count, unread needs no look at the log

  std::string Encode() const;
  [[nodiscard]] static bool Decode(std::string_view value, ReadRecord* record);
};

struct DeviceRecord {
  uint64_t pe = 0;
  int64_t first_hello_ms = 0;  // 0: has not said hello
  int64_t last_seen_ms = 0;

  std::string Encode() const;
  [[nodiscard]] static bool Decode(std::string_view value, DeviceRecord* record);
};

namespace key {

std::string Log(std::string_view conv, uint64_t seq);
std::string Conversation(std::string_view conv);
std::string Member(std::string_view conv, std::string_view user);
std::string Own(std::string_view conv, std::string_view user);
std::string OwnBlock(std::string_view conv, std::string_view user, uint64_t first_seq);
std::string UserConversation(std::string_view user, std::string_view conv);
std::string Producer(std::string_view conv, std::string_view user, std::string_view device);
std::string ProducerBlock(std::string_view conv, std::string_view user, std::string_view device, uint64_t block);
// Sorted by n, then seq: a package has several under its n.
std::string Answer(std::string_view conv, std::string_view user, std::string_view device, uint64_t n, uint64_t seq);
std::string Got(std::string_view user, std::string_view device, std::string_view conv);
std::string Read(std::string_view user, std::string_view conv);
std::string Device(std::string_view user, std::string_view device);
std::string Window(std::string_view conv, std::string_view user, std::string_view id);
std::string TokenKey();
std::string MidReservation(uint16_t worker);
std::string Generation();
std::string GenerationEpoch();
std::string FeedGroup(std::string_view group);
std::string FeedDropped();  // of all dropped groups, the prefix
std::string FeedDropped(uint64_t number);
std::string FeedPositions(uint64_t number);  // of all, the prefix
std::string FeedPosition(uint64_t number, std::string_view conv);
std::string FeedLetters(uint64_t number);  // of all, the prefix
std::string FeedLetter(uint64_t number, uint64_t mid);

// The first key behind all that begin with `prefix`. REQUIRES: prefix ends in a byte below 0xff.
std::string After(std::string prefix);
// The number that ends a key.
uint64_t NumberAtEnd(std::string_view key);

}  // namespace key
}  // namespace everyonce
