// Pages whose beginning retention has removed, completed from the application's archive: JavaScript reads it, and gives
// back the packets that stand in place of the holes, as text, so that bodies stay byte for byte what they were.

#include <utility>

#include "core/json_writer.h"
#include "engine/engine.h"

namespace everyonce {
namespace {

constexpr std::string_view kExpired = "expired";
constexpr size_t kKeysAndNames = 512;  // of an archived message, beside its body

bool IsExpired(const PageItem& item) { return item.is_hole() && item.hole.reason == kExpired; }

}  // namespace

size_t Engine::ArchivedBytes() const { return options_.archive ? options_.limits.body_bytes + kKeysAndNames : 0; }

// An archive gets all that its group has not passed; a group that is not there yet has passed nothing.
bool Engine::MayRetain() const {
  if (options_.archive_group.empty() || log_->feed() == nullptr) return true;
  const std::vector<FeedGroupView> groups = log_->feed()->Groups();
  return std::any_of(groups.begin(), groups.end(),
                     [&](const FeedGroupView& each) { return each.group == options_.archive_group; });
}

// Calls `then` with the items as they are, or, where some are missing, when the archive has answered. What asked stays
// in flight meanwhile. There are no more questions than connections and requests that read.
void Engine::Complete(std::vector<PageItem> items, Completed then) {
  std::string holes;
  for (const PageItem& item : items) {
    if (!options_.archive || !IsExpired(item)) continue;
    holes += holes.empty() ? "[" : ",[";
    WriteJsonString(item.hole.span.conv, &holes);
    for (const uint64_t number : {item.hole.span.epoch, item.hole.span.from, item.hole.span.to}) {
      holes.push_back(',');
      WriteInteger(number, &holes);
    }
    holes.push_back(']');
  }
  if (holes.empty()) return then(Status::Ok(), std::move(items));
  do ++last_archive_question_;
  while (last_archive_question_ == 0 || archive_questions_.contains(last_archive_question_));
  archive_questions_.emplace(last_archive_question_, ArchiveQuestion{std::move(items), std::move(then)});
  output_.AddBytes(OutputKind::kArchive, last_archive_question_, "{\"holes\":[" + holes + "]}");
}

void Engine::Archived(uint32_t question, bool ok, std::vector<std::string> texts) {
  auto asked = archive_questions_.extract(question);
  if (asked.empty()) return;
  std::vector<PageItem>& items = asked.mapped().items;
  size_t next = 0;
  for (PageItem& item : items) {
    if (IsExpired(item) && next < texts.size()) item.filled = std::move(texts[next++]);
  }
  Status status;
  if (!ok) status = Status::Error(Code::kUnavailable, "The archive can not be read; ask again.");
  asked.mapped().then(status, std::move(items));
}

}  // namespace everyonce
