#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/limits.h"
#include "core/status.h"

namespace everyonce {

// What became of one n. The log record at `seq` has the rest of an acceptance (id, mid, at), so that an answer costs 24
// bytes in memory and a look at the record only when a duplicate really comes.
struct ProducerAnswer {
  enum class Kind : uint8_t { kUnknown = 0, kAccepted, kSkipped, kNacked };
  Kind kind = Kind::kUnknown;
  Code code = Code::kOk;  // kNacked
  uint16_t parts = 1;     // more: a package, and so many ids were used with this n
  uint64_t seq = 0;       // kAccepted; of a package's first part, the others follow
  uint64_t id_hash = 0;   // kAccepted, kNacked: HashOfId; of a package's first part
};

// A final refusal that used its n: given again, word for word, to the same id.
struct ProducerNack {
  uint64_t n = 0;
  std::string id;  // empty: a package, whose ids are known by their hashes
  Code code = Code::kOk;
  std::string message;
};

uint64_t HashOfId(std::string_view id);
// Stands among the ids of a refused package, so that its late parts are known, too. Equal to no id's hash but by
// chance.
uint64_t HashOfPackage(std::string_view package_id);

// The state of one (conversation, user, device): how far its n went, and the answers to the last 64 of them. This is
// what makes a duplicate known for ever in bounded memory (semantics d; protocol.md, Sending). Answers older than that
// lie in blocks of 64 consecutive n, written by the owner each time block_complete() is true after a change.
// Pure: no I/O. A hash that matches is a candidate only; the owner compares the id in the log record.
class Producer {
 public:
  enum class Verdict : uint8_t {
    kNext,             // n is the next one
    kAcceptedBefore,   // n was accepted at `answer.seq` (of a package: this part of it), perhaps under this id
    kNackedBefore,     // n was refused: `nack`
    kConflict,         // n was answered to another id, or skipped
    kOld,              // n is older than the answers held here: look into block BlockOf(n)
    kTooOld,           // n is from before this state began: nothing is known of it
    kUnknownProducer,  // no state, and n is not 1
    kGap,              // n is beyond last() + 1
  };
  struct Decision {
    Verdict verdict = Verdict::kNext;
    ProducerAnswer answer;
    const ProducerNack* nack = nullptr;
    // kNext, kGap: an n of the last 64 that was answered under an id with the same hash; 0: none. If it is the same id,
    // this send is a conflict.
    uint64_t same_id_n = 0;
  };

  // `package_hash`: HashOfPackage of the package that the message is a part of; 0: of none. REQUIRES: n ≥ 1.
  Decision Decide(uint64_t n, std::string_view id, uint64_t id_hash, uint64_t package_hash = 0) const;

  bool known() const { return last_ > 0; }
  uint64_t last() const { return last_; }
  uint64_t first() const { return first_; }

  // The answer to n. REQUIRES: Holds(n).
  const ProducerAnswer& AnswerOf(uint64_t n) const { return ring_[(n - 1) % kProducerWindow]; }
  bool Holds(uint64_t n) const { return n >= first_ && n <= last_ && n + kProducerWindow > last_; }
  const ProducerNack* NackOf(uint64_t n) const;

  // Each uses n = last() + 1.
  void Accept(uint64_t seq, uint64_t id_hash);
  void Nack(std::string_view id, uint64_t id_hash, Code code, std::string_view message);
  // A package: all of it has one n. It is accepted part by part, the first by Accept. REQUIRES: Extends(seq of the
  // part).
  void AcceptNextPart(uint64_t id_hash);
  bool Extends(uint64_t seq) const;
  // `hashes`: of the ids that were offered, at least one, and of the package.
  void NackPackage(std::vector<uint64_t> hashes, Code code, std::string_view message);
  // Gives up all n up to `to`; where the producer is unknown, its n begin at `from`. Calls `on_block(block)` whenever a
  // block was completed; blocks that were skipped whole are not called, and have no record. At most 128 steps.
  // REQUIRES: from = last() + 1 or !known(); from ≤ to.
  void Skip(uint64_t from, uint64_t to, const std::function<void(uint64_t block)>& on_block);

  // Blocks: n from 64 × block + 1 to 64 × block + 64.
  static uint64_t BlockOf(uint64_t n) { return (n - 1) / kProducerWindow; }
  bool block_complete() const { return last_ % kProducerWindow == 0; }
  // The block that last() completes. REQUIRES: block_complete().
  std::string EncodeBlock() const;
  // The 64 answers of a block, and the hashes of the ids of those that are packages, by index. False where `value` is
  // no block.
  using PackageHashes = std::map<uint64_t, std::vector<uint64_t>>;
  [[nodiscard]] static bool DecodeBlock(std::string_view value, std::vector<ProducerAnswer>* answers,
                                        PackageHashes* packages = nullptr);

  // The state as of `as_of_seq`, the newest seq of the log that it knows.
  std::string Encode(uint64_t as_of_seq) const;
  [[nodiscard]] static bool Decode(std::string_view value, Producer* producer, uint64_t* as_of_seq);

 private:
  struct Package {
    uint64_t n = 0;
    std::vector<uint64_t> hashes;
  };

  void Append(const ProducerAnswer& answer);
  void AppendRead(const ProducerAnswer& answer, std::vector<uint64_t> hashes);
  const std::vector<uint64_t>* HashesOf(uint64_t n) const;  // null: no package
  bool Uses(uint64_t n, uint64_t id_hash, uint64_t package_hash, ProducerAnswer* answer) const;

  uint64_t last_ = 0;
  uint64_t first_ = 1;                // n below it are unknown (a state begun by skip)
  std::vector<ProducerAnswer> ring_;  // of n at (n − 1) % 64; grows to 64 as needed
  std::vector<ProducerNack> nacks_;   // ascending by n, only of the last 64
  std::vector<Package> packages_;     // likewise
};

}  // namespace everyonce
