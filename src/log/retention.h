#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/status.h"

namespace everyonce {

class Conversation;
class LogContext;

// What is removed. Each rule by itself removes; none: nothing is ever removed.
struct RetentionOptions {
  int64_t max_age_ms = 0;       // messages accepted longer ago; 0: no such rule
  uint64_t messages = 0;        // all but the newest of a conversation; 0: no such rule
  bool until_acked = false;     // what everybody has acked: see Retention
  int64_t every_ms = 60'000;    // from the end of one round over all conversations to the begin of the next
  int64_t slice_every_ms = 20;  // within a round
  // The bound of a slice, in units of about 2 µs: a record removed, an eighth of a conversation looked at.
  size_t slice_work = 1000;
  size_t give_back_bytes = size_t{16} << 20;  // removed since the store was last told to give space back
  // Steady microseconds, to end a slice early where the store is slow; unset: only the work counts.
  std::function<int64_t()> clock_us;
  int64_t slice_us = 1500;

  bool removes() const { return max_age_ms > 0 || messages > 0 || until_acked; }
};

// Removes what need not be kept, conversation after conversation, in slices (protocol.md, Receiving; semantics f-7).
// Only a beginning of a conversation is ever removed, so that one number, its floor, tells what is gone. The floor is
// raised in the write that removes the records, which waits for no disk: a power cut may bring removed messages back,
// and never half of a removal. Numbers go on, and what a producer was told is kept for its last 64 n.
//
// What a consumer group has not passed stays (FeedTable::LowestPosition), whatever the rules say.
//
// until_acked: a message goes when all before it may, and each device of its readers that was seen in the last 30 days
// has acked it, and each member has such a device. Who has left holds what is visible to him only by such devices.
class Retention {
 public:
  // `context` outlives this.
  Retention(LogContext* context, RetentionOptions options) : context_(*context), options_(std::move(options)) {}

  // Goes on. `again_ms`: when to call again. An error: a write whose outcome is unknown.
  // REQUIRES: no group is being decided.
  Status Slice(int64_t* again_ms);

 private:
  // The conversation that is being looked at, from slice to slice.
  struct Job {
    std::string conv;
    bool was_cached = false;
    // until_acked: who may see it, how many of them were asked, and up to where all of those have acked.
    bool judged = false;
    std::vector<std::string> users;
    size_t asked = 0;
    uint64_t acked_to = 0;
    uint64_t system_count = 0;  // as it began: any change of the members raises it
  };
  struct Named {
    std::string conv;
    uint64_t floor = 0;
  };
  struct Removal;

  bool Spent() const;
  void Spend(size_t work) { work_ -= work < work_ ? work : work_; }
  void GiveBack();
  Status NextNames();
  Status Look(const Named& named, bool* wanted);
  Status Work(bool* done);
  Status Judge(Conversation* conversation);
  Status AskUser(Conversation* conversation, const std::string& user);
  Status RecentDevices(std::string_view user, std::vector<std::string>* devices);
  Status RemoveSome(Conversation* conversation, bool* done);
  Status Gather(Conversation* conversation, Removal* removal);
  Status KeepAnswers(Conversation* conversation, const Removal& removal);
  Status KeepWindow(Conversation* conversation, const Removal& removal);
  Status Commit(Conversation* conversation, const Removal& removal);
  void Drop(const Status& status);

  LogContext& context_;
  RetentionOptions options_;
  std::string after_;  // names are read from behind this one
  std::deque<Named> names_;
  bool at_end_ = false;
  std::optional<Job> job_;
  size_t work_ = 0;
  int64_t started_us_ = 0;
  uint64_t given_back_bytes_ = 0;
};

}  // namespace everyonce
