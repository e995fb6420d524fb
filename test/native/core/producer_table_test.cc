#include "core/producer_table.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "support/seed.h"

namespace everyonce {
namespace {

using Kind = ProducerAnswer::Kind;
using Verdict = Producer::Verdict;

std::string IdOf(uint64_t n) { return "message-" + std::to_string(n); }

Verdict Ask(const Producer& producer, uint64_t n, const std::string& id) {
  return producer.Decide(n, id, HashOfId(id)).verdict;
}

void AcceptUpTo(Producer* producer, uint64_t last) {
  while (producer->last() < last) {
    const uint64_t n = producer->last() + 1;
    producer->Accept(10 * n, HashOfId(IdOf(n)));
  }
}

TEST(Producer, BeginsAtOneAndSaysSoOtherwise) {
  const Producer producer;
  EXPECT_EQ(Ask(producer, 1, "message-1"), Verdict::kNext);
  EXPECT_EQ(Ask(producer, 2, "message-2"), Verdict::kUnknownProducer);
}

TEST(Producer, TellsDuplicatesConflictsAndGaps) {
  Producer producer;
  AcceptUpTo(&producer, 3);
  const Producer::Decision again = producer.Decide(2, IdOf(2), HashOfId(IdOf(2)));
  EXPECT_EQ(again.verdict, Verdict::kAcceptedBefore);
  EXPECT_EQ(again.answer.seq, 20u);
  EXPECT_EQ(Ask(producer, 2, "another-id"), Verdict::kConflict);
  EXPECT_EQ(Ask(producer, 5, IdOf(5)), Verdict::kGap);
  EXPECT_EQ(Ask(producer, 4, IdOf(4)), Verdict::kNext);
}

TEST(Producer, NamesAnIdThatWasUsedUnderAnotherN) {
  Producer producer;
  AcceptUpTo(&producer, 70);
  EXPECT_EQ(producer.Decide(71, IdOf(50), HashOfId(IdOf(50))).same_id_n, 50u);
  EXPECT_EQ(producer.Decide(80, IdOf(70), HashOfId(IdOf(70))).same_id_n, 70u);
  EXPECT_EQ(producer.Decide(71, IdOf(6), HashOfId(IdOf(6))).same_id_n, 0u) << "older than the last 64";
  EXPECT_EQ(producer.Decide(71, IdOf(71), HashOfId(IdOf(71))).same_id_n, 0u);
}

TEST(Producer, RemembersExactlyTheLast64) {
  Producer producer;
  AcceptUpTo(&producer, 100);
  EXPECT_EQ(Ask(producer, 37, IdOf(37)), Verdict::kAcceptedBefore);
  EXPECT_EQ(Ask(producer, 36, IdOf(36)), Verdict::kOld);
}

TEST(Producer, GivesTheSameNackAgainToTheSameId) {
  Producer producer;
  AcceptUpTo(&producer, 1);
  producer.Nack("refused-2", HashOfId("refused-2"), Code::kForbidden, "not you");
  const Producer::Decision again = producer.Decide(2, "refused-2", HashOfId("refused-2"));
  ASSERT_EQ(again.verdict, Verdict::kNackedBefore);
  EXPECT_EQ(again.nack->code, Code::kForbidden);
  EXPECT_EQ(again.nack->message, "not you");
  EXPECT_EQ(Ask(producer, 2, "other-id-2"), Verdict::kConflict);
  EXPECT_EQ(Ask(producer, 3, IdOf(3)), Verdict::kNext) << "what follows is not blocked";
}

TEST(Producer, SkipsOfAnyLengthCostTheSame) {
  Producer producer;
  AcceptUpTo(&producer, 70);
  std::vector<uint64_t> blocks;
  const uint64_t to = uint64_t{1} << 50;
  producer.Skip(71, to, [&](uint64_t block) {
    blocks.push_back(block);
    EXPECT_TRUE(producer.block_complete());
  });
  EXPECT_EQ(blocks, std::vector<uint64_t>{1}) << "the block that was begun; whole ones have no record";
  EXPECT_EQ(producer.last(), to);
  EXPECT_EQ(Ask(producer, to, "whatever-id"), Verdict::kConflict);
  EXPECT_EQ(Ask(producer, to + 1, "whatever-id"), Verdict::kNext);
}

TEST(Producer, KnowsNothingOfWhatCameBeforeAStateBegunBySkip) {
  Producer producer;
  producer.Skip(50, 60, [](uint64_t) {});
  EXPECT_EQ(Ask(producer, 49, IdOf(49)), Verdict::kTooOld);
  EXPECT_EQ(Ask(producer, 50, IdOf(50)), Verdict::kConflict);
  EXPECT_EQ(Ask(producer, 61, IdOf(61)), Verdict::kNext);
}

TEST(Producer, RefusesWhatItDidNotWrite) {
  Producer producer;
  AcceptUpTo(&producer, 70);
  producer.Nack("refused-71", HashOfId("refused-71"), Code::kTooLarge, "too large");
  const std::string value = producer.Encode(700);
  Producer read;
  uint64_t as_of_seq = 0;
  for (size_t size = 0; size < value.size(); ++size) {
    EXPECT_FALSE(Producer::Decode(value.substr(0, size), &read, &as_of_seq)) << size;
  }
  EXPECT_FALSE(Producer::Decode(value + "x", &read, &as_of_seq));
  std::vector<ProducerAnswer> answers;
  EXPECT_FALSE(Producer::DecodeBlock("", &answers));
  EXPECT_FALSE(Producer::DecodeBlock(value, &answers));
}

// A random history against one that forgets nothing, with the state written and read back now and then.
TEST(Producer, AgreesWithAHistoryThatForgetsNothing) {
  const uint64_t seed = test::FromEnvironment("EVERYONCE_SEED", 20261122);
  SCOPED_TRACE("EVERYONCE_SEED=" + std::to_string(seed));
  test::Random random(seed);
  struct Known {
    Kind kind;
    std::string id;
    uint64_t seq;
  };
  for (int round = 0; round < 30; ++round) {
    Producer producer;
    std::map<uint64_t, Known> history;
    std::map<uint64_t, std::string> blocks;
    uint64_t seq = 0;
    const auto keep_block = [&] { blocks[Producer::BlockOf(producer.last())] = producer.EncodeBlock(); };
    for (int step = 0; step < 300; ++step) {
      const uint64_t n = producer.last() + 1;
      const std::string id = IdOf(n);
      switch (random.Below(8)) {
        case 0:
          producer.Nack(id, HashOfId(id), Code::kForbidden, "no " + id);
          history[n] = {Kind::kNacked, id, 0};
          if (producer.block_complete()) keep_block();
          break;
        case 1: {
          const uint64_t to = n + (random.OneIn(4) ? random.Below(300) : random.Below(5));
          producer.Skip(n, to, [&](uint64_t) { keep_block(); });
          for (uint64_t skipped = n; skipped <= to; ++skipped) history[skipped] = {Kind::kSkipped, "", 0};
          break;
        }
        case 2: {
          const std::string value = producer.Encode(seq);
          uint64_t as_of_seq = 0;
          Producer read;
          ASSERT_TRUE(Producer::Decode(value, &read, &as_of_seq));
          EXPECT_EQ(as_of_seq, seq);
          EXPECT_EQ(read.Encode(seq), value);
          producer = read;
          break;
        }
        default:
          producer.Accept(++seq, HashOfId(id));
          history[n] = {Kind::kAccepted, id, seq};
          if (producer.block_complete()) keep_block();
      }
    }
    for (const auto& [n, known] : history) {
      ProducerAnswer answer;
      if (producer.Holds(n)) {
        answer = producer.AnswerOf(n);
      } else if (blocks.contains(Producer::BlockOf(n))) {
        std::vector<ProducerAnswer> answers;
        ASSERT_TRUE(Producer::DecodeBlock(blocks[Producer::BlockOf(n)], &answers));
        answer = answers[(n - 1) % kProducerWindow];
      } else {
        answer.kind = Kind::kSkipped;
      }
      ASSERT_EQ(answer.kind, known.kind) << n;
      EXPECT_EQ(answer.seq, known.seq) << n;
      if (known.kind != Kind::kSkipped) {
        EXPECT_EQ(answer.id_hash, HashOfId(known.id)) << n;
      }
      if (known.kind == Kind::kNacked && producer.Holds(n)) {
        ASSERT_NE(producer.NackOf(n), nullptr);
        EXPECT_EQ(producer.NackOf(n)->message, "no " + known.id);
      }
    }
  }
}

}  // namespace
}  // namespace everyonce
