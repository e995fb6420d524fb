#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "log/log.h"

namespace everyonce::test {

// What a Log must answer, written from protocol.md alone and as plainly as can be: lists, sets and loops over them, no
// snapshot, no range, no cache. It keeps everything for ever and shares no code with any Log.
//
// What only the Log decides (mid, epoch, at) is taken over when it is first told and must be the same ever after.
// Each Check… returns what is wrong in a sentence, or nothing. Where protocol.md leaves an answer open, all that it
// allows pass; each such place says so.
class LogModel {
 public:
  explicit LogModel(int64_t window_ms) : window_ms_(window_ms) {}

  // Applies `command` and compares with what the Log answered. `seen` null: the answer was never told (a failed write
  // that was kept after all), and what only the Log decides is taken over from later answers.
  std::string Commit(const Command& command, int64_t now_ms, const Outcome* seen);

  std::string CheckView(std::string_view user, std::string_view device, std::string_view conv, const Status& status,
                        const ConversationView& view);
  std::string CheckViews(std::string_view user, std::string_view device, std::string_view after_conv, size_t limit,
                         const Status& status, const std::vector<ConversationView>& views, bool more);
  std::string CheckResume(std::string_view user, std::string_view device, const std::vector<Position>& positions,
                          const Status& status, const std::vector<ResumeView>& views);
  std::string CheckPull(const PullQuery& query, const Status& status, const Page& page);
  std::string CheckHistory(const HistoryQuery& query, const Status& status, const HistoryPage& page);
  std::string CheckStatus(std::string_view conv, std::string_view user, std::string_view device,
                          const std::vector<std::string>& ids, const StatusAnswer& answer);
  std::string CheckMembers(std::string_view conv, const Status& status, const MemberList* members);

  // Retention. `floor`: of the conversation, as the Log has it now. It may have removed what a rule lets go, and no
  // more; `whole`: all of it. All devices that ever said hello count as seen.
  struct Rules {
    int64_t max_age_ms = 0;
    uint64_t messages = 0;
    bool until_acked = false;
  };
  std::string Retain(const std::string& conv, const Rules& rules, int64_t now_ms, uint64_t floor, bool whole);
  // After the store was opened again; a power cut may bring removed messages back.
  std::string Reopened(const std::string& conv, uint64_t floor, bool power_cut);
  uint64_t removed() const { return removed_; }

  // For who makes up the next step of a run.
  uint64_t LastN(const std::string& conv, const std::string& user, const std::string& device) const;
  // The id that n was answered under; empty: skipped, or unknown.
  std::string IdOf(const std::string& conv, const std::string& user, const std::string& device, uint64_t n) const;
  uint64_t Head(const std::string& conv) const;
  uint64_t EpochOf(const std::string& conv) const;  // 0: none, or not told yet
  uint64_t KnownPe(const std::string& user, const std::string& device) const;
  // What the device still needs of a conversation: visible, not its own, not acked. Ascending.
  std::vector<uint64_t> Needed(const std::string& conv, const std::string& user, const std::string& device) const;
  const Message* At(const std::string& conv, uint64_t seq) const;
  uint64_t messages() const { return messages_; }
  // How often each answer was given, by the name of its code; `dup` for duplicates. A run in which one is missing that
  // it was made for is too tame.
  const std::map<std::string, uint64_t>& answers() const { return answers_; }

 private:
  using Pair = std::pair<std::string, std::string>;  // user, device

