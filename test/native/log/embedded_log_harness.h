#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "log/embedded_log.h"
#include "support/fault_kv.h"

namespace everyonce::test {

// An EmbeddedLog on a FaultKv, with a clock that stands until it is moved, and one-line commands.
class EmbeddedLogHarness {
 public:
  EmbeddedLogHarness() { Open(); }

  void Open() {
    log_.reset();
    Status status;
    EmbeddedLogOptions options;
    options.window_ms = 1000;
    options.random = [this] { return ++random_; };
    options.cache_conversations = cache_conversations;
    options.now_ms = now_ms;
    options.new_epochs = new_epochs;
    options.tokens = tokens;
    options.token_key = token_key;
    options.token_ttl_ms = token_ttl_ms;
    options.retention = retention;
    log_ = OpenEmbeddedLog(std::make_unique<FaultKv>(disk_), options, &status);
    ASSERT_NE(log_, nullptr) << status.message;
  }
  // The process dies; what was not synced is gone.
  void Crash() {
    log_.reset();
    disk_->Crash();
    Open();
  }

  EmbeddedLog& log() { return *log_; }
  FaultKv::Disk& disk() { return *disk_; }
  std::shared_ptr<FaultKv::Disk> shared_disk() { return disk_; }

  std::vector<Outcome> CommitAll(const std::vector<Command>& group) {
    std::vector<Outcome> answers;
    int calls = 0;
    log_->Commit(group, now_ms, [&](std::vector<Outcome> outcomes) {
      answers = std::move(outcomes);
      ++calls;
    });
    EXPECT_EQ(calls, 1);
    EXPECT_EQ(answers.size(), group.size());
    return answers;
  }
  Outcome Commit(const Command& command) { return CommitAll({command}).at(0); }

  ConversationView View(const std::string& user, const std::string& device, const std::string& conv) {
    ConversationView seen;
    log_->View(user, device, conv, [&](Status status, ConversationView view) {
      EXPECT_TRUE(status.ok()) << status.message;
      seen = std::move(view);
    });
    return seen;
  }
  Page Pull(const PullQuery& query) {
    Page seen;
    log_->Pull(query, [&](Status status, Page page) {
      EXPECT_TRUE(status.ok()) << status.message;
      seen = std::move(page);
    });
    return seen;
  }
  StatusAnswer StatusOf(const std::string& conv, const std::string& user, const std::string& device,
                        const std::vector<std::string>& ids) {
    StatusAnswer seen;
    log_->StatusOf(conv, user, device, ids, [&](StatusAnswer answer) { seen = std::move(answer); });
    return seen;
  }
  ResumeView ResumeAt(const std::string& user, const std::string& device, const Position& position) {
    ResumeView seen;
    log_->ResumeAt(user, device, {position}, [&](Status status, std::vector<ResumeView> views) {
      EXPECT_TRUE(status.ok()) << status.message;
      ASSERT_EQ(views.size(), 1u);
      seen = views[0];
    });
    return seen;
  }

  int64_t now_ms = 1750000000000;
  size_t cache_conversations = 1000;
  bool new_epochs = false;
  bool tokens = false;
  std::string token_key;
  int64_t token_ttl_ms = 0;
  RetentionOptions retention;

 private:
  std::shared_ptr<FaultKv::Disk> disk_ = std::make_shared<FaultKv::Disk>();
  std::unique_ptr<EmbeddedLog> log_;
  uint64_t random_ = 0;
};

inline constexpr char kDirect[] = "dm:ann:bob";
inline constexpr char kGroup[] = "g:team";

inline std::string IdOf(uint64_t n) { return "message-" + std::to_string(n); }

inline Command Send(const std::string& conv, const std::string& user, const std::string& device, uint64_t n,
                    std::string id = "") {
  Command command;
  command.kind = CommandKind::kSend;
  command.conv = conv;
  command.user = user;
  command.device = device;
  command.pe = 1;
  command.n = n;
  command.id = id.empty() ? IdOf(n) : std::move(id);
  command.type = "text";
  command.body = "\"" + command.id + "\"";
  return command;
}
inline Command Skip(const std::string& conv, const std::string& user, const std::string& device, uint64_t from,
                    uint64_t to) {
  Command command = Send(conv, user, device, 0);
  command.kind = CommandKind::kSkip;
  command.from = from;
  command.to = to;
  return command;
}
inline Command Got(const std::string& conv, const std::string& user, const std::string& device, uint64_t from,
                   uint64_t to) {
  Command command = Skip(conv, user, device, from, to);
  command.kind = CommandKind::kGot;
  return command;
}
inline Command Read(const std::string& conv, const std::string& user, const std::string& device, uint64_t to) {
  Command command = Got(conv, user, device, 0, to);
  command.kind = CommandKind::kRead;
  return command;
}
inline Command Hello(const std::string& user, const std::string& device, uint64_t pe,
                     std::vector<Position> positions = {}) {
  Command command;
  command.kind = CommandKind::kDevice;
  command.user = user;
  command.device = device;
  command.pe = pe;
  command.positions = std::move(positions);
  return command;
}
inline Command Members(MembersAction action, const std::string& user, std::vector<std::string> members,
                       bool history_all = false) {
  Command command;
  command.kind = CommandKind::kMembers;
  command.conv = kGroup;
  command.user = user;
  command.device = "phone";
  command.pe = 1;
  command.action = action;
  command.members = std::move(members);
  command.history_all = history_all;
  return command;
}

}  // namespace everyonce::test
