// What became of the n of each device (semantics d): the store knows the ids of accepted messages by their records, and
// those of old refusals by a hash only. Redis keeps the ids themselves (lua/shared/producer.lua). So of an old refusal
// and of a refused package the id is written as `*`, any: the n tells its answer to whoever asks. And where the record
// of an old message is gone, `#hash` stands for its id: that n is too old, and status can't tell any more.

#include <algorithm>
#include <utility>

#include "migrate/store_reader.h"

namespace everyonce {
namespace {

using Kind = ProducerAnswer::Kind;

constexpr char kRefusedBefore[] = "refused before";

std::string Text(uint64_t number) { return std::to_string(number); }

std::string NackText(Code code, std::string_view id, std::string_view message) {
  std::string text = "N " + std::string(CodeName(code)) + " " + std::string(id) + " ";
  // As publish.lua keeps it: a slot is one line of words.
  for (const char byte : message) text.push_back((byte >= '\t' && byte <= '\r') ? ' ' : byte);
  return text;
}

}  // namespace

// A device in a conversation, and where its answers lie.
struct StoreReader::Sender {
  std::string_view user;
  std::string_view device;
  std::string key;
  std::string who;

  Sender(std::string_view conv, std::string_view of_user, std::string_view of_device)
      : user(of_user), device(of_device), key(ConversationKeys(conv).Senders()), who(of_user) {
    who.append("/").append(device);
  }
};

Status StoreReader::TakeProducer(std::string_view key, std::string_view value) {
  if (key.empty()) return Corrupt(key);
  if (key[0] == 's') return Status::Ok();  // read with the sender's answers
  const std::vector<std::string_view> parts = PartsOfKey(key.substr(1), 3);
  if (key[0] == 'p') {
    Status status = Open(parts[0]);
    return status.ok() ? PutProducer(parts[0], parts[1], parts[2]) : status;
  }
  constexpr size_t kBlockBytes = 9;  // with the zero before it
  if (key[0] != 'b' || parts[2].size() <= kBlockBytes) return Corrupt(key);
  const std::string_view device = parts[2].substr(0, parts[2].size() - kBlockBytes);
  return TakeBlock(parts[0], parts[1], device, key::NumberAtEnd(key), value);
}

// `A seq id`, or `P seq id id …`, with hashes for the ids that are gone; what retention left of it goes beside it.
Status StoreReader::Accepted(const Sender& sender, uint64_t n, uint64_t seq, const std::vector<uint64_t>& hashes,
                             std::string* text, std::vector<std::string>* ids) {
  *text = (hashes.size() > 1 ? "P " : "A ") + Text(seq);
  for (size_t i = 0; i < hashes.size(); ++i) {
    KeptAnswer answer;
    bool found = false;
    Status status = conversation_->ReadAnswer(sender.user, sender.device, n, seq + i, &answer, &found);
    if (!status.ok()) return status;
    text->append(" ").append(found ? answer.id : "#" + Text(hashes[i]));
    if (!found) continue;
    if (seq + i <= conversation_->floor()) {
      out_->Hash(sender.key, sender.who + "=" + Text(seq + i),
                 Text(answer.mid) + " " + Text(static_cast<uint64_t>(answer.at_ms)) + " " + answer.id);
    }
    ids->push_back(std::move(answer.id));
  }
  return Status::Ok();
}

// REQUIRES: `conv` is at hand.
Status StoreReader::PutProducer(std::string_view conv, std::string_view user, std::string_view device) {
  Producer* producer = nullptr;
  Status status = conversation_->FindProducer(user, device, &producer);
  if (!status.ok() || producer == nullptr) return status;
  const Sender sender(conv, user, device);
  out_->Hash(sender.key, sender.who, Text(producer->first()) + " " + Text(producer->last()));
  const uint64_t last = producer->last();
  const uint64_t oldest = std::max(producer->first(), last < kProducerWindow ? 1 : last - kProducerWindow + 1);
  for (uint64_t n = oldest; n <= last; ++n) {
    const ProducerAnswer& answer = producer->AnswerOf(n);
    std::string text;
    std::vector<std::string> ids;
    if (answer.kind == Kind::kUnknown) continue;
    if (answer.kind == Kind::kSkipped) text = "S";
    if (answer.kind == Kind::kNacked) {
      const ProducerNack* nack = producer->NackOf(n);
      if (nack != nullptr && !nack->id.empty()) ids.push_back(nack->id);
      text = NackText(answer.code, ids.empty() ? "*" : ids[0], nack == nullptr ? kRefusedBefore : nack->message);
    }
    if (answer.kind == Kind::kAccepted) {
      // Of a package in the window all parts have their records, or what was kept of them.
      status = Accepted(sender, n, answer.seq, std::vector<uint64_t>(answer.parts, answer.id_hash), &text, &ids);
      if (!status.ok()) return status;
    }
    for (const std::string& id : ids) out_->Hash(sender.key, sender.who + "@" + id, Text(n));
    out_->Hash(sender.key, sender.who + "#" + Text(n % kProducerWindow), text);
  }
  ++counts_.senders;
  return Status::Ok();
}

Status StoreReader::TakeBlock(std::string_view conv, std::string_view user, std::string_view device, uint64_t block,
                              std::string_view value) {
  std::vector<ProducerAnswer> answers;
  Producer::PackageHashes packages;
  if (!Producer::DecodeBlock(value, &answers, &packages)) return Corrupt(conv);
  Status status = Open(conv);
  if (!status.ok()) return status;
  const Sender sender(conv, user, device);
  std::string lines = Text(block);
  for (size_t i = 0; i < answers.size(); ++i) {
    std::string text;
    std::vector<std::string> ids;
    if (answers[i].kind == Kind::kSkipped) text = "S";
    if (answers[i].kind == Kind::kNacked) text = NackText(answers[i].code, "*", kRefusedBefore);
    if (answers[i].kind == Kind::kAccepted) {
      std::vector<uint64_t> hashes = {answers[i].id_hash};
      if (const auto package = packages.find(i); package != packages.end()) hashes = package->second;
      status = Accepted(sender, block * kProducerWindow + 1 + i, answers[i].seq, hashes, &text, &ids);
      if (!status.ok()) return status;
    }
    lines.append("\n").append(text);
  }
  out_->Sorted(ConversationKeys(conv).Blocks(user, device), block, lines);
  return status;
}

}  // namespace everyonce
