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

  // `answer` is that of an n of the device; `hashes`: of the ids of a package, where they are known. Takes the id off
  // the search where it is the one.
  Status Offer(uint64_t n, const ProducerAnswer& answer, const std::vector<uint64_t>* hashes) {
    if (answer.kind != Kind::kAccepted) return Status::Ok();
    for (uint64_t part = 0; part < answer.parts && !done(); ++part) {
      // What is left of a part tells its id; its hash alone saves looking.
      const uint64_t hash = answer.parts == 1 ? answer.id_hash : hashes == nullptr ? 0 : (*hashes)[part];
      Status status = OfferOne(n, answer.seq + part, hash, answer.parts > 1 && hashes == nullptr);
      if (!status.ok()) return status;
    }
    return Status::Ok();
  }

  // Sends without n, as far as they are still remembered.
  Status LookIntoWindow(LogContext* context) {
    for (size_t i = 0; i < wanted_.size();) {
      const Wanted& wanted = wanted_[i];
      const size_t known = answer_.found.size();
      std::string value;
      bool found = false;
      Status status =
          context->store().Get(Space::kWindow, key::Window(conversation_.conv(), user_, wanted.id), &value, &found);
      if (!status.ok()) return status;
      WindowEntry entry;
      if (found && WindowEntry::Decode(value, &entry)) status = ConfirmInWindow(entry, wanted.id);
      if (!status.ok()) return status;
      if (answer_.found.size() == known) {
        ++i;
      } else {
        wanted_.erase(wanted_.begin() + static_cast<std::ptrdiff_t>(i));
      }
    }
    return Status::Ok();
  }

 private:
  struct Wanted {
    uint64_t hash;
    std::string id;
  };

  Status OfferOne(uint64_t n, uint64_t seq, uint64_t hash, bool any_hash) {
    const auto matches = [&](const Wanted& one) { return any_hash || one.hash == hash; };
    if (std::none_of(wanted_.begin(), wanted_.end(), matches)) return Status::Ok();
    KeptAnswer kept;
    bool found = false;
    Status status = conversation_.ReadAnswer(user_, device_, n, seq, &kept, &found);
    if (!status.ok()) return status;
    // Gone with its id: the hash says that it was most likely this one, and nothing can say so for certain.
    const auto wanted = std::find_if(wanted_.begin(), wanted_.end(), [&](const Wanted& one) {
      return found ? one.id == kept.id : !any_hash && one.hash == hash;
    });
    if (wanted == wanted_.end()) return status;
    if (found) {
      answer_.found.push_back({wanted->id, n, seq, conversation_.epochs().EpochOf(seq), kept.mid, kept.at_ms});
    } else {
      answer_.unknown.push_back(wanted->id);
    }
    wanted_.erase(wanted);
    return status;
  }

  Status ConfirmInWindow(const WindowEntry& entry, const std::string& id) {
    const uint64_t epoch = conversation_.epochs().EpochOf(entry.seq);
    if (entry.mid != 0) {
      if (entry.device == device_) answer_.found.push_back({id, 0, entry.seq, epoch, entry.mid, entry.message_at_ms});
      return Status::Ok();
    }
    std::string storage;
    LogRecord record;
    bool found = false;
    Status status = conversation_.ReadLog(entry.seq, &storage, &record, &found);
    if (!status.ok() || !found) return status;
    if (record.id == id && record.from == user_ && record.device == device_ && record.n == 0) {
      answer_.found.push_back({id, 0, entry.seq, epoch, record.mid, record.at_ms});
    }
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
  Producer::PackageHashes packages;
  Status status = context->kv().Scan(
      Space::kProducers, key::ProducerBlock(conversation.conv(), user, device, 0),
      key::ProducerBlock(conversation.conv(), user, device, kMaxInteger), true,
      [&](std::string_view block_key, std::string_view value) {
        packages.clear();
        if (!Producer::DecodeBlock(value, &answers, &packages)) {
          inner = Status::Error(Code::kStoreCorrupt, conversation.conv() + ": no block of a producer");
          return false;
        }
        const uint64_t first_n = key::NumberAtEnd(block_key) * kProducerWindow + 1;
        for (uint64_t i = kProducerWindow; i > 0 && inner.ok() && !search->done(); --i) {
          const auto hashes = packages.find(i - 1);
          inner = search->Offer(first_n + i - 1, answers[i - 1], hashes == packages.end() ? nullptr : &hashes->second);
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
      status = search.Offer(n, producer->AnswerOf(n), nullptr);
    }
    if (status.ok() && !search.done() && producer->last() > kProducerWindow) {
      status = SearchBlocks(context, *conversation, user, device, &search);
    }
  }
  if (status.ok() && !search.done()) status = search.LookIntoWindow(context);
  return status;
}

}  // namespace everyonce
