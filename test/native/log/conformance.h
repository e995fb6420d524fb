#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "log/log.h"
#include "log/log_model.h"
#include "support/seed.h"

namespace everyonce::test {

// The time for which the logs under test tell sends without n apart.
inline constexpr int64_t kTestWindowMs = 24 * 3600 * 1000;
// When a run begins, Unix milliseconds.
inline constexpr int64_t kTestStartMs = 1790000000000;

// One kind of Log, to be held to protocol.md. Each implementation brings its own, see conformance_test.cc.
class LogUnderTest {
 public:
  virtual ~LogUnderTest() = default;
  virtual Log* log() = 0;

  // Ends the log without a farewell and begins anew on what it stored. `power_cut`: only what was synced is left, as
  // far as this kind can tell the difference; else the process alone died.
  virtual void Reopen(int64_t now_ms, bool power_cut) = 0;

  // Lets the log work until `done`. A log that answers inline has nothing to do.
  virtual void RunUntil(const std::function<bool()>& done);

  // Retention: all but so many of the newest are removed, what is older, what all have acked. False: this kind can't.
  virtual bool SetRules(const LogModel::Rules&) { return false; }
  // A slice of retention was begun: until it is done.
  virtual void EndSlice() {}
  // Removed up to there, as the store says.
  virtual uint64_t FloorOf(const std::string&) { return 0; }

  // Makes the next write of a group fail; `kept`: it is there all the same after the recovery. False: this kind can't.
  virtual bool FailNextWrite(bool kept);
  // Whether the last Commit met that failure, and whether its group is there all the same.
  virtual bool WriteFailed() { return false; }
  virtual bool WriteWasKept() { return false; }
};

struct RunOptions {
  uint64_t seed = 1;
  uint64_t steps = 1000;      // groups that are committed
  uint64_t reopen_every = 0;  // steps; 0: never
  uint64_t fail_one_in = 0;   // groups whose write fails; 0: none
  // Reopening is after a power cut. A log may keep acks and read marks without waiting for the disk (losing them costs
  // a second delivery, never a message), so such a run has none of them until it drains.
  bool power_cuts = false;
  LogModel::Rules rules{};
  uint64_t retain_one_in = 0;  // steps after which retention goes on; 0: never
};

// A random run of users, devices and conversations, each answer compared with LogModel's. Fails the current test, once,
// at the first difference, saying how to repeat it. EVERYONCE_SEED and EVERYONCE_STEPS replace those of `options`.
class ModelRun {
 public:
  ModelRun(LogUnderTest* subject, RunOptions options);
  void Run();
  const LogModel& model() const { return model_; }

 private:
  // Making up commands.
  Command MakeCommand();
  Command MakeSend();
  void MakePackage(Command* command);
  Command MakeOnce();
  Command MakeSkip();
  Command MakeMembers();
  Command MakeMark();
  Command MakeHello(const std::string& user, const std::string& device);
  std::vector<Position> MakePositions();
  std::string NewId();
  std::string NewBody();
  void PickSender(Command* command);
  uint64_t PlannedLast(const Command& command) const;

  // Steps. Each returns what is wrong, or nothing.
  std::string Step();
  std::string Commit(const std::vector<Command>& group);
  std::string Settle(const std::vector<Command>& group, const std::vector<Outcome>& outcomes);
  std::string AfterFailure(const std::vector<Command>& group, const std::vector<Outcome>& outcomes);
  std::string Ask();
  std::string AskView(const std::string& user, const std::string& device, const std::string& conv);
  std::string AskViews(const std::string& user, const std::string& device, const std::string& after, size_t limit);
  std::string AskResume(const std::string& user, const std::string& device);
  std::string AskPull(const PullQuery& query, Page* page);
  std::string AskHistory(const std::string& user, const std::string& conv);
  std::string AskStatus(const std::string& user, const std::string& device, const std::string& conv);
  std::string AskMembers(const std::string& conv);
  std::string AskEverything();
  // Every device pulls page after page and acks what it got, until nothing is left anywhere.
  std::string Drain();
  void AdvanceClock();
  std::string Retain();
  std::string HelloAll();

  LogUnderTest* subject_;
  RunOptions options_;
  Random random_;
  LogModel model_;
  int64_t now_ms_ = kTestStartMs;
  uint64_t next_id_ = 0;
  std::vector<Command> sent_;                // sends of this run, for sending again
  std::map<std::string, uint64_t> planned_;  // n given out in the group that is being made up
  std::string doing_;
};

}  // namespace everyonce::test
