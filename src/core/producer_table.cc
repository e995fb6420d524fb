#include "core/producer_table.h"

#include <xxhash.h>

#include <algorithm>

#include "core/byte_codec.h"

namespace everyonce {
namespace {

using Kind = ProducerAnswer::Kind;
constexpr uint8_t kBlockVersion = 1;
constexpr uint8_t kStateVersion = 1;

constexpr uint8_t kPackageBit = 0x80;
static_assert(static_cast<uint8_t>(Code::kClosed) < 32, "a code has five bits beside the kind and the package bit");

// Kind and code share a byte; seqs are written as distances, since they only ever rise. `hashes`: of a package's ids.
void WriteAnswer(const ProducerAnswer& answer, const std::vector<uint64_t>* hashes, uint64_t* last_seq,
                 ByteWriter* writer) {
  const auto head = static_cast<uint8_t>(static_cast<uint8_t>(answer.kind) | (static_cast<uint8_t>(answer.code) << 2));
  writer->Byte(hashes == nullptr ? head : head | kPackageBit);
  if (answer.kind == Kind::kAccepted) {
    writer->Varint(answer.seq - *last_seq);
    *last_seq = answer.seq;
  }
  if (hashes != nullptr) {
    writer->Varint(hashes->size());
    for (const uint64_t hash : *hashes) writer->Fixed64(hash);
    return;
  }
  if (answer.kind == Kind::kAccepted || answer.kind == Kind::kNacked) writer->Fixed64(answer.id_hash);
}

ProducerAnswer ReadAnswer(uint64_t* last_seq, ByteReader* reader, std::vector<uint64_t>* hashes) {
  ProducerAnswer answer;
  const uint8_t head = reader->Byte();
  answer.kind = static_cast<Kind>(head & 3);
  answer.code = static_cast<Code>((head & ~kPackageBit) >> 2);
  hashes->clear();
  if (answer.kind == Kind::kAccepted) answer.seq = *last_seq += reader->Varint();
  if ((head & kPackageBit) != 0) {
    const uint64_t parts = reader->Varint();
    // The ids of all parts, and the package's own.
    if (parts < 2 || parts > kMaxPackageParts + 1) reader->Fail();
    for (uint64_t i = 0; i < parts && reader->ok(); ++i) hashes->push_back(reader->Fixed64());
    if (!reader->ok()) return answer;
    answer.parts = static_cast<uint16_t>(parts);
    answer.id_hash = hashes->front();
    return answer;
  }
  if (answer.kind == Kind::kAccepted || answer.kind == Kind::kNacked) answer.id_hash = reader->Fixed64();
  return answer;
}

}  // namespace

uint64_t HashOfId(std::string_view id) { return XXH3_64bits(id.data(), id.size()); }

uint64_t HashOfPackage(std::string_view package_id) { return HashOfId("package:" + std::string(package_id)); }

const std::vector<uint64_t>* Producer::HashesOf(uint64_t n) const {
  for (const Package& package : packages_) {
    if (package.n == n) return &package.hashes;
  }
  return nullptr;
}

// Whether n was used under an id with this hash, or for this package. Moves answer->seq to the part that it is.
bool Producer::Uses(uint64_t n, uint64_t id_hash, uint64_t package_hash, ProducerAnswer* answer) const {
  if (answer->kind != Kind::kAccepted && answer->kind != Kind::kNacked) return false;
  if (answer->parts == 1) return answer->id_hash == id_hash;
  const std::vector<uint64_t>& hashes = *HashesOf(n);
  const auto found = std::find(hashes.begin(), hashes.end(), id_hash);
  if (found == hashes.end()) {
    return package_hash != 0 && answer->kind == Kind::kNacked && hashes.back() == package_hash;
  }
  answer->seq += static_cast<uint64_t>(found - hashes.begin());
  return true;
}

Producer::Decision Producer::Decide(uint64_t n, std::string_view id, uint64_t id_hash, uint64_t package_hash) const {
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
    const bool uses = Uses(n, id_hash, package_hash, &decision.answer);
    if (decision.answer.kind == Kind::kAccepted && uses) decision.verdict = Verdict::kAcceptedBefore;
    if (decision.answer.kind == Kind::kNacked) {
      decision.nack = NackOf(n);
      const bool same = decision.answer.parts == 1 ? decision.nack != nullptr && decision.nack->id == id : uses;
      if (same && decision.nack != nullptr) decision.verdict = Verdict::kNackedBefore;
    }
    return decision;
  }
  decision.verdict = n == last_ + 1 ? Verdict::kNext : Verdict::kGap;
  for (uint64_t used = last_; used > 0 && Holds(used); --used) {
    ProducerAnswer answer = AnswerOf(used);
    if (Uses(used, id_hash, 0, &answer)) {
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
  while (!packages_.empty() && packages_.front().n + kProducerWindow <= last_) packages_.erase(packages_.begin());
}

void Producer::AppendRead(const ProducerAnswer& answer, std::vector<uint64_t> hashes) {
  Append(answer);
  if (!hashes.empty()) packages_.push_back({last_, std::move(hashes)});
}

void Producer::Accept(uint64_t seq, uint64_t id_hash) { Append({Kind::kAccepted, Code::kOk, 1, seq, id_hash}); }

void Producer::Nack(std::string_view id, uint64_t id_hash, Code code, std::string_view message) {
  Append({Kind::kNacked, code, 1, 0, id_hash});
  nacks_.push_back({last_, std::string(id), code, std::string(message)});
}

bool Producer::Extends(uint64_t seq) const {
  if (last_ == 0 || !Holds(last_)) return false;
  const ProducerAnswer& answer = AnswerOf(last_);
  return answer.kind == Kind::kAccepted && answer.parts < kMaxPackageParts && seq == answer.seq + answer.parts;
}

void Producer::AcceptNextPart(uint64_t id_hash) {
  ProducerAnswer& answer = ring_[(last_ - 1) % kProducerWindow];
  if (answer.parts == 1) packages_.push_back({last_, {answer.id_hash}});
  packages_.back().hashes.push_back(id_hash);
  ++answer.parts;
}

void Producer::NackPackage(std::vector<uint64_t> hashes, Code code, std::string_view message) {
  Append({Kind::kNacked, code, static_cast<uint16_t>(hashes.size()), 0, hashes.front()});
  nacks_.push_back({last_, "", code, std::string(message)});
  packages_.push_back({last_, std::move(hashes)});
}

void Producer::Skip(uint64_t from, uint64_t to, const std::function<void(uint64_t block)>& on_block) {
  const ProducerAnswer skipped{Kind::kSkipped, Code::kOk, 1, 0, 0};
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
      packages_.clear();
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
  for (uint64_t i = 0; i < ring_.size(); ++i) {
    WriteAnswer(ring_[i], HashesOf(last_ - kProducerWindow + 1 + i), &last_seq, &writer);
  }
  return value;
}

bool Producer::DecodeBlock(std::string_view value, std::vector<ProducerAnswer>* answers, PackageHashes* packages) {
  ByteReader reader(value);
  if (reader.Byte() != kBlockVersion) return false;
  answers->clear();
  uint64_t last_seq = 0;
  std::vector<uint64_t> hashes;
  for (uint64_t i = 0; i < kProducerWindow; ++i) {
    answers->push_back(ReadAnswer(&last_seq, &reader, &hashes));
    if (packages != nullptr && !hashes.empty()) packages->emplace(i, hashes);
  }
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
  for (; oldest <= last_; ++oldest) WriteAnswer(AnswerOf(oldest), HashesOf(oldest), &last_seq, &writer);
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
  std::vector<uint64_t> hashes;
  while (read.last_ < last && reader.ok()) {
    const ProducerAnswer answer = ReadAnswer(&last_seq, &reader, &hashes);
    read.AppendRead(answer, hashes);
  }
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
