#include <algorithm>
#include <utility>

#include "engine/engine.h"

namespace everyonce {
namespace {

constexpr size_t kMaxCounts = 1000;        // conversations in one answer
constexpr size_t kMaxCounted = 1'000'000;  // conversations that `total` sums over

}  // namespace

// Counts first, messages on demand: the sum over all of the user's conversations, and those behind `after` one by one.
void Engine::Counts(Connection& connection, Packet packet) {
  const ConnectionId id = connection.id;
  ++connection.reads_in_flight;
  log_->Views(connection.user, connection.device, {}, kMaxCounted,
              [this, id, rid_json = packet.rid_json, after = packet.after_conv](
                  const Status& status, const std::vector<ConversationView>& views, bool) {
                Connection* asking = Find(id);
                if (asking == nullptr) return;
                ReadDone(*asking);
                if (!status.ok()) return SendReadError(*asking, status, rid_json);
                uint64_t total = 0;
                for (const ConversationView& view : views) total += view.unread;
                const auto first = std::find_if(views.begin(), views.end(),
                                                [&](const ConversationView& view) { return view.conv > after; });
                const auto left = static_cast<size_t>(views.end() - first);
                const size_t count = std::min(left, kMaxCounts);
                std::string* out = Out(*asking);
                const size_t before = out->size();
                WriteCounts(rid_json, total, {views.data() + (first - views.begin()), count}, count < left, out);
                pushed_bytes_ += out->size() - before;
              });
}

// Reading back: acks nothing, changes nothing.
void Engine::History(Connection& connection, Packet packet) {
  HistoryQuery query;
  query.user = connection.user;
  query.conv = packet.conv;
  query.before = packet.before;
  query.after = packet.after;
  query.limit =
      static_cast<uint32_t>(std::min<uint64_t>(packet.limit.value_or(options_.limits.page), options_.limits.page));
  query.archived_bytes = ArchivedBytes();
  const ConnectionId id = connection.id;
  ++connection.reads_in_flight;
  log_->History(query, [this, id, rid_json = packet.rid_json](const Status& status, HistoryPage page) {
    const auto give = [this, id, rid_json, more = page.more](const Status& known, const std::vector<PageItem>& items) {
      Connection* asking = Find(id);
      if (asking == nullptr) return;
      ReadDone(*asking);
      if (!known.ok()) return SendReadError(*asking, known, rid_json);
      std::string* out = Out(*asking);
      const size_t before = out->size();
      WriteHistoryPage(rid_json, items, more, out);
      pushed_bytes_ += out->size() - before;
    };
    if (!status.ok()) return give(status, {});
    Complete(std::move(page.items), give);
  });
}

// A read that the store could not answer, or of a conversation that is not the user's.
void Engine::SendReadError(Connection& connection, const Status& status, std::string_view rid_json) {
  SendError(connection, {.code = status.code,
                         .message = status.message,
                         .rid_json = rid_json,
                         .retry_ms = status.code == Code::kUnavailable ? 1000 : -1});
}

}  // namespace everyonce
