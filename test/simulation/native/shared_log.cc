#include "native/shared_log.h"

#include <algorithm>
#include <iterator>

#include "core/identifiers.h"
#include "native/shared_medium.h"

namespace everyonce::simulation {
namespace {

constexpr double kCutHere = 0.15;  // share of the places in a group where it is sent in another part
constexpr int64_t kRetryMs = 1'000;

Status Unreachable() { return Status::Error(Code::kUnavailable, "the shared store can't be reached"); }

Outcome UnknownOutcome() {
  Outcome outcome;
  outcome.code = Code::kUnavailable;
  outcome.message = "the shared store did not answer";
  outcome.retry_ms = kRetryMs;
  outcome.unknown = true;
  return outcome;
}

}  // namespace

struct SharedLog::Run {
  std::vector<Command> commands;
  int64_t now_ms = 0;
  CommitDone done;
  TicketPointer ticket;
  size_t next = 0;
  std::vector<Outcome> outcomes;
  uint64_t written = 0;
  uint64_t term = 0;
};

SharedLog::SharedLog(SharedStore* store, uint32_t process)
    : store_(store),
      process_(process),
      relay_(std::make_unique<SharedMedium>(store, process), store->NewOrigin(), ForRelay()) {}

RedisRelayLog SharedLog::ForRelay() {
  RedisRelayLog log;
  log.members = [this](const std::string& conv) -> std::pair<std::string, std::shared_ptr<const MemberList>> {
    const auto known = members_.find(conv);
    if (known == members_.end()) return {};
    return {std::to_string(known->second.first), known->second.second};
  };
  log.hello = [](const Bell&) {};
  log.wake = [this] {
    if (answered_) answered_();
  };
  return log;
}

SharedLog::TicketPointer SharedLog::TakeTicket() {
  tickets_.push_back(std::make_shared<Ticket>());
  return tickets_.back();
}

void SharedLog::Settle(const TicketPointer& ticket, Answer answer) {
  ticket->ready = true;
  ticket->answer = std::move(answer);
  if (giving_) return;
  giving_ = true;
  while (!tickets_.empty() && tickets_.front()->ready) {
    const TicketPointer first = std::move(tickets_.front());
    tickets_.pop_front();
    first->answer();
  }
  giving_ = false;
  if (answered_) answered_();
}

// --- commits ---

void SharedLog::Commit(const std::vector<Command>& group, int64_t now_ms, CommitDone done) {
  auto run = std::make_shared<Run>();
  run->commands = group;
  run->now_ms = now_ms;
  run->done = std::move(done);
  run->ticket = TakeTicket();
  run->term = store_->term();
  ++commits_;
  SendPart(run);
}

void SharedLog::SendPart(const RunPointer& run) {
  const size_t first = run->next;
  while (run->next < run->commands.size()) {
    ++run->next;
    if (store_->chance().Share() < kCutHere) break;
  }
  struct Part {
    std::vector<Command> commands;
    std::vector<Outcome> outcomes;
    std::vector<uint64_t> versions;
    uint64_t written = 0;
  };
  auto part = std::make_shared<Part>();
  const auto at = [&](size_t index) { return run->commands.begin() + static_cast<std::ptrdiff_t>(index); };
  part->commands.assign(at(first), at(run->next));
  const std::weak_ptr<bool> alive = alive_;
  store_->Trip(
      process_,
      [store = store_, part, now_ms = run->now_ms] {
        store->Apply(part->commands, now_ms, &part->outcomes, &part->versions);
        part->written = store->written();
      },
      [this, alive, run, part](bool ok) {
        if (alive.expired()) return;
        if (!ok) {
          // What comes behind it would only run into what may be missing.
          run->outcomes.resize(run->commands.size(), UnknownOutcome());
          return Finish(run);
        }
        for (size_t i = 0; i < part->outcomes.size(); ++i) {
          TakeMembers(part->commands[i], part->outcomes[i], part->versions[i]);
          run->outcomes.push_back(std::move(part->outcomes[i]));
        }
        run->written = part->written;
        if (run->next < run->commands.size()) return SendPart(run);
        Finish(run);
      });
}

void SharedLog::TakeMembers(const Command& command, const Outcome& outcome, uint64_t version) {
  if (outcome.audience == nullptr || IsDirect(command.conv)) return;
  auto list = outcome.audience;
  if (!outcome.removed.empty()) {
    auto rest = std::make_shared<MemberList>();
    std::set_difference(list->begin(), list->end(), outcome.removed.begin(), outcome.removed.end(),
                        std::back_inserter(*rest));
    list = rest;
  }
  members_.insert_or_assign(command.conv, std::make_pair(version, std::move(list)));
}

// Everything is decided and stored. Durable before told.
void SharedLog::Finish(const RunPointer& run) {
  const std::weak_ptr<bool> alive = alive_;
  const auto finish = [this, alive, run](bool replicated) {
    if (alive.expired()) return;
    if (!replicated) run->outcomes.assign(run->commands.size(), UnknownOutcome());
    if (--commits_ == 0) {
      for (const std::function<void()>& read : std::exchange(reads_, {})) read();
    }
    Settle(run->ticket, [run] { run->done(std::move(run->outcomes)); });
  };
  if (!store_->replicated()) return finish(true);
  store_->WhenReplicated(run->written, run->term, finish);
}

// --- reads ---

void SharedLog::Read(std::function<Answer(Log*)> read, Answer refuse) {
  const TicketPointer ticket = TakeTicket();
  auto now = [this, ticket, read = std::move(read), refuse = std::move(refuse)] { ReadNow(ticket, read, refuse); };
  if (commits_ == 0) return now();
  reads_.emplace_back(std::move(now));
}

void SharedLog::ReadNow(const TicketPointer& ticket, const std::function<Answer(Log*)>& read, const Answer& refuse) {
  struct Found {
    Answer answer;
    uint64_t written = 0;
    uint64_t term = 0;
  };
  auto found = std::make_shared<Found>();
  const std::weak_ptr<bool> alive = alive_;
  store_->Trip(
      process_,
      [store = store_, found, read] {
        *found = {read(store->log()), store->written(), store->term()};
      },
      [this, alive, ticket, found, refuse](bool ok) {
        if (alive.expired()) return;
        if (!ok) return Settle(ticket, refuse);
        if (!store_->replicated()) return Settle(ticket, found->answer);
        store_->WhenReplicated(found->written, found->term, [this, alive, ticket, found, refuse](bool replicated) {
          if (!alive.expired()) Settle(ticket, replicated ? found->answer : refuse);
        });
      });
}

void SharedLog::Views(std::string_view user, std::string_view device, std::string_view after_conv, size_t limit,
                      ViewsDone done) {
  Read(
      [user = std::string(user), device = std::string(device), after = std::string(after_conv), limit, done](Log* log) {
        Answer answer;
        log->Views(user, device, after, limit,
                   [&](const Status& status, const std::vector<ConversationView>& views, bool more) {
                     answer = [done, status, views, more] { done(status, views, more); };
                   });
        return answer;
      },
      [done] { done(Unreachable(), {}, false); });
}

void SharedLog::View(std::string_view user, std::string_view device, std::string_view conv, ViewDone done) {
  Read(
      [user = std::string(user), device = std::string(device), conv = std::string(conv), done](Log* log) {
        Answer answer;
        log->View(user, device, conv, [&](const Status& status, const ConversationView& view) {
          answer = [done, status, view] { done(status, view); };
        });
        return answer;
      },
      [done] { done(Unreachable(), {}); });
}

void SharedLog::ResumeAt(std::string_view user, std::string_view device, const std::vector<Position>& positions,
                         ResumeDone done) {
  Read(
      [user = std::string(user), device = std::string(device), positions, done](Log* log) {
        Answer answer;
        log->ResumeAt(user, device, positions, [&](const Status& status, const std::vector<ResumeView>& views) {
          answer = [done, status, views] { done(status, views); };
        });
        return answer;
      },
      [done] { done(Unreachable(), {}); });
}

void SharedLog::Pull(const PullQuery& query, PageDone done) {
  Read(
      [query, done](Log* log) {
        Answer answer;
        log->Pull(query, [&](const Status& status, const Page& page) {
          answer = [done, status, page] { done(status, page); };
        });
        return answer;
      },
      [done] { done(Unreachable(), {}); });
}

void SharedLog::History(const HistoryQuery& query, HistoryDone done) {
  Read(
      [query, done](Log* log) {
        Answer answer;
        log->History(query, [&](const Status& status, const HistoryPage& page) {
          answer = [done, status, page] { done(status, page); };
        });
        return answer;
      },
      [done] { done(Unreachable(), {}); });
}

void SharedLog::StatusOf(std::string_view conv, std::string_view user, std::string_view device,
                         const std::vector<std::string>& ids, StatusDone done) {
  Read(
      [conv = std::string(conv), user = std::string(user), device = std::string(device), ids, done](Log* log) {
        Answer answer;
        log->StatusOf(conv, user, device, ids,
                      [&](const StatusAnswer& found) { answer = [done, found] { done(found); }; });
        return answer;
      },
      [done] { done({.code = Code::kUnavailable}); });
}

void SharedLog::MembersOf(std::string_view conv, MembersDone done) {
  Read(
      [this, store = store_, alive = std::weak_ptr<bool>(alive_), conv = std::string(conv), done](Log* log) {
        Answer answer;
        log->MembersOf(conv, [&](const Status& status, const std::shared_ptr<const MemberList>& members) {
          answer = [this, conv, version = store->VersionOf(conv), done, status, members] {
            if (members != nullptr && !IsDirect(conv))
              members_.insert_or_assign(conv, std::make_pair(version, members));
            done(status, members);
          };
        });
        return answer;
      },
      [done] { done(Unreachable(), nullptr); });
}

}  // namespace everyonce::simulation
