#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "core/limits.h"
#include "core/package_reorder.h"
#include "core/packet.h"
#include "engine/authorize.h"
#include "engine/connection.h"
#include "engine/feed_call.h"
#include "engine/options.h"
#include "engine/output.h"
#include "engine/relaying.h"
#include "log/log.h"

namespace everyonce {

class ObjectWriter;
struct ErrorPacket;

// The order of the rooms: packets in, decided and committed as a group, answers and deliveries out.
//
// Deterministic: it has no thread and no clock; time and the Log are passed in. It steps on the thread of its caller:
// the runtime's in a server, the test's own in a simulation. Nothing is given out for a group before the Log has
// answered it (durable before visible). Not thread-safe.
class Engine {
 public:
  // `log` outlives the engine.
  Engine(Log* log, EngineOptions options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Inputs. They only gather; Step does the work. Unknown connection ids are ignored: the edge may be late.
  void Open(uint32_t connection, std::string_view address = {});  // whose rate it shares; empty: nobody's
  void Accept(uint32_t connection, std::string_view user);        // the answer to kAuthenticate
  void Close(uint32_t connection);
  void SetLagging(uint32_t connection, bool lagging);
  // Returns how many packets the frame held.
  size_t Receive(uint32_t connection, std::string_view frame, const Time& now);
  // One packet of the application's own, answered by one kAnswer. As `user` from `device` (empty: `server`), whose
  // connection is left alone; `for_client`: handed on for somebody else, whose message ids are judged as a device's; or
  // with `user` empty as the system itself, which sees everything and may change members.
  void Request(uint32_t request, std::string_view user, std::string_view device, std::string_view packet,
               bool for_client = false);
  // What the application asks of a consumer group's feed, answered by one kAnswer.
  void CallFeed(uint32_t request, FeedCall call, const Time& now);
  void Authorized(uint32_t question, bool allowed);  // the answer to kAuthorize
  // The answer to kArchive: for each hole, in order, what stands in its place, or an empty text.
  void Archived(uint32_t question, bool ok, std::vector<std::string> texts);
  void Drain(int64_t after_ms);  // `bye` to everybody
  void SetMessageEvents(bool wanted) { options_.message_events = wanted; }

  // Decides what was gathered, commits it in groups until nothing is left that can go on, and runs what is due.
  void Step(const Time& now);

  // Packets wait that the last Step's bounds left over: step again, once its output was taken.
  bool HasWork() const {
    return (!committing_ && (!ready_.empty() || !group_.empty())) || (relaying_ && !relaying_->heard.empty());
  }

  // A group is with the log, which answers later.
  bool IsCommitting() const { return committing_; }

  // Packets wait that could be looked at, if a group had room for them: step before more is taken in.
  bool HasReady() const { return !ready_.empty(); }

  // What the steps gave out. The caller takes it whole.
  OutputBatch TakeOutput();

  // The steady time at which Step has something to do though no input came; INT64_MAX: never.
  int64_t NextDeadline() const;

  const EngineCounters& counters() const { return counters_; }
  RelayingCounters relaying_counters() const { return relaying_ ? relaying_->counters : RelayingCounters(); }

 private:
  // What to do when a command's outcome is known. `then` is set where more follows than the plain answer.
  struct Pending {
    ConnectionId connection = 0;
    std::function<void(Connection*, const Command&, Outcome&)> then = {};
  };
  struct Receipt {
    uint64_t got = 0;
    uint64_t read = 0;
    uint64_t epoch = 0;
    ConnectionId cause = 0;
  };

  // engine.cc: the way of packets through the engine.
  Connection* Find(ConnectionId id);
  Connection& Insert(ConnectionId id, bool application);
  void MakeReady(Connection& connection);
  void ProcessInbox(Connection& connection);
  bool WithinRate(Connection& connection, const DecodedPacket& decoded);
  bool WithinShared(Connection& connection, SharedRate* shared, const DecodedPacket& decoded);
  void Handle(Connection& connection, DecodedPacket decoded);
  void Refuse(Connection& connection, const PacketError& error);
  void RefuseWaiting(Connection& connection);
  void RefuseForNow(Connection& connection, const DecodedPacket& decoded, std::string_view message, int64_t retry_ms);
  void Submit(Connection& connection, Command command, Pending pending);
  void CommitGroup();
  void Settle(std::vector<Outcome> outcomes);
  void ReadDone(Connection& connection);
  void RunTimers();

  // engine_output.cc: what goes out.
  std::string* Out(Connection& connection);  // where to write the next packet: exactly one
  void SendError(Connection& connection, const ErrorPacket& error);
  void Shut(Connection& connection, uint32_t close_code);
  void Forget(ConnectionId id);
  void FlushConnection(Connection& connection);
  void Event(std::string_view json);
  void Trouble(std::string_view code, std::string_view message);

  // engine_hello.cc
  void Hello(Connection& connection, Packet packet);
  void Enter(Connection& connection);
  void Welcome(ConnectionId id, std::vector<Position> positions, Outcome& outcome);
  void WelcomeWith(Connection& connection, std::vector<ResumeView> resumed, std::vector<ConversationView> views,
                   bool more);
  void Resume(Connection& connection, Packet packet);

  // engine_history.cc: reads that change nothing.
  void Counts(Connection& connection, Packet packet);
  void History(Connection& connection, Packet packet);
  void Tokens(Connection& connection, Packet packet);
  void SendReadError(Connection& connection, const Status& status, std::string_view rid_json);
  void TellOf(Connection& connection, const ConversationView& view);

  // engine_archive.cc: what retention has removed, and an archive has.
  bool MayRetain() const;
  using Completed = std::function<void(const Status&, std::vector<PageItem>)>;
  struct ArchiveQuestion {
    std::vector<PageItem> items;
    Completed then;
  };
  size_t ArchivedBytes() const;
  void Complete(std::vector<PageItem> items, Completed then);

  // engine_send.cc
  void SendMessage(Connection& connection, Packet packet, bool forbidden = false);
  void SendRefused(Connection& connection, const PacketError& error);
  void AnswerSend(Connection* connection, const Command& command, Outcome& outcome);
  void Skip(Connection& connection, Packet packet);
  void AskStatus(Connection& connection, Packet packet);
  void ChangeMembers(Connection& connection, Packet packet, std::optional<bool> authorised = {});
  void AnswerMembers(Connection* connection, const Command& command, Outcome& outcome, std::string_view rid_json);

  // engine_authorize.cc: packets that wait for the application's word.
  bool HoldForVerdict(Connection& connection, DecodedPacket* decoded);
  void RunLane(ConnectionId id, const std::string& conv);
  bool RunAnsweredRead(Connection& connection);
  void RefuseRead(Connection& connection, const Packet& packet);

  // engine_packages.cc: parts that land together.
  void SendPart(Connection& connection, Command command, PackagePart part);
  Pending PartPending(ConnectionId source, PackagePart part);
  void HoldPart(ConnectionId source, const Command& command, const PackagePart& part);
  void SubmitAgain(ConnectionId source, const Command& command, const PackagePart& part);
  void SubmitPackage(const Command& like, HeldPackage package, Code refused, std::string_view message);
  void AnswerPackage(const Command& command, Outcome& outcome, const std::vector<uint32_t>& receipts);
  void NackParts(const Command& command, const HeldPackage& package, Code code, std::string_view message,
                 int64_t retry_ms);
  bool RefusedByHeld(Connection& connection, const Command& command);
  void RunPackages();
  Connection* FindDevice(const std::string& user, std::string_view device);

  // engine_deliver.cc: fan-out, live and behind, redelivery.
  void Accepted(Delivery delivery, const std::vector<std::string>& removed);
  void Give(const Delivery& delivery);
  void Deliver(const Delivery& delivery);
  void DeliverTo(Connection& connection, const Message& message, std::string_view packet, bool gained);
  Link& LinkOf(Connection& connection, const Message& message, bool gained);
  std::pair<Link*, bool> LinkTo(Connection& connection, const std::string& conv);
  void Push(Connection& connection, Link& link, uint64_t seq, std::string_view packet);
  void FallBehind(Connection& connection, const std::string& conv, Link& link);
  void SendHead(Connection& connection, const std::string& conv, Link& link);
  void HeadSoon(Connection& connection, const std::string& conv, Link& link);
  void CatchUp(Connection& connection, Link& link);
  void CatchUpAll(Connection& connection);
  void Tell(Connection& connection, const std::string& conv, Link& link, uint64_t seq, std::string_view packet);
  void LoadLink(Connection& connection, const std::string& conv, Link& link,
                std::function<bool(const ConversationView&)> is_live);
  void OwnAccepted(Connection& connection, const Message& message);
  void RunHeads();
  void RunRedelivery();
  void Redeliver(Connection& connection, const std::string& conv, Link& link, uint64_t first);

  // engine_receive.cc: acks, pages, marks, signals.
  void Got(Connection& connection, Packet packet);
  void Acked(Connection* connection, const Command& command, const Outcome& outcome);
  void Pull(Connection& connection, Packet packet);
  void ReadPage(ConnectionId id, std::string rid_json, PullQuery query);
  void GivePage(Connection& pulling, std::string_view rid_json, const PullQuery& query, const Page& page);
  void Read(Connection& connection, Packet packet);
  void Signal(Connection& connection, Packet packet);

  // engine_feed.cc: consumer groups.
  void ListenToFeed();
  void ReadFeed(uint32_t request, Feed* feed, const FeedCall& call);
  void ChangeFeed(uint32_t request, FeedChange change);
  void RefuseFeed(uint32_t request, const ErrorPacket& error);
  void AnswerFeed(uint32_t request, const Status& status, const std::function<void(ObjectWriter*)>& write);

  // engine_receipts.cc: others' marks, coalesced.
  void NoteReceipt(const Connection* connection, const std::string& conv, const std::string& user, uint64_t epoch,
                   uint64_t got, uint64_t read);
  void CompleteReceipt(const std::string& conv, const std::string& user, Receipt receipt,
                       std::function<void(const Receipt&)> done);
  void WantMarks(const Connection& connection);
  void TellMarks(Connection& connection, const std::vector<std::string>& convs);
  void RunReceipts();

  // engine_recheck.cc: what a commit that failed may have stored.
  void NoteUnknown(const Command& command);
  void RunRechecks();
  void NoteRepeat(const Command& command, const Outcome& outcome);
  void NoteNews(const std::string& conv, const std::vector<std::string>& users, bool tell_others);
  void RecheckLater(const std::string& conv, const std::set<std::string>& users);
  void RecheckUser(const std::string& conv, const std::string& user);
  void RecheckConnection(const Connection& connection, const std::string& conv);
  void TellNews(Connection& connection, const ConversationView& view);

  // engine_relay.cc: what other processes on the same log are told, and what they tell.
  void ListenToRelay();
  void TellBell(const Bell& bell, const std::vector<std::string>& users);
  void TellMessage(const Delivery& delivery, const std::vector<std::string>& removed);
  void Watch(Connection& connection, uint32_t channel);
  void ListenTo(Connection& connection, const std::string& conv);
  void StopListening(Connection& connection);
  SharedConversation* SharedOf(const std::string& conv);
  void BeginListening(Connection& connection);
  bool TellOfHello(Connection& connection, int64_t hello_ms);
  void ListenFromWelcome(Connection& connection, bool wide);
  void TakeHeard();
  void Hear(Bell& bell);
  void HearMessage(Bell& bell);
  void FindAudience(Bell& bell);
  void HearNews(const std::string& conv, const std::vector<std::string>& users);
  bool Concerns(const std::string& conv, const std::vector<std::string>& users);
  void HearDevice(const Bell& bell);
  void TellMembers(const Bell& bell);
  void NoteEntering(const Bell& bell);
  void Arrive(Delivery delivery);
  void GiveHeld(SharedConversation* shared, uint64_t up_to);

  // engine_compare.cc: what no bell told of.
  void MarkUnsure(uint32_t channel);
  void RunRelaying();
  int64_t RelayingDeadline() const;
  void CompareConversations(uint32_t channel);
  void CompareConversation(const std::string& conv);
  void ComparePeople(uint32_t channel);
  void CompareLater(uint32_t channel);
  void JudgePeople(const std::vector<ConnectionId>& ids, const std::vector<Relay::Person>& people);
  void ListAgain(const std::string& user);
  void ListUnknown(const std::string& user);
  void Suspect(const std::string& conv, const Relay::Head& head);
  void CatchUpWith(const Relaying::Suspicion& suspicion);
  void CheckHistory(Connection& connection, const std::string& conv, Link& link);
  void TellHistory(Connection& connection, Link& link, const Position& told, const ResumeView& found);

  Log* log_;
  EngineOptions options_;
  Time now_;
  FrameDecoder decoder_;
  std::vector<DecodedPacket> decoded_;
  EngineCounters counters_;

  std::unordered_map<ConnectionId, std::unique_ptr<Connection>> connections_;
  std::unordered_map<std::string, std::vector<Connection*>> online_;  // user → welcomed connections
  std::deque<ConnectionId> ready_;
  std::vector<ConnectionId> dirty_;
  std::vector<ConnectionId> heads_due_;
  std::unordered_map<ConnectionId, Asking> asking_;       // where something waits for the authorize hook
  std::unordered_map<uint32_t, ConnectionId> questions_;  // unanswered kAuthorize; the edge answers each in time
  uint32_t last_question_ = 0;
  std::unordered_map<uint32_t, ArchiveQuestion> archive_questions_;  // the edge answers each in time
  uint32_t last_archive_question_ = 0;
  SharedRates user_rates_;
  SharedRates address_rates_;
  // (conv, user) whose marks rose since the last receipts went out; bounded by what is acked in that interval.
  std::unordered_map<std::string, std::unordered_map<std::string, Receipt>> receipts_;
  std::vector<std::pair<ConnectionId, std::vector<std::string>>>
      receipts_wanted_;  // welcomed, and not yet told the others' marks
  // Conversations of failed commits, with users who may have left by them.
  std::map<std::string, std::set<std::string>> rechecks_;
  bool recheck_failed_ = false;  // the store could not be read
  int64_t recheck_due_ms_ = INT64_MAX;
  const std::vector<Command> no_commands_;
  int64_t receipts_due_ms_ = INT64_MAX;
  int64_t heads_due_ms_ = INT64_MAX;
  int64_t redelivery_due_ms_ = INT64_MAX;
  int64_t tend_due_ms_ = INT64_MAX;  // armed by a group
  int64_t retain_due_ms_ = 0;        // as the log asks for, whether or not anything happens

  Relay* relay_ = nullptr;                              // null: nobody shares the log
  std::unique_ptr<Relaying> relaying_;                  // with relay_
  PackageReorder packages_;                             // held parts
  std::unordered_set<std::string> submitted_packages_;  // complete or refused, and not yet answered

  std::vector<Command> group_;  // gathered
  std::vector<Pending> group_pending_;
  size_t group_bytes_ = 0;
  std::vector<Command> committing_group_;  // with the Log
  std::vector<Pending> committing_pending_;
  bool committing_ = false;

  std::vector<std::unique_ptr<Connection>> forgotten_;  // until the step's output is taken
  size_t pushed_bytes_ = 0;                             // pushes and pages of this step, over all connections
  OutputBatch output_;
};

}  // namespace everyonce
