// The application's consumer groups: their calls, answered as requests are, and the bell.

#include <utility>

#include "core/json_writer.h"
#include "core/packet_writer.h"
#include "engine/engine.h"

namespace everyonce {
namespace {

constexpr int64_t kRetryMs = 1000;

void WriteNumber(uint64_t number, std::string* out) { WriteInteger(number, out); }

// With the body as a string of its own text.
void WriteRawMsg(const Message& message, std::string* out) {
  Message told = message;
  told.body.clear();
  WriteJsonString(message.body, &told.body);
  WriteMsg(told, out);
}

void WriteSlice(const FeedSlice& slice, bool raw, std::string* out) {
  ObjectWriter writer(out);
  writer.String("conv", slice.conv);
  writer.Integer("lease", slice.lease);
  writer.List("messages", slice.messages, raw ? WriteRawMsg : WriteMsg);
  writer.End();
}

void WriteLetter(const DeadLetter& letter, std::string* out) {
  ObjectWriter writer(out);
  writer.Key("message");
  WriteMsg(letter.message, out);
  writer.Integer("attempts", letter.attempts);
  writer.String("error", letter.error);
  writer.Time("at", letter.at_ms);
  writer.End();
}

void WriteGroup(const FeedGroupView& group, std::string* out) {
  ObjectWriter writer(out);
  writer.String("group", group.group);
  writer.Time("at", group.created_at_ms);
  writer.End();
}

}  // namespace

void Engine::ListenToFeed() {
  if (log_->feed() == nullptr) return;
  log_->feed()->OnNews([this](std::string_view group) {
    std::string json = R"({"event":"feed","group":)";
    WriteJsonString(group, &json);
    json += '}';
    Event(json);
  });
}

void Engine::CallFeed(uint32_t request, FeedCall call, const Time& now) {
  now_ = now;
  Feed* feed = log_->feed();
  if (feed == nullptr) {
    return RefuseFeed(request, {.code = Code::kUnsupported, .message = "This store has no consumer groups."});
  }
  if (call.kind == FeedCallKind::kChange) return ChangeFeed(request, std::move(call.change));
  if (call.kind == FeedCallKind::kTake) {
    call.query.now_ms = now.wall_ms;
    return feed->Take(call.query, [this, request, raw = call.raw](const Status& status, const FeedPage& page) {
      AnswerFeed(request, status, [&](ObjectWriter* writer) {
        writer->List("slices", page.slices,
                     [raw](const FeedSlice& slice, std::string* out) { WriteSlice(slice, raw, out); });
        writer->Flag("more", page.more);
      });
    });
  }
  ReadFeed(request, feed, call);
}

void Engine::ReadFeed(uint32_t request, Feed* feed, const FeedCall& call) {
  switch (call.kind) {
    case FeedCallKind::kRenew:
      return feed->Renew(call.group, call.leases, call.lease_ms, now_.wall_ms,
                         [this, request](const Status& status, const std::vector<uint64_t>& lost) {
                           AnswerFeed(request, status,
                                      [&](ObjectWriter* writer) { writer->List("lost", lost, WriteNumber); });
                         });
    case FeedCallKind::kLag:
      return feed->Lag(call.group, [this, request](const Status& status, const FeedLag& lag) {
        AnswerFeed(request, status, [&](ObjectWriter* writer) {
          writer->Integer("messages", lag.messages);
          writer->Time("oldest", lag.oldest_at_ms);
          writer->Integer("deadLetters", lag.dead_letters);
          writer->Flag("exact", lag.exact);
        });
      });
    case FeedCallKind::kLetters:
      return feed->Letters(call.group, call.after_mid, call.limit,
                           [this, request](const Status& status, const std::vector<DeadLetter>& letters, bool more) {
                             AnswerFeed(request, status, [&](ObjectWriter* writer) {
                               writer->List("letters", letters, WriteLetter);
                               writer->Flag("more", more);
                             });
                           });
    default:
      return AnswerFeed(request, Status::Ok(),
                        [&](ObjectWriter* writer) { writer->List("groups", feed->Groups(), WriteGroup); });
  }
}

// Changes are commands like any other, committed with whatever else is in the group.
void Engine::ChangeFeed(uint32_t request, FeedChange change) {
  Command command;
  command.kind = CommandKind::kFeed;
  command.feed = std::make_shared<const FeedChange>(std::move(change));
  group_.push_back(std::move(command));
  Pending pending;
  pending.then = [this, request](Connection*, const Command&, const Outcome& outcome) {
    Status status;
    if (outcome.code != Code::kOk) status = Status::Error(outcome.code, outcome.message);
    AnswerFeed(request, status, [&](ObjectWriter* writer) {
      if (outcome.first) writer->Flag("first", true);
      if (outcome.got != 0) writer->Integer("position", outcome.got);
    });
  };
  group_pending_.push_back(std::move(pending));
}

void Engine::RefuseFeed(uint32_t request, const ErrorPacket& error) {
  std::string json;
  WriteError(error, &json);
  output_.AddBytes(OutputKind::kAnswer, request, json);
}

void Engine::AnswerFeed(uint32_t request, const Status& status, const std::function<void(ObjectWriter*)>& write) {
  if (!status.ok()) {
    return RefuseFeed(request, {.code = status.code,
                                .message = status.message,
                                .retry_ms = status.code == Code::kUnavailable ? kRetryMs : -1});
  }
  std::string json;
  ObjectWriter writer("ok", &json);
  write(&writer);
  writer.End();
  output_.AddBytes(OutputKind::kAnswer, request, json);
}

}  // namespace everyonce
