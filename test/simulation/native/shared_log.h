#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "log/log.h"
#include "native/shared_store.h"
#include "redis/redis_relay.h"

namespace everyonce::simulation {

// One server process's way to the shared store, in the order of RedisLog: a group is sent in parts, which others' parts
// may come between; its answer waits for the replica where that is asked for; reads wait for the groups before them,
// and for the replica, too; answers come in the order of the calls. Bells go by RedisRelay itself.
class SharedLog final : public Log {
 public:
  SharedLog(SharedStore* store, uint32_t process);

  void OnAnswered(std::function<void()> answered) override { answered_ = std::move(answered); }
  void Commit(const std::vector<Command>& group, int64_t now_ms, CommitDone done) override;
  void Views(std::string_view user, std::string_view device, std::string_view after_conv, size_t limit,
             ViewsDone done) override;
  void View(std::string_view user, std::string_view device, std::string_view conv, ViewDone done) override;
  void ResumeAt(std::string_view user, std::string_view device, const std::vector<Position>& positions,
                ResumeDone done) override;
  void Pull(const PullQuery& query, PageDone done) override;
  void History(const HistoryQuery& query, HistoryDone done) override;
  void StatusOf(std::string_view conv, std::string_view user, std::string_view device,
                const std::vector<std::string>& ids, StatusDone done) override;
  void MembersOf(std::string_view conv, MembersDone done) override;
  Safe safe() const override { return store_->replicated() ? Safe::kReplicated : Safe::kMemory; }
  Relay* relay() override { return &relay_; }

 private:
  using Answer = std::function<void()>;
  struct Ticket {
    bool ready = false;
    Answer answer;
  };
  using TicketPointer = std::shared_ptr<Ticket>;
  struct Run;  // a group on its way
  using RunPointer = std::shared_ptr<Run>;

  RedisRelayLog ForRelay();
  TicketPointer TakeTicket();
  void Settle(const TicketPointer& ticket, Answer answer);
  void SendPart(const RunPointer& run);
  void Finish(const RunPointer& run);
  void TakeMembers(const Command& command, const Outcome& outcome, uint64_t version);
  // `read` is asked of the store's log, and gives what to answer.
  void Read(std::function<Answer(Log*)> read, Answer refuse);
  void ReadNow(const TicketPointer& ticket, const std::function<Answer(Log*)>& read, const Answer& refuse);

  SharedStore* store_;
  uint32_t process_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  RedisRelay relay_;
  std::function<void()> answered_;
  std::deque<TicketPointer> tickets_;
  bool giving_ = false;
  size_t commits_ = 0;                        // under way
  std::vector<std::function<void()>> reads_;  // that wait for them
  std::map<std::string, std::pair<uint64_t, std::shared_ptr<const MemberList>>> members_;
};

}  // namespace everyonce::simulation
