#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "log/log.h"

namespace everyonce {

// A log that answers later, in the order of the calls, as one over a network does: each call waits until AnswerOne.
class DeferredLog final : public Log {
 public:
  explicit DeferredLog(std::unique_ptr<Log> log) : log_(std::move(log)) {}

  bool waiting() const { return !calls_.empty(); }
  void AnswerOne() {
    const std::function<void()> call = std::move(calls_.front());
    calls_.pop_front();
    call();
  }

  void Commit(const std::vector<Command>& group, int64_t now_ms, CommitDone done) override {
    calls_.emplace_back([this, &group, now_ms, done = std::move(done)] { log_->Commit(group, now_ms, done); });
  }
  void Views(std::string_view user, std::string_view device, std::string_view after_conv, size_t limit,
             ViewsDone done) override {
    calls_.emplace_back([this, user = std::string(user), device = std::string(device), after = std::string(after_conv),
                         limit, done = std::move(done)] { log_->Views(user, device, after, limit, done); });
  }
  void View(std::string_view user, std::string_view device, std::string_view conv, ViewDone done) override {
    calls_.emplace_back([this, user = std::string(user), device = std::string(device), conv = std::string(conv),
                         done = std::move(done)] { log_->View(user, device, conv, done); });
  }
  void ResumeAt(std::string_view user, std::string_view device, const std::vector<Position>& positions,
                ResumeDone done) override {
    calls_.emplace_back([this, user = std::string(user), device = std::string(device), positions,
                         done = std::move(done)] { log_->ResumeAt(user, device, positions, done); });
  }
  void Pull(const PullQuery& query, PageDone done) override {
    calls_.emplace_back([this, query, done = std::move(done)] { log_->Pull(query, done); });
  }
  void History(const HistoryQuery& query, HistoryDone done) override {
    calls_.emplace_back([this, query, done = std::move(done)] { log_->History(query, done); });
  }
  void StatusOf(std::string_view conv, std::string_view user, std::string_view device,
                const std::vector<std::string>& ids, StatusDone done) override {
    calls_.emplace_back([this, conv = std::string(conv), user = std::string(user), device = std::string(device), ids,
                         done = std::move(done)] { log_->StatusOf(conv, user, device, ids, done); });
  }
  void MembersOf(std::string_view conv, MembersDone done) override {
    calls_.emplace_back([this, conv = std::string(conv), done = std::move(done)] { log_->MembersOf(conv, done); });
  }
  void IssueTokens(std::string_view user, size_t count, int64_t now_ms, TokensDone done) override {
    calls_.emplace_back([this, user = std::string(user), count, now_ms, done = std::move(done)] {
      log_->IssueTokens(user, count, now_ms, done);
    });
  }
  Safe safe() const override { return log_->safe(); }

 private:
  std::unique_ptr<Log> log_;
  std::deque<std::function<void()>> calls_;
};

}  // namespace everyonce
