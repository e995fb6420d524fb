#include <algorithm>
#include <utility>

#include "engine/engine.h"

namespace everyonce {
namespace {

constexpr size_t kMaxReceiptMembers = 50;    // of a conversation that has receipts, protocol.md
constexpr size_t kMaxMarksAtWelcome = 1000;  // looked up for one device

}  // namespace

// Marks are told to the members soon, not at once: many acks become one receipt.
void Engine::NoteReceipt(const Connection* connection, const std::string& conv, const std::string& user, uint64_t epoch,
                         uint64_t got, uint64_t read) {
  Receipt& receipt = receipts_[conv][user];
  receipt.got = std::max(receipt.got, got);
  receipt.read = std::max(receipt.read, read);
  receipt.epoch = std::max(receipt.epoch, epoch);
  receipt.cause = connection->id;
  receipts_due_ms_ = std::min(receipts_due_ms_, now_.steady_ms + options_.receipt_interval_ms);
}

void Engine::WantMarks(const Connection& connection) {
  std::vector<std::string> convs;
  for (const auto& entry : connection.links) convs.push_back(entry.first);
  if (convs.empty()) return;
  receipts_wanted_.emplace_back(connection.id, std::move(convs));
  receipts_due_ms_ = std::min(receipts_due_ms_, now_.steady_ms + options_.receipt_interval_ms);
}

// Both marks as they stand: the highest of the user's devices that are here, and the user's own read mark.
void Engine::CompleteReceipt(const std::string& conv, const std::string& user, Receipt receipt,
                             std::function<void(const Receipt&)> done) {
  const auto found = online_.find(user);
  if (found != online_.end()) {
    for (const Connection* each : found->second) {
      const auto link = each->links.find(conv);
      if (link != each->links.end()) receipt.got = std::max(receipt.got, link->second.got);
    }
  }
  log_->View(user, {}, conv,
             [receipt, done = std::move(done)](const Status& status, const ConversationView& view) mutable {
               if (status.ok()) {
                 receipt.read = std::max(receipt.read, view.read);
                 receipt.epoch = std::max(receipt.epoch, view.epoch);
               }
               done(receipt);
             });
}

void Engine::RunReceipts() {
  receipts_due_ms_ = INT64_MAX;
  auto receipts = std::exchange(receipts_, {});
  for (auto& entry : receipts) {
    const std::string& conv = entry.first;
    log_->MembersOf(conv, [this, conv, users = std::move(entry.second)](
                              const Status& status, const std::shared_ptr<const MemberList>& members) {
      if (!status.ok() || members == nullptr || members->size() > kMaxReceiptMembers) return;
      for (const auto& [user, noted] : users) {
        CompleteReceipt(conv, user, noted, [this, conv, user = user, members](const Receipt& receipt) {
          std::string json;
          WriteReceipt(conv, receipt.epoch, user, receipt.got, receipt.read, &json);
          for (const std::string& member : *members) {
            const auto found = online_.find(member);
            if (found == online_.end()) continue;
            for (Connection* each : found->second) {
              if (each->id != receipt.cause && !each->lagging) Out(*each)->append(json);
            }
          }
          if (relay_ != nullptr) {
            TellBell({.kind = Bell::Kind::kReceipt, .conv = conv, .packet = std::move(json)}, {});
          }
        });
      }
    });
  }
  const auto wanted = std::exchange(receipts_wanted_, {});
  for (const auto& [id, convs] : wanted) {
    Connection* connection = Find(id);
    if (connection != nullptr) TellMarks(*connection, convs);
  }
}

// What rose while a device was away: the others' marks in the conversations that its welcome named, once, so that what
// it sent does not stay "not read" for ever. Bounded; what goes beyond is told when it rises next.
void Engine::TellMarks(Connection& connection, const std::vector<std::string>& convs) {
  auto left = std::make_shared<size_t>(kMaxMarksAtWelcome);
  const ConnectionId id = connection.id;
  for (const std::string& conv : convs) {
    log_->MembersOf(conv,
                    [this, id, conv, left](const Status& status, const std::shared_ptr<const MemberList>& members) {
                      const Connection* asking = Find(id);
                      if (asking == nullptr || !status.ok() || members == nullptr) return;
                      if (members->size() > std::min(*left, kMaxReceiptMembers)) return;
                      *left -= members->size();
                      for (const std::string& member : *members) {
                        if (member == asking->user) continue;
                        CompleteReceipt(conv, member, {}, [this, id, conv, member](const Receipt& receipt) {
                          Connection* told = Find(id);
                          if (told == nullptr || (receipt.got == 0 && receipt.read == 0)) return;
                          WriteReceipt(conv, receipt.epoch, member, receipt.got, receipt.read, Out(*told));
                        });
                      }
                    });
    if (*left == 0) return;
  }
}

}  // namespace everyonce
