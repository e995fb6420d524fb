// Status: what is known of messages that a device sent under these ids.

#include <algorithm>
#include <utility>

#include "core/window_dedup.h"
#include "log/read.h"

namespace everyonce {
namespace {

using Kind = ProducerAnswer::Kind;

// Looks for ids by their hashes, and believes only the log's record.
class IdSearch {
 public:
  IdSearch(Conversation* conversation, std::string_view user, std::string_view device,
           const std::vector<std::string>& ids, StatusAnswer* answer)
      : conversation_(*conversation), user_(user), device_(device), answer_(*answer) {
    for (const std::string& id : ids) wanted_.push_back({HashOfId(id), id});
  }

  bool done() const { return wanted_.empty(); }

  // `answer` is that of an n of the device. Takes the id off the search where it is the one.
  Status Offer(uint64_t n, const ProducerAnswer& answer) {
    if (answer.kind != Kind::kAccepted) return Status::Ok();
    if (answer.parts > 1) return OfferPackage(n, answer);
    for (size_t i = 0; i < wanted_.size(); ++i) {
      if (wanted_[i].hash != answer.id_hash) continue;
      bool found = false;
      Status status = Confirm(answer.seq, n, wanted_[i].id, &found);
      if (!status.ok()) return status;
      if (found) wanted_.erase(wanted_.begin() + static_cast<std::ptrdiff_t>(i));
      break;
    }
    return Status::Ok();
  }

  // Sends without n, as far as they are still remembered.
  Status LookIntoWindow(LogContext* context) {
    for (const Wanted& wanted : wanted_) {
      std::string value;
      bool found = false;
      Status status =
          context->store().Get(Space::kWindow, key::Window(conversation_.conv(), user_, wanted.id), &value, &found);
      if (!status.ok()) return status;
      WindowEntry entry;
      if (found && WindowEntry::Decode(value, &entry)) status = Confirm(entry.seq, 0, wanted.id, &found);
      if (!status.ok()) return status;
    }
    return Status::Ok();
  }

 private:
  struct Wanted {
    uint64_t hash;
    std::string id;
  };

  // Any of the parts may be among the wanted ones: their records tell.
  Status OfferPackage(uint64_t n, const ProducerAnswer& answer) {
    for (uint64_t seq = answer.seq; seq < answer.seq + answer.parts && !done(); ++seq) {
      std::string storage;
      LogRecord record;
      bool found = false;
      Status status = conversation_.ReadLog(seq, &storage, &record, &found);
      if (!status.ok()) return status;
      if (!found) continue;
      const auto wanted =
          std::find_if(wanted_.begin(), wanted_.end(), [&](const Wanted& one) { return one.id == record.id; });
      if (wanted == wanted_.end()) continue;
      status = Confirm(seq, n, wanted->id, &found);
      if (!status.ok()) return status;
      if (found) wanted_.erase(wanted);
    }
    return Status::Ok();
  }

  Status Confirm(uint64_t seq, uint64_t n, const std::string& id, bool* found) {
    std::string storage;
    LogRecord record;
    Status status = conversation_.ReadLog(seq, &storage, &record, found);
    if (!status.ok() || !*found) return status;
    *found = record.id == id && record.from == user_ && record.device == device_ && record.n == n;
    if (!*found) return status;
    answer_.found.push_back({id, n, seq, conversation_.epochs().EpochOf(seq), record.mid, record.at_ms});
    return status;
  }

  Conversation& conversation_;
  std::string_view user_;
  std::string_view device_;
  StatusAnswer& answer_;
  std::vector<Wanted> wanted_;
};

// The device's blocks, newest first, until all are found.
Status SearchBlocks(LogContext* context, const Conversation& conversation, std::string_view user,
                    std::string_view device, IdSearch* search) {
  Status inner;
  std::vector<ProducerAnswer> answers;
  Status status = context->kv().Scan(Space::kProducers, key::ProducerBlock(conversation.conv(), user, device, 0),
                                     key::ProducerBlock(conversation.conv(), user, device, kMaxInteger), true,
                                     [&](std::string_view block_key, std::string_view value) {
                                       if (!Producer::DecodeBlock(value, &answers)) {
                                         inner = Status::Error(Code::kStoreCorrupt,
                                                               conversation.conv() + ": no block of a producer");
                                         return false;
                                       }
                                       const uint64_t first_n = key::NumberAtEnd(block_key) * kProducerWindow + 1;
                                       for (uint64_t i = kProducerWindow; i > 0 && inner.ok() && !search->done(); --i) {
                                         inner = search->Offer(first_n + i - 1, answers[i - 1]);
                                       }
                                       return inner.ok() && !search->done();
                                     });
  return status.ok() ? inner : status;
}

}  // namespace

Status ReadStatus(LogContext* context, std::string_view conv, std::string_view user, std::string_view device,
                  const std::vector<std::string>& ids, StatusAnswer* answer) {
  Conversation* conversation = nullptr;
  Status status = context->FindFor(user, conv, &conversation);
  if (!status.ok()) return status;
  if (conversation == nullptr) {
    answer->code = Code::kUnknownConv;
    return status;
  }
  IdSearch search(conversation, user, device, ids, answer);
  Producer* producer = nullptr;
  status = conversation->FindProducer(user, device, &producer);
  if (status.ok() && producer != nullptr) {
    for (uint64_t n = producer->last(); status.ok() && n > 0 && producer->Holds(n) && !search.done(); --n) {
      status = search.Offer(n, producer->AnswerOf(n));
    }
    if (status.ok() && !search.done() && producer->last() > kProducerWindow) {
      status = SearchBlocks(context, *conversation, user, device, &search);
    }
  }
  if (status.ok() && !search.done()) status = search.LookIntoWindow(context);
  return status;
}

}  // namespace everyonce
