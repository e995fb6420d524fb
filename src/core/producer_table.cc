#include "core/producer_table.h"

#include <xxhash.h>

#include <algorithm>

#include "core/byte_codec.h"

namespace everyonce {
namespace {

using Kind = ProducerAnswer::Kind;
constexpr uint8_t kBlockVersion = 1;
constexpr uint8_t kStateVersion = 1;

// Kind and code share a byte; seqs are written as distances, since they only ever rise.
void WriteAnswer(const ProducerAnswer& answer, uint64_t* last_seq, ByteWriter* writer) {
  writer->Byte(static_cast<uint8_t>(static_cast<uint8_t>(answer.kind) | (static_cast<uint8_t>(answer.code) << 2)));
  if (answer.kind == Kind::kAccepted) {
    writer->Varint(answer.seq - *last_seq);
    *last_seq = answer.seq;
  }
  if (answer.kind == Kind::kAccepted || answer.kind == Kind::kNacked) writer->Fixed64(answer.id_hash);
}

ProducerAnswer ReadAnswer(uint64_t* last_seq, ByteReader* reader) {
  ProducerAnswer answer;
  const uint8_t head = reader->Byte();
  answer.kind = static_cast<Kind>(head & 3);
  answer.code = static_cast<Code>(head >> 2);
  if (answer.kind == Kind::kAccepted) answer.seq = *last_seq += reader->Varint();
  if (answer.kind == Kind::kAccepted || answer.kind == Kind::kNacked) answer.id_hash = reader->Fixed64();
  return answer;
}

}  // namespace

uint64_t HashOfId(std::string_view id) { return XXH3_64bits(id.data(), id.size()); }

Producer::Decision Producer::Decide(uint64_t n, std::string_view id, uint64_t id_hash) const {
  Decision decision;
  if (!known()) {
    decision.verdict = n == 1 ? Verdict::kNext : Verdict::kUnknownProducer;
    return decision;
  }
  if (n <= last_) {
    if (n < first_) {
      decision.verdict = Verdict::kTooOld;
      return decision;
    }
    if (!Holds(n)) {
      decision.verdict = Verdict::kOld;
      return decision;
    }
    decision.answer = AnswerOf(n);
    decision.verdict = Verdict::kConflict;
    if (decision.answer.kind == Kind::kUnknown) decision.verdict = Verdict::kTooOld;
    if (decision.answer.kind == Kind::kAccepted && decision.answer.id_hash == id_hash) {
      decision.verdict = Verdict::kAcceptedBefore;
    }
    if (decision.answer.kind == Kind::kNacked) {
      decision.nack = NackOf(n);
      if (decision.nack != nullptr && decision.nack->id == id) decision.verdict = Verdict::kNackedBefore;
    }
    return decision;
  }
  decision.verdict = n == last_ + 1 ? Verdict::kNext : Verdict::kGap;
  for (uint64_t used = last_; used > 0 && Holds(used); --used) {
    const ProducerAnswer& answer = AnswerOf(used);
    const bool has_id = answer.kind == Kind::kAccepted || answer.kind == Kind::kNacked;
    if (has_id && answer.id_hash == id_hash) {
      decision.same_id_n = used;
      decision.answer = answer;
      decision.nack = NackOf(used);
      break;
    }
  }
  return decision;
}

const ProducerNack* Producer::NackOf(uint64_t n) const {
  for (const ProducerNack& nack : nacks_) {
    if (nack.n == n) return &nack;
  }
  return nullptr;
}

void Producer::Append(const ProducerAnswer& answer) {
  const size_t slot = last_ % kProducerWindow;
  if (ring_.size() <= slot) ring_.resize(slot + 1);
  ring_[slot] = answer;
  ++last_;
  while (!nacks_.empty() && nacks_.front().n + kProducerWindow <= last_) nacks_.erase(nacks_.begin());
}

void Producer::Accept(uint64_t seq, uint64_t id_hash) { Append({Kind::kAccepted, Code::kOk, seq, id_hash}); }

void Producer::Nack(std::string_view id, uint64_t id_hash, Code code, std::string_view message) {
  Append({Kind::kNacked, code, 0, id_hash});
  nacks_.push_back({last_, std::string(id), code, std::string(message)});
}

void Producer::Skip(uint64_t from, uint64_t to, const std::function<void(uint64_t block)>& on_block) {
  const ProducerAnswer skipped{Kind::kSkipped, Code::kOk, 0, 0};
  if (!known()) {
    first_ = from;
    last_ = from - 1;
    ring_.assign(kProducerWindow, ProducerAnswer{});
  }
  while (last_ < to) {
    const uint64_t last_block_start = to / kProducerWindow * kProducerWindow;
    if (last_ % kProducerWindow == 0 && last_block_start > last_) {
      // Whole blocks: nothing to write for them, so a skip of any length costs the same.
      ring_.assign(kProducerWindow, skipped);
      nacks_.clear();
      last_ = last_block_start;
      continue;
    }
    Append(skipped);
    if (block_complete()) on_block(BlockOf(last_));
  }
}

std::string Producer::EncodeBlock() const {
  std::string value;
  ByteWriter writer(&value);
  writer.Byte(kBlockVersion);
  uint64_t last_seq = 0;
  for (const ProducerAnswer& answer : ring_) WriteAnswer(answer, &last_seq, &writer);
  return value;
}

bool Producer::DecodeBlock(std::string_view value, std::vector<ProducerAnswer>* answers) {
  ByteReader reader(value);
  if (reader.Byte() != kBlockVersion) return false;
  answers->clear();
  uint64_t last_seq = 0;
  for (uint64_t i = 0; i < kProducerWindow; ++i) answers->push_back(ReadAnswer(&last_seq, &reader));
  return reader.AtEnd();
}

std::string Producer::Encode(uint64_t as_of_seq) const {
  std::string value;
  ByteWriter writer(&value);
  writer.Byte(kStateVersion);
  writer.Varint(as_of_seq);
  writer.Varint(first_);
  writer.Varint(last_);
  uint64_t oldest = std::max(first_, last_ < kProducerWindow ? 1 : last_ - kProducerWindow + 1);
  uint64_t last_seq = 0;
  for (; oldest <= last_; ++oldest) WriteAnswer(AnswerOf(oldest), &last_seq, &writer);
  writer.Varint(nacks_.size());
  for (const ProducerNack& nack : nacks_) {
    writer.Varint(nack.n);
    writer.Bytes(nack.id);
    writer.Byte(static_cast<uint8_t>(nack.code));
    writer.Bytes(nack.message);
  }
  return value;
}

bool Producer::Decode(std::string_view value, Producer* producer, uint64_t* as_of_seq) {
  ByteReader reader(value);
  if (reader.Byte() != kStateVersion) return false;
  *as_of_seq = reader.Varint();
  Producer read;
  read.first_ = reader.Varint();
  const uint64_t last = reader.Varint();
  if (!reader.ok() || read.first_ == 0 || last > kMaxInteger || read.first_ > last + 1) return false;
  const uint64_t oldest = std::max(read.first_, last < kProducerWindow ? 1 : last - kProducerWindow + 1);
  read.ring_.resize(std::min(last, kProducerWindow));
  read.last_ = oldest - 1;
  uint64_t last_seq = 0;
  while (read.last_ < last && reader.ok()) read.Append(ReadAnswer(&last_seq, &reader));
  const uint64_t nacks = reader.Varint();
  if (nacks > kProducerWindow) return false;
  for (uint64_t i = 0; i < nacks && reader.ok(); ++i) {
    ProducerNack nack;
    nack.n = reader.Varint();
    nack.id = reader.Bytes();
    nack.code = static_cast<Code>(reader.Byte());
    nack.message = reader.Bytes();
    read.nacks_.push_back(std::move(nack));
  }
  if (!reader.AtEnd()) return false;
  *producer = std::move(read);
  return true;
}

}  // namespace everyonce
