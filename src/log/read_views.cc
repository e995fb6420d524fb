// Views: heads, marks and counts, and what became of a client's positions.

#include <algorithm>
#include <utility>

#include "log/embedded_log.h"
#include "log/read.h"

namespace everyonce {
namespace {

constexpr size_t kTrimEvery = 256;  // conversations looked at before the cache is brought back to its bound

Status UnknownConv() { return Status::Error(Code::kUnknownConv, "no such conversation, or you are not in it"); }

}  // namespace

Status ViewOf(Conversation* conversation, std::string_view user, std::string_view device, ConversationView* view) {
  const VisibleSpans& spans = *conversation->SpansOf(user);
  view->conv = conversation->conv();
  view->epoch = conversation->epoch();
  view->head = conversation->VisibleHead(spans);
  view->member = conversation->IsMember(user);
  ReadRecord* read = nullptr;
  Status status = conversation->FindReadMark(user, &read);
  if (!status.ok()) return status;
  view->read = std::min(read->seq, view->head);
  status = conversation->Unread(user, &view->unread);
  if (status.ok() && !device.empty()) status = conversation->SettledUpTo(user, device, &view->got);
  return status;
}

Status ReadResume(LogContext* context, std::string_view user, std::string_view device, const Position& position,
                  ResumeView* view) {
  view->view.conv = position.conv;
  view->resume = Resume::kReset;
  Conversation* conversation = nullptr;
  Status status = context->FindFor(user, position.conv, &conversation);
  if (!status.ok() || conversation == nullptr || !conversation->exists()) return status;
  status = ViewOf(conversation, user, device, &view->view);
  if (!status.ok()) return status;
  view->resume = conversation->epochs().Judge(position.epoch, position.seq, view->view.head, &view->keep);
  return status;
}

void EmbeddedLog::View(std::string_view user, std::string_view device, std::string_view conv, ViewDone done) {
  ConversationView view;
  Conversation* conversation = nullptr;
  Status status = Readable();
  if (status.ok()) status = context_->FindFor(user, conv, &conversation);
  if (status.ok()) status = conversation == nullptr ? UnknownConv() : ViewOf(conversation, user, device, &view);
  context_->Trim();
  done(std::move(status), std::move(view));
}

void EmbeddedLog::Views(std::string_view user, std::string_view device, std::string_view after_conv, size_t limit,
                        ViewsDone done) {
  std::vector<ConversationView> views;
  std::vector<std::string> convs;
  Status status = Readable();
  if (status.ok()) status = context_->ConversationsOf(user, after_conv, limit + 1, &convs);
  const bool more = convs.size() > limit;
  if (more) convs.pop_back();
  for (size_t i = 0; status.ok() && i < convs.size(); ++i) {
    Conversation* conversation = nullptr;
    status = context_->FindFor(user, convs[i], &conversation);
    if (!status.ok() || conversation == nullptr) continue;  // the index may hold more than there is
    views.emplace_back();
    status = ViewOf(conversation, user, device, &views.back());
    if (i % kTrimEvery == 0) context_->Trim();
  }
  if (!status.ok()) views.clear();
  context_->Trim();
  done(std::move(status), std::move(views), more);
}

void EmbeddedLog::ResumeAt(std::string_view user, std::string_view device, const std::vector<Position>& positions,
                           ResumeDone done) {
  std::vector<ResumeView> views(positions.size());
  Status status = Readable();
  for (size_t i = 0; status.ok() && i < positions.size(); ++i) {
    status = ReadResume(context_.get(), user, device, positions[i], &views[i]);
  }
  if (!status.ok()) views.clear();
  context_->Trim();
  done(std::move(status), std::move(views));
}

void EmbeddedLog::Pull(const PullQuery& query, PageDone done) {
  Page page;
  Status status = Readable();
  if (status.ok()) status = ReadPage(context_.get(), query, &page);
  if (!status.ok()) page = Page();
  context_->Trim();
  done(std::move(status), std::move(page));
}

void EmbeddedLog::History(const HistoryQuery& query, HistoryDone done) {
  Status status = Readable();
  HistoryPage page;
  if (status.ok()) status = ReadHistory(context_.get(), query, &page);
  if (!status.ok()) page = {};
  done(std::move(status), std::move(page));
}

void EmbeddedLog::StatusOf(std::string_view conv, std::string_view user, std::string_view device,
                           const std::vector<std::string>& ids, StatusDone done) {
  StatusAnswer answer;
  Status status = Readable();
  if (status.ok()) status = ReadStatus(context_.get(), conv, user, device, ids, &answer);
  if (!status.ok()) {
    answer = StatusAnswer();
    answer.code = Code::kUnavailable;
  }
  context_->Trim();
  done(std::move(answer));
}

void EmbeddedLog::MembersOf(std::string_view conv, MembersDone done) {
  std::shared_ptr<const MemberList> members;
  Conversation* conversation = nullptr;
  Status status = Readable();
  if (status.ok()) status = context_->Find(conv, &conversation);
  if (conversation != nullptr) members = conversation->members();
  context_->Trim();
  done(std::move(status), std::move(members));
}

}  // namespace everyonce
