#include "log/conformance.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <utility>

namespace everyonce::test {
namespace {

const std::array<std::string, 6> kUsers = {"ann", "bob", "cat", "dan", "eve", "stranger"};
const std::array<std::string, 2> kDevices = {"phone", "laptop"};
const std::array<std::string, 8> kConversations = {"dm:ann:bob", "dm:ann:cat", "dm:bob:dan", "g:all",
                                                   "g:never",    "g:none",     "g:one",      "g:two"};

std::string Describe(const Command& command) {
  static constexpr std::array<const char*, 6> kKinds = {"send", "skip", "members", "got", "read", "device"};
  static constexpr std::array<const char*, 4> kActions = {"create", "add", "remove", "leave"};
  std::string text = kKinds[static_cast<size_t>(command.kind)];
  if (command.kind == CommandKind::kMembers) text += std::string(" ") + kActions[static_cast<size_t>(command.action)];
  text += " " + command.conv + " by " + command.user + "/" + command.device + " pe " + std::to_string(command.pe);
  if (command.kind == CommandKind::kSend) text += " n " + std::to_string(command.n) + " id " + command.id;
  if (command.refused != Code::kOk) text += " refused " + std::string(CodeName(command.refused));
  if (command.to != 0) text += " " + std::to_string(command.from) + ".." + std::to_string(command.to);
  if (command.epoch != 0) text += " epoch " + std::to_string(command.epoch);
  for (const std::string& member : command.members) text += " " + member;
  for (const Position& at : command.positions) {
    text += " at " + at.conv + ":" + std::to_string(at.epoch) + ":" + std::to_string(at.seq);
  }
  if (command.authorised) text += *command.authorised ? " authorised" : " not authorised";
  return text;
}

}  // namespace

void LogUnderTest::RunUntil(const std::function<bool()>& done) {
  if (!done()) ADD_FAILURE() << "a log that answers inline has not answered";
}
bool LogUnderTest::FailNextWrite(bool) { return false; }

ModelRun::ModelRun(LogUnderTest* subject, RunOptions options)
    : subject_(subject), options_(options), random_(0), model_(kTestWindowMs) {
  options_.seed = FromEnvironment("EVERYONCE_SEED", options_.seed);
  options_.steps = FromEnvironment("EVERYONCE_STEPS", options_.steps);
  random_ = Random(options_.seed);
}

void ModelRun::Run() {
  if (options_.retain_one_in != 0 && !subject_->SetRules(options_.rules)) ADD_FAILURE() << "this log removes nothing";
  std::string wrong = HelloAll();
  uint64_t step = 0;
  for (; wrong.empty() && step < options_.steps; ++step) {
    wrong = Step();
    if (wrong.empty() && options_.reopen_every != 0 && step % options_.reopen_every == options_.reopen_every - 1) {
      doing_ = "reopening";
      subject_->Reopen(now_ms_, options_.power_cuts);
      for (const std::string& conv : kConversations) {
        if (wrong.empty()) wrong = model_.Reopened(conv, subject_->FloorOf(conv), options_.power_cuts);
      }
    }
    if (wrong.empty() && step % 250 == 249) wrong = AskEverything();
  }
  if (wrong.empty()) wrong = AskEverything();
  if (wrong.empty()) wrong = Drain();
  if (wrong.empty()) return;
  ADD_FAILURE() << wrong << "\n  while: " << doing_ << "\n  in step " << step
                << "; repeat with EVERYONCE_SEED=" << options_.seed << " EVERYONCE_STEPS=" << options_.steps
                << " and --gtest_filter=" << testing::UnitTest::GetInstance()->current_test_info()->test_suite_name()
                << "." << testing::UnitTest::GetInstance()->current_test_info()->name();
}

std::string ModelRun::HelloAll() {
  std::string wrong;
  for (const std::string& user : kUsers) {
    for (const std::string& device : kDevices) {
      if (wrong.empty()) wrong = Commit({MakeHello(user, device)});
    }
  }
  return wrong;
}

// Some slices, or a round and a half: then all that may go is gone.
std::string ModelRun::Retain() {
  const bool whole = random_.OneIn(3);
  const uint64_t target = subject_->log()->counters().retention_runs + 2;
  const uint64_t slices = whole ? 100000 : random_.Between(1, 4);
  for (uint64_t i = 0; i < slices && subject_->log()->counters().retention_runs < target; ++i) {
    doing_ = "removing";
    if (subject_->log()->Retain(now_ms_) < 0) return "never removes";
    subject_->EndSlice();
  }
  for (const std::string& conv : kConversations) {
    std::string wrong = model_.Retain(conv, options_.rules, now_ms_, subject_->FloorOf(conv), whole);
    if (!wrong.empty()) return wrong;
  }
  return {};
}

void ModelRun::AdvanceClock() {
  now_ms_ += static_cast<int64_t>(random_.Below(40));
  if (random_.OneIn(30)) now_ms_ -= static_cast<int64_t>(random_.Below(30));  // a clock that was set back
  if (random_.OneIn(150)) now_ms_ += 2 * kTestWindowMs;
}

std::string ModelRun::Step() {
  const int64_t before_ms = now_ms_;
  AdvanceClock();
  planned_.clear();
  if (options_.rules.until_acked && now_ms_ - before_ms > kTestWindowMs) {
    if (std::string wrong = HelloAll(); !wrong.empty()) return wrong;  // so that all devices count as seen
  }
  std::vector<Command> group;
  for (uint64_t count = random_.OneIn(10) ? random_.Between(10, 30) : random_.Between(1, 6); count > 0; --count) {
    group.push_back(MakeCommand());
  }
  if (options_.fail_one_in != 0 && random_.OneIn(options_.fail_one_in)) {
    doing_ = "asking for a failure";
    if (!subject_->FailNextWrite(random_.OneIn(2))) return "this log can't fail";
  }
  std::string wrong = Commit(group);
  if (wrong.empty() && options_.retain_one_in != 0 && random_.OneIn(options_.retain_one_in)) wrong = Retain();
  for (int questions = 2; wrong.empty() && questions > 0; --questions) wrong = Ask();
  return wrong;
}

std::string ModelRun::Commit(const std::vector<Command>& group) {
  doing_ = "committing";
  int answered = 0;
  std::vector<Outcome> outcomes;
  subject_->log()->Commit(group, now_ms_, [&](std::vector<Outcome> given) {
    ++answered;
    outcomes = std::move(given);
  });
  subject_->RunUntil([&] { return answered > 0; });
  if (answered != 1) return "answered " + std::to_string(answered) + " times";
  if (outcomes.size() != group.size()) return std::to_string(outcomes.size()) + " outcomes";
  return subject_->WriteFailed() ? AfterFailure(group, outcomes) : Settle(group, outcomes);
}

std::string ModelRun::Settle(const std::vector<Command>& group, const std::vector<Outcome>& outcomes) {
  for (size_t i = 0; i < group.size(); ++i) {
    doing_ = Describe(group[i]) + " (" + std::to_string(i + 1) + " of " + std::to_string(group.size()) + ")";
    if (std::string wrong = model_.Commit(group[i], now_ms_, &outcomes[i]); !wrong.empty()) return wrong;
  }
  return {};
}

// The group is there or is not, whole; nobody was told. The same again tells: the clients send the whole group again.
std::string ModelRun::AfterFailure(const std::vector<Command>& group, const std::vector<Outcome>& outcomes) {
  doing_ = "failing";
  for (size_t i = 0; i < group.size(); ++i) {
    doing_ = Describe(group[i]) + " (" + std::to_string(i + 1) + " of a failed group)";
    if (outcomes[i].code == Code::kUnavailable) {
      if (outcomes[i].retry_ms < 0) return "unavailable without retry";
      if (outcomes[i].seq != 0 || outcomes[i].duplicate || outcomes[i].audience) return "tells what may not be stored";
      continue;
    }
    // Right whether or not the hello that it was overtaken by in this group is kept: there is a newer run of the
    // device.
    const bool overtaken = std::any_of(group.begin(), group.begin() + static_cast<long>(i), [&](const Command& other) {
      return other.user == group[i].user && other.device == group[i].device && other.pe > group[i].pe;
    });
    if (overtaken && outcomes[i].code == Code::kStaleDevice) continue;
    // What rests on nothing in the group may be answered, as if it stood alone.
    LogModel alone = model_;
    if (std::string wrong = alone.Commit(group[i], now_ms_, &outcomes[i]); !wrong.empty()) return wrong;
    if (alone.messages() != model_.messages()) return "acked by a failed group";
  }
  LogModel kept = model_;
  for (const Command& command : group) (void)kept.Commit(command, now_ms_, nullptr);
  if (subject_->WriteWasKept()) model_ = std::move(kept);
  // The store is recovered by a later commit; until then all is unavailable.
  const Command probe = [&] {
    Command hello;
    hello.kind = CommandKind::kDevice;
    hello.user = "probe";
    hello.device = "probe";
    hello.pe = 1;
    return hello;
  }();
  for (int tries = 0; tries < 5; ++tries) {
    now_ms_ += 1100;
    const std::vector<Command> probes = {probe};
    bool up = false;
    bool answered = false;
    subject_->log()->Commit(probes, now_ms_, [&](std::vector<Outcome> given) {
      answered = true;
      up = given.size() == 1 && given[0].code == Code::kOk;
    });
    subject_->RunUntil([&] { return answered; });
    if (up) return Commit(group);
  }
  return "still unavailable after five tries to recover";
}

// --- questions ---

std::string ModelRun::Ask() {
  const std::string user = random_.Pick(kUsers);
  const std::string device = random_.Pick(kDevices);
  const std::string conv = random_.Pick(kConversations);
  switch (random_.Below(9)) {
    case 0:
      return AskView(user, random_.OneIn(5) ? "" : device, conv);
    case 1:
      return AskViews(user, device, random_.OneIn(2) ? "" : conv, random_.Between(1, 8));
    case 2:
      return AskResume(user, device);
    case 3:
      return AskStatus(user, device, conv);
    case 4:
      return AskMembers(conv);
    case 5:
      return AskHistory(user, conv);
    default:
      break;
  }
  PullQuery query;
  query.user = user;
  query.device = device;
  if (random_.OneIn(2)) {
    query.conv = conv;
  } else if (random_.OneIn(2)) {
    query.after_conv = conv;
  }
  query.newest_first = random_.OneIn(2);
  if (random_.OneIn(3)) {
    const std::string at = query.conv.empty() || random_.OneIn(4) ? random_.Pick(kConversations) : query.conv;
    const uint64_t epoch = random_.OneIn(5) ? 12345 : model_.EpochOf(at);
    query.go_on = Position{at, epoch, random_.Below(model_.Head(at) + 3)};
    query.after_conv.clear();
  }
  if (query.newest_first) query.after_conv.clear();
  query.limit = static_cast<uint32_t>(random_.OneIn(3) ? random_.Between(1, 5) : random_.Between(1, 200));
  if (random_.OneIn(4)) query.max_bytes = random_.Between(1, 3000);
  if (random_.OneIn(4)) query.max_spans = random_.Between(1, 3);
  Page page;
  return AskPull(query, &page);
}

std::string ModelRun::AskView(const std::string& user, const std::string& device, const std::string& conv) {
  doing_ = "view of " + conv + " for " + user + "/" + device;
  std::string wrong = "no answer";
  bool answered = false;
  subject_->log()->View(user, device, conv, [&](const Status& status, const ConversationView& view) {
    answered = true;
    wrong = model_.CheckView(user, device, conv, status, view);
  });
  subject_->RunUntil([&] { return answered; });
  return wrong;
}

std::string ModelRun::AskViews(const std::string& user, const std::string& device, const std::string& after,
                               size_t limit) {
  doing_ = "views of " + user + "/" + device + " after " + after + ", " + std::to_string(limit);
  std::string wrong = "no answer";
  bool answered = false;
  subject_->log()->Views(user, device, after, limit,
                         [&](const Status& status, const std::vector<ConversationView>& views, bool more) {
                           answered = true;
                           wrong = model_.CheckViews(user, device, after, limit, status, views, more);
                         });
  subject_->RunUntil([&] { return answered; });
  return wrong;
}

std::string ModelRun::AskResume(const std::string& user, const std::string& device) {
  doing_ = "resume of " + user + "/" + device;
  const std::vector<Position> positions = MakePositions();
  std::string wrong = "no answer";
  bool answered = false;
  subject_->log()->ResumeAt(user, device, positions, [&](const Status& status, const std::vector<ResumeView>& views) {
    answered = true;
    wrong = model_.CheckResume(user, device, positions, status, views);
  });
  subject_->RunUntil([&] { return answered; });
  return wrong;
}

std::string ModelRun::AskPull(const PullQuery& query, Page* page) {
  doing_ = "pull of " + query.user + "/" + query.device + " conv " + query.conv + " after " + query.after_conv +
           (query.newest_first ? " newest first" : "") +
           (query.go_on ? " from " + query.go_on->conv + " " + std::to_string(query.go_on->seq) : "") + " limit " +
           std::to_string(query.limit) + " bytes " + std::to_string(query.max_bytes) + " spans " +
           std::to_string(query.max_spans);
  std::string wrong = "no answer";
  bool answered = false;
  subject_->log()->Pull(query, [&](const Status& status, Page given) {
    answered = true;
    wrong = model_.CheckPull(query, status, given);
    *page = std::move(given);
  });
  subject_->RunUntil([&] { return answered; });
  return wrong;
}

std::string ModelRun::AskHistory(const std::string& user, const std::string& conv) {
  HistoryQuery query;
  query.user = user;
  query.conv = conv;
  const uint64_t head = model_.Head(conv);
  if (random_.OneIn(2)) query.after = random_.Below(head + 3);
  if (random_.OneIn(2)) query.before = random_.Between(1, head + 3);
  query.limit = static_cast<uint32_t>(random_.OneIn(2) ? random_.Between(1, 5) : random_.Between(1, 200));
  if (random_.OneIn(4)) query.max_bytes = random_.Between(1, 3000);
  doing_ = "history of " + conv + " for " + user + " after " + (query.after ? std::to_string(*query.after) : "-") +
           " before " + (query.before ? std::to_string(*query.before) : "-") + " limit " + std::to_string(query.limit) +
           " bytes " + std::to_string(query.max_bytes);
  std::string wrong = "no answer";
  bool answered = false;
  subject_->log()->History(query, [&](const Status& status, const HistoryPage& page) {
    answered = true;
    wrong = model_.CheckHistory(query, status, page);
  });
  subject_->RunUntil([&] { return answered; });
  return wrong;
}

std::string ModelRun::AskStatus(const std::string& user, const std::string& device, const std::string& conv) {
  doing_ = "status of " + user + "/" + device + " in " + conv;
  std::vector<std::string> ids;
  for (uint64_t count = random_.Between(1, 30); count > 0; --count) {
    const uint64_t last = std::max<uint64_t>(model_.LastN(conv, user, device), 1);
    std::string id = model_.IdOf(conv, user, device, random_.Between(1, last));
    if (id.empty() || random_.OneIn(6)) id = "never-sent-" + std::to_string(count);
    ids.push_back(id);
  }
  std::string wrong = "no answer";
  bool answered = false;
  subject_->log()->StatusOf(conv, user, device, ids, [&](const StatusAnswer& answer) {
    answered = true;
    wrong = model_.CheckStatus(conv, user, device, ids, answer);
  });
  subject_->RunUntil([&] { return answered; });
  return wrong;
}

std::string ModelRun::AskMembers(const std::string& conv) {
  doing_ = "members of " + conv;
  std::string wrong = "no answer";
  bool answered = false;
  subject_->log()->MembersOf(conv, [&](const Status& status, const std::shared_ptr<const MemberList>& members) {
    answered = true;
    wrong = model_.CheckMembers(conv, status, members.get());
  });
  subject_->RunUntil([&] { return answered; });
  return wrong;
}

std::string ModelRun::AskEverything() {
  std::string wrong;
  for (const std::string& user : kUsers) {
    for (const std::string& device : kDevices) {
      if (wrong.empty()) wrong = AskViews(user, device, "", 100);
      for (const std::string& conv : kConversations) {
        Page page;
        PullQuery query;
        query.user = user;
        query.device = device;
        query.conv = conv;
        query.limit = 100000;
        query.max_bytes = size_t{1} << 30;
        if (wrong.empty()) wrong = AskPull(query, &page);
        if (wrong.empty()) wrong = AskView(user, device, conv);
        if (wrong.empty()) wrong = AskMembers(conv);
      }
    }
  }
  return wrong;
}

std::string ModelRun::Drain() {
  for (const std::string& user : kUsers) {
    for (const std::string& device : kDevices) {
      PullQuery query;
      query.user = user;
      query.device = device;
      query.limit = 50;
      for (uint64_t pages = 0; true; ++pages) {
        Page page;
        if (std::string wrong = AskPull(query, &page); !wrong.empty()) return wrong;
        if (page.items.empty()) break;
        if (pages > model_.messages()) return "never drains";
        std::vector<Command> acks;
        for (const Span& span : page.covers) {
          Command ack;
          ack.kind = CommandKind::kGot;
          ack.conv = span.conv;
          ack.user = user;
          ack.device = device;
          ack.pe = model_.KnownPe(user, device);
          ack.epoch = span.epoch;
          ack.from = span.from;
          ack.to = span.to;
          acks.push_back(ack);
        }
        if (std::string wrong = Commit(acks); !wrong.empty()) return wrong;
        query.after_conv = page.covers.empty() ? "" : page.covers.back().conv;
      }
      for (const std::string& conv : kConversations) {
        if (!model_.Needed(conv, user, device).empty()) return conv + ": an empty page, and something is needed";
      }
    }
  }
  return {};
}

}  // namespace everyonce::test
