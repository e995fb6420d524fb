#include <algorithm>
#include <utility>

#include "core/page_cursor.h"
#include "engine/engine.h"

namespace everyonce {
namespace {

// A text below `conv` with no conversation between: none has a byte above `z`.
std::string JustBefore(std::string conv) {
  if (conv.empty()) return conv;
  --conv.back();
  conv.push_back('\x7f');
  return conv;
}

}  // namespace

void Engine::Got(Connection& connection, Packet packet) {
  Command command;
  command.kind = CommandKind::kGot;
  command.conv = std::move(packet.conv);
  command.from = packet.from.value_or(0);
  command.to = packet.from ? packet.to.value_or(0) : packet.seq.value_or(0);
  if (packet.epoch) {
    command.epoch = *packet.epoch;
  } else {
    // The epoch last told on this connection.
    const auto found = connection.links.find(command.conv);
    if (found != connection.links.end()) command.epoch = found->second.epoch;
  }
  Submit(connection, std::move(command),
         {.then = [this](Connection* acked, const Command& done, Outcome& outcome) { Acked(acked, done, outcome); }});
}

// An ack is in the log: what it names is off this connection's window.
void Engine::Acked(Connection* connection, const Command& command, const Outcome& outcome) {
  if (connection == nullptr) return;
  connection->last_progress_ms = now_.steady_ms;
  if (outcome.code != Code::kOk) return;  // acks may be lost: what is unacked comes again
  const auto found = connection->links.find(command.conv);
  if (found == connection->links.end()) return;
  Link& link = found->second;
  const bool rose = outcome.got > link.got;
  link.got = std::max(link.got, outcome.got);
  const size_t before = link.pushed.size();
  std::erase_if(link.pushed, [&](const PushedMessage& each) {
    return each.seq <= link.got || (command.from != 0 && each.seq >= command.from && each.seq <= outcome.acked_to);
  });
  connection->unacked -= static_cast<uint32_t>(before - link.pushed.size());
  if (before != link.pushed.size()) {
    link.repeats = 0;
    if (!link.pushed.empty()) link.first_push_ms = link.pushed.front().pushed_ms;
  }
  if (link.got >= link.head) CatchUp(*connection, link);
  if (before != link.pushed.size()) CatchUpAll(*connection);
  if (rose) NoteReceipt(connection, command.conv, command.user, link.epoch, link.got, 0);
}

void Engine::Pull(Connection& connection, Packet packet) {
  connection.last_progress_ms = now_.steady_ms;
  PullQuery query;
  query.user = connection.user;
  query.device = connection.device;
  query.conv = packet.conv;
  query.limit =
      static_cast<uint32_t>(std::min<uint64_t>(packet.limit.value_or(options_.limits.page), options_.limits.page));
  query.max_spans = kMaxCursorSpans;
  query.newest_first = packet.newest_first;
  query.hold = packet.hold;
  if (packet.next.empty()) return ReadPage(connection.id, std::move(packet.rid_json), std::move(query));
  std::optional<PageCursor> cursor = DecodePageCursor(packet.next);
  const bool fits = cursor && cursor->all == packet.conv.empty() && cursor->newest_first == packet.newest_first &&
                    (cursor->all || cursor->position.conv == packet.conv) &&
                    std::all_of(cursor->covers.begin(), cursor->covers.end(),
                                [&](const Span& span) { return packet.conv.empty() || span.conv == packet.conv; });
  if (!fits || cursor->covers.empty()) {
    return SendError(connection, {.code = Code::kBadRequest,
                                  .message = "\"next\" must be what a page of this same pull gave.",
                                  .rid_json = packet.rid_json});
  }
  // Oldest first, what is acked tells where to go on, and what came meanwhile comes at its end, in one round.
  if (packet.hold || packet.newest_first) {
    query.go_on = std::move(cursor->position);
  } else if (cursor->all) {
    query.after_conv = JustBefore(cursor->position.conv);  // the page's last conversation may have more
  }
  if (packet.hold) return ReadPage(connection.id, std::move(packet.rid_json), std::move(query));
  // Pulling on acks exactly the page before; the page is read when that is in the log.
  for (size_t i = 0; i < cursor->covers.size(); ++i) {
    Command command;
    command.kind = CommandKind::kGot;
    command.conv = std::move(cursor->covers[i].conv);
    command.epoch = cursor->covers[i].epoch;
    command.from = cursor->covers[i].from;
    command.to = cursor->covers[i].to;
    Pending pending;
    const bool last = i + 1 == cursor->covers.size();
    pending.then = [this, last, rid_json = packet.rid_json, query](Connection* pulling, const Command& done,
                                                                   Outcome& outcome) {
      Acked(pulling, done, outcome);
      // The application has pulled for a device: its own connection has that much less to ack.
      if (pulling != nullptr && pulling->application) Acked(FindDevice(done.user, done.device), done, outcome);
      if (pulling == nullptr || !last) return;
      if (outcome.code == Code::kUnavailable) {
        return SendError(
            *pulling,
            {.code = outcome.code, .message = outcome.message, .rid_json = rid_json, .retry_ms = outcome.retry_ms});
      }
      ++pulling->reads_in_flight;
      pulling->deferred_pull = DeferredPull{rid_json, query};
    };
    Submit(connection, std::move(command), std::move(pending));
  }
}

void Engine::ReadPage(ConnectionId id, std::string rid_json, PullQuery query) {
  Connection* connection = Find(id);
  if (connection == nullptr) return;
  ++connection->reads_in_flight;
  query.archived_bytes = ArchivedBytes();
  log_->Pull(query, [this, id, query, rid_json = std::move(rid_json)](const Status& status, Page page) {
    auto shared = std::make_shared<Page>(std::move(page));
    const auto give = [this, id, query, rid_json, shared](const Status& known, std::vector<PageItem> items) {
      Connection* pulling = Find(id);
      if (pulling == nullptr) return;
      ReadDone(*pulling);
      if (!known.ok()) return SendReadError(*pulling, known, rid_json);
      shared->items = std::move(items);
      GivePage(*pulling, rid_json, query, *shared);
    };
    if (!status.ok()) return give(status, {});
    Complete(std::move(shared->items), give);
  });
}

void Engine::GivePage(Connection& pulling, std::string_view rid_json, const PullQuery& query, const Page& page) {
  ++counters_.pages;
  std::string next;
  if (!page.items.empty()) {
    next = EncodePageCursor({.covers = page.covers,
                             .position = page.position,
                             .all = query.conv.empty(),
                             .newest_first = query.newest_first});
  }
  std::string* out = Out(pulling);
  const size_t before = out->size();
  WritePage(rid_json, page.items, page.covers, next, out);
  pushed_bytes_ += out->size() - before;
  for (const ConversationView& view : page.finished) {
    Link& link = *LinkTo(pulling, view.conv).first;
    link.told = true;
    link.epoch = view.epoch;
    link.head = std::max(link.head, view.head);
    link.got = std::max(link.got, view.got);
    if (view.head >= link.head) CatchUp(pulling, link);
  }
}

void Engine::Read(Connection& connection, Packet packet) {
  Command command;
  command.kind = CommandKind::kRead;
  command.conv = std::move(packet.conv);
  command.epoch = packet.epoch.value_or(0);
  command.to = packet.seq.value_or(0);
  Submit(connection, std::move(command), {.then = [this](Connection* reader, const Command& done, Outcome& outcome) {
           if (reader == nullptr) return;
           if (outcome.code != Code::kOk) {
             return SendError(*reader, {.code = outcome.code, .message = outcome.message});
           }
           if (outcome.rose) NoteReceipt(reader, done.conv, done.user, outcome.epoch, 0, outcome.read);
         }});
}

void Engine::Signal(Connection& connection, Packet packet) {
  const ConnectionId id = connection.id;
  ++connection.reads_in_flight;
  log_->MembersOf(packet.conv, [this, id, conv = packet.conv, body = packet.body](
                                   const Status& status, const std::shared_ptr<const MemberList>& members) {
    Connection* sender = Find(id);
    if (sender == nullptr) return;
    ReadDone(*sender);
    if (!status.ok() || members == nullptr || !std::binary_search(members->begin(), members->end(), sender->user)) {
      return SendError(*sender,
                       {.code = Code::kUnknownConv, .message = "\"conv\" does not exist, or you are not in it."});
    }
    std::string json;
    WriteSignal(conv, sender->user, body, &json);
    for (const std::string& member : *members) {
      const auto found = online_.find(member);
      if (found == online_.end()) continue;
      for (Connection* each : found->second) {
        // Dropped first under load: a signal is worth nothing to somebody who is behind with messages.
        if (each->id == id || each->lagging || pushed_bytes_ >= options_.output_bytes) continue;
        Out(*each)->append(json);
        pushed_bytes_ += json.size();
      }
    }
    if (relay_ != nullptr) {
      TellBell({.kind = Bell::Kind::kSignal, .conv = conv, .packet = std::move(json)}, {});
    }
  });
}

}  // namespace everyonce