  struct Answer {
    enum Kind { kAccepted, kRefused, kSkipped } kind = kAccepted;
    std::string id{};
    uint64_t seq = 0;
    Code code = Code::kOk;
    std::string text{};
    std::vector<std::string> parts{};  // ids of a package, `id` the first
    std::string package{};
  };
  struct Producer {
    uint64_t last = 0;
    std::map<uint64_t, Answer> answers{};  // of every n that was ever answered
  };
  struct Once {  // a send without n
    uint64_t seq = 0;
    std::string body{};  // behind its type
    int64_t at_ms = 0;
  };
  struct Conversation {
    bool exists = false;
    bool history_all = false;
    std::string creator{};
    uint64_t epoch = 0;
    std::vector<Message> log{};  // seq = index + 1
    uint64_t floor = 0;          // all up to it was removed; the model keeps it to compare with
    std::set<std::string> members{};
    std::map<std::string, std::vector<std::pair<uint64_t, uint64_t>>> spans{};  // visible from..to; to 0: still
    std::map<Pair, Producer> producers{};
    std::map<Pair, std::set<uint64_t>> acked{};
    std::map<std::string, uint64_t> read{};
    std::map<std::pair<std::string, std::string>, Once> once{};  // by user, id
  };
  struct Device {
    uint64_t pe = 0;
    bool hello = false;
  };
  // What must be answered. `also`: other codes that protocol.md allows here.
  struct Expected {
    Code code = Code::kOk;
    std::vector<Code> also{};
    std::string text{};  // not empty: word for word
    std::optional<uint64_t> gap{};
    bool duplicate = false;
    uint64_t seq = 0;
    bool stored = false;
    bool held = false;  // a part of a package, not stored by itself
    std::vector<std::string> audience{}, added{}, removed{};
    std::optional<uint64_t> got{}, read{}, pe{};
    std::optional<bool> rose{}, first{};
  };

  Conversation& Of(const std::string& conv);
  const Conversation* Find(const std::string& conv) const;
  bool IsMember(const Conversation& state, const std::string& conv, const std::string& user) const;
  bool EverMember(const Conversation& state, const std::string& conv, const std::string& user) const;
  bool Visible(const Conversation& state, const std::string& conv, const std::string& user, uint64_t seq) const;
  uint64_t VisibleHead(const Conversation& state, const std::string& conv, const std::string& user) const;
  uint64_t Got(const Conversation& state, const std::string& conv, const Pair& device) const;
  std::vector<std::string> ConversationsOf(const std::string& user) const;
  ConversationView ViewOf(const std::string& conv, const std::string& user, const std::string& device) const;

  Expected Decide(const Command& command, int64_t now_ms);
  Expected DecideSend(const Command& command, int64_t now_ms);
  Expected DecidePackage(const Command& command, int64_t now_ms);
  Expected StoreAll(const Command& command, int64_t now_ms);
  Expected DecideOnce(const Command& command, int64_t now_ms);
  Expected DecideKnown(const Command& command, const Producer& producer) const;
  Expected DecideSkip(const Command& command);
  Expected DecideMembers(const Command& command, int64_t now_ms);
  Expected DecideGot(const Command& command);
  void JoinOwn(const std::string& conv, const Pair& device);
  Expected DecideRead(const Command& command);
  Expected DecideDevice(const Command& command);
  void StartDevice(const Command& command);
  Expected Store(const Command& command, int64_t now_ms);
  Expected StoreMembers(const Command& command, const std::vector<std::string>& added,
                        const std::vector<std::string>& removed, int64_t now_ms);
  std::string Compare(const Command& command, int64_t now_ms, const Expected& expected, const Outcome& seen);
  std::string CompareStored(const Command& command, int64_t now_ms, const Expected& expected, const Outcome& seen);

  // Takes over what only the Log decides, or compares it. Empty: agrees.
  std::string Adopt(const std::string& conv, uint64_t seq, uint64_t epoch, uint64_t mid, int64_t at_ms);
  std::string CheckMessage(const Message& seen);
  std::string CheckOneView(const ConversationView& expected, const ConversationView& seen);
  std::string CheckItems(const PullQuery& query, const Page& page, std::map<std::string, std::vector<uint64_t>>* given);
  std::string CheckCovers(const PullQuery& query, const Page& page,
                          const std::map<std::string, std::vector<uint64_t>>& given);
  std::vector<std::string> PullOrder(const PullQuery& query) const;
  std::vector<uint64_t> NeededOnWalk(const PullQuery& query, const std::string& conv) const;
  std::string CheckWalk(const PullQuery& query, const Page& page);

  int64_t window_ms_;
  std::map<std::string, Conversation> conversations_;
  std::map<Pair, Device> devices_;
  std::set<uint64_t> mids_;
  uint64_t messages_ = 0;
  uint64_t removed_ = 0;
  int64_t latest_ms_ = 0;  // the latest time that the Log was told
  std::map<std::string, uint64_t> answers_;
};

}  // namespace everyonce::test
