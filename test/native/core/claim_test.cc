#include "core/claim.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>

#include "support/seed.h"

namespace everyonce {
namespace {

constexpr int64_t kLeaseMs = 100;
constexpr int64_t kKeepMs = 1000;

// One key's record, its fence counter and the clock, as whoever keeps them does.
class ClaimTest : public testing::Test {
 protected:
  ClaimAnswer DoClaim(const std::string& owner, ClaimRequest request = {}) {
    request.owner = owner;
    request.lease_ms = kLeaseMs;
    request.keep_ms = kKeepMs;
    ClaimAnswer answer = Claim(&record_, request, now_ms_, fence_ + 1, &changed_);
    if (answer.state == ClaimState::kAcquired || answer.state == ClaimState::kTakeover) ++fence_;
    return answer;
  }
  ClaimAnswer DoCommit(const std::string& owner, uint64_t fence, const std::string& result = "r") {
    return CommitClaim(&record_, owner, fence, result, kKeepMs, now_ms_, &changed_);
  }
  ClaimAnswer DoRelease(const std::string& owner, uint64_t fence, bool final) {
    return ReleaseClaim(&record_, {.owner = owner, .fence = fence, .final = final, .reason = "why", .keep_ms = kKeepMs},
                        now_ms_, &changed_);
  }
  ClaimAnswer DoRenew(const std::string& owner, uint64_t fence) {
    return RenewClaim(&record_, owner, fence, kLeaseMs, now_ms_, &changed_);
  }

  std::optional<ClaimRecord> record_;
  uint64_t fence_ = 0;
  int64_t now_ms_ = 1000;
  bool changed_ = false;
};

TEST_F(ClaimTest, WhatWasNotIssuedIsUnknownWhereThatIsAsked) {
  EXPECT_EQ(DoClaim("a", {.require_issued = true}).state, ClaimState::kUnknown);
  EXPECT_FALSE(changed_);
  EXPECT_FALSE(record_.has_value());
  EXPECT_TRUE(IssueClaim(&record_, "user", 500, now_ms_));
  EXPECT_FALSE(IssueClaim(&record_, "other", 500, now_ms_)) << "it is known already";
  const ClaimAnswer answer = DoClaim("a", {.require_issued = true});
  EXPECT_EQ(answer.state, ClaimState::kAcquired);
  EXPECT_EQ(answer.attempt, 1u);
}

TEST_F(ClaimTest, AnIssuedKeyExpires) {
  IssueClaim(&record_, "user", 500, now_ms_);
  now_ms_ += 500;
  EXPECT_EQ(DoClaim("a", {.require_issued = true}).state, ClaimState::kUnknown);
}

TEST_F(ClaimTest, OneOwnerAtATime) {
  EXPECT_EQ(DoClaim("a").state, ClaimState::kAcquired);
  EXPECT_EQ(DoClaim("a").state, ClaimState::kHeld);
  EXPECT_FALSE(changed_);
  now_ms_ += 40;
  const ClaimAnswer busy = DoClaim("b");
  EXPECT_EQ(busy.state, ClaimState::kBusy);
  EXPECT_EQ(busy.retry_after_ms, 60);
  EXPECT_EQ(busy.fence, 1u);
  now_ms_ += 60;
  const ClaimAnswer taken = DoClaim("b");
  EXPECT_EQ(taken.state, ClaimState::kTakeover);
  EXPECT_EQ(taken.fence, 2u);
  EXPECT_EQ(taken.attempt, 2u);
  EXPECT_EQ(DoCommit("a", 1).state, ClaimState::kFenced);
  EXPECT_EQ(DoCommit("a", 1).fence, 2u);
}

TEST_F(ClaimTest, AFingerprintBindsTheKey) {
  DoClaim("a", {.fingerprint = "x"});
  EXPECT_EQ(DoClaim("b", {.fingerprint = "y"}).state, ClaimState::kMismatch);
  EXPECT_EQ(DoClaim("b", {.fingerprint = "x"}).state, ClaimState::kBusy);
  EXPECT_EQ(DoClaim("b").state, ClaimState::kBusy);
  DoCommit("a", 1);
  EXPECT_EQ(DoClaim("b", {.fingerprint = "y"}).state, ClaimState::kMismatch);
  EXPECT_EQ(DoClaim("b", {.fingerprint = "x"}).state, ClaimState::kDone);
}

TEST_F(ClaimTest, AttemptsRunOut) {
  for (uint32_t attempt = 1; attempt <= 2; ++attempt) {
    EXPECT_EQ(DoClaim("a", {.max_attempts = 2}).attempt, attempt);
    if (attempt == 1) EXPECT_EQ(DoRelease("a", fence_, false).state, ClaimState::kReleased);
    now_ms_ += kLeaseMs;
  }
  const ClaimAnswer exhausted = DoClaim("b", {.max_attempts = 2});
  EXPECT_EQ(exhausted.state, ClaimState::kExhausted);
  EXPECT_TRUE(changed_);
  const ClaimAnswer failed = DoClaim("b", {.max_attempts = 2});
  EXPECT_EQ(failed.state, ClaimState::kFailed);
  EXPECT_EQ(failed.text, "exhausted");
  EXPECT_EQ(DoCommit("a", fence_).state, ClaimState::kFenced) << "a late owner";
}

TEST_F(ClaimTest, ARenewedLeaseLasts) {
  DoClaim("a");
  now_ms_ += 90;
  EXPECT_EQ(DoRenew("a", 1).state, ClaimState::kRenewed);
  now_ms_ += 90;
  EXPECT_EQ(DoClaim("b").retry_after_ms, 10);
  EXPECT_EQ(DoRenew("b", 1).state, ClaimState::kFenced);
  EXPECT_EQ(DoRenew("a", 2).state, ClaimState::kFenced);
  now_ms_ += 10 + kKeepMs;
  EXPECT_EQ(DoRenew("a", 1).state, ClaimState::kGone);
}

TEST_F(ClaimTest, ACommitStands) {
  DoClaim("a");
  EXPECT_EQ(DoCommit("a", 1, "result").state, ClaimState::kCommitted);
  const ClaimAnswer again = DoCommit("a", 1, "other");
  EXPECT_EQ(again.state, ClaimState::kAlready);
  EXPECT_EQ(again.text, "result");
  const ClaimAnswer done = DoClaim("b");
  EXPECT_EQ(done.state, ClaimState::kDone);
  EXPECT_EQ(done.text, "result");
  const ClaimAnswer late = DoCommit("z", 7);
  EXPECT_EQ(late.state, ClaimState::kFenced);
  EXPECT_EQ(late.fence, 1u);
  EXPECT_EQ(late.text, "result");
  EXPECT_EQ(DoRelease("a", 1, false).state, ClaimState::kFenced);
  now_ms_ += kKeepMs;
  EXPECT_EQ(DoCommit("a", 1).state, ClaimState::kGone);
  EXPECT_EQ(DoClaim("c").state, ClaimState::kAcquired);
  EXPECT_EQ(record_->fence, 2u) << "the fence outlives the record";
}

TEST_F(ClaimTest, AReleaseFreesOrFails) {
  DoClaim("a");
  EXPECT_EQ(DoRelease("b", 1, false).state, ClaimState::kFenced);
  EXPECT_EQ(DoRelease("a", 1, false).state, ClaimState::kReleased);
  EXPECT_EQ(DoRelease("a", 1, false).state, ClaimState::kFenced);
  const ClaimAnswer second = DoClaim("b");
  EXPECT_EQ(second.state, ClaimState::kAcquired);
  EXPECT_EQ(second.attempt, 2u);
  EXPECT_EQ(DoRelease("b", 2, true).state, ClaimState::kReleased);
  const ClaimAnswer failed = DoClaim("c");
  EXPECT_EQ(failed.state, ClaimState::kFailed);
  EXPECT_EQ(failed.text, "why");
  now_ms_ += kKeepMs;
  EXPECT_EQ(DoRelease("b", 2, true).state, ClaimState::kGone);
}

TEST(ClaimRecordTest, SurvivesItsEncodingAndRefusesAnother) {
  const ClaimRecord record = {.phase = ClaimPhase::kDone,
                              .fence = 7,
                              .attempt = 3,
                              .lease_until_ms = 11,
                              .forget_at_ms = 12,
                              .owner = "o",
                              .fingerprint = "f",
                              .result = std::string("\0r", 2)};
  ClaimRecord read;
  ASSERT_TRUE(ClaimRecord::Decode(record.Encode(), &read));
  EXPECT_EQ(read.Encode(), record.Encode());
  EXPECT_EQ(read.result, record.result);
  const std::string bytes = record.Encode();
  for (size_t size = 0; size < bytes.size() - record.result.size(); ++size) {
    EXPECT_FALSE(ClaimRecord::Decode(bytes.substr(0, size), &read)) << size;
  }
  EXPECT_FALSE(ClaimRecord::Decode("\x02" + bytes.substr(1), &read));
}

// The table of semantics a-2 once more, as plainly as it can be said, against random schedules of three owners.
struct Naive {
  char state = '-';  // - I C D F
  std::string owner;
  uint64_t fence = 0;
  uint32_t attempt = 0;
  int64_t lease = 0;
  int64_t end = 0;
  std::string text;

  void Age(int64_t now) {
    if (state != '-' && end <= now) *this = {};
  }
  std::string Claims(const std::string& who, uint32_t max, int64_t now, uint64_t next) {
    Age(now);
    if (state == 'D') return "DONE";
    if (state == 'F') return "FAILED";
    if (state == 'C' && lease > now) return who == owner ? "HELD" : "BUSY";
    if (attempt + 1 > max) {
      state = 'F';
      text = "exhausted";
      end = now + kKeepMs;
      return "EXHAUSTED";
    }
    const bool takeover = state == 'C';
    state = 'C';
    owner = who;
    fence = next;
    ++attempt;
    lease = now + kLeaseMs;
    end = lease + kKeepMs;
    return takeover ? "TAKEOVER" : "ACQUIRED";
  }
  bool Mine(const std::string& who, uint64_t with) const { return state == 'C' && owner == who && fence == with; }
  std::string Other() const { return state == '-' ? "GONE" : "FENCED"; }
};

TEST(ClaimRandomTest, AgreesWithTheTable) {
  const uint64_t seed = test::FromEnvironment("EVERYONCE_SEED", 1);
  RecordProperty("seed", std::to_string(seed));
  test::Random random(seed);
  std::optional<ClaimRecord> record;
  Naive naive;
  uint64_t fence = 0;
  int64_t now = 1000;
  std::map<std::string, int> seen;
  for (int step = 0; step < 200000; ++step) {
    now += static_cast<int64_t>(random.OneIn(50) ? random.Below(1500) : random.Below(40));
    const std::string owner(1, static_cast<char>('a' + random.Below(3)));
    const uint64_t with = fence == 0 ? 0 : fence - random.Below(std::min<uint64_t>(fence, 2));
    bool changed = false;
    ClaimAnswer answer;
    std::string expected;
    naive.Age(now);
    switch (random.Below(5)) {
      case 0:
      case 1:
        answer = Claim(&record, {.owner = owner, .lease_ms = kLeaseMs, .keep_ms = kKeepMs, .max_attempts = 4}, now,
                       fence + 1, &changed);
        expected = naive.Claims(owner, 4, now, fence + 1);
        if (expected == "ACQUIRED" || expected == "TAKEOVER") ++fence;
        break;
      case 2:
        answer = RenewClaim(&record, owner, with, kLeaseMs, now, &changed);
        expected = naive.Mine(owner, with) ? "RENEWED" : naive.Other();
        if (expected == "RENEWED") {
          naive.lease = now + kLeaseMs;
          naive.end = naive.lease + kKeepMs;
        }
        break;
      case 3:
        answer = CommitClaim(&record, owner, with, owner, kKeepMs, now, &changed);
        expected = naive.Mine(owner, with)                     ? "COMMITTED"
                   : naive.state == 'D' && naive.fence == with ? "ALREADY"
                                                               : naive.Other();
        if (expected == "COMMITTED") {
          naive.state = 'D';
          naive.text = owner;
          naive.end = now + kKeepMs;
        }
        break;
      default: {
        const bool final = random.OneIn(4);
        answer = ReleaseClaim(
            &record, {.owner = owner, .fence = with, .final = final, .reason = "", .keep_ms = kKeepMs}, now, &changed);
        expected = naive.Mine(owner, with) ? "RELEASED" : naive.Other();
        if (expected == "RELEASED") {
          naive.state = final ? 'F' : 'I';
          naive.end = final ? now + kKeepMs : std::max(naive.end, now + kKeepMs);
        }
      }
    }
    ASSERT_EQ(ClaimStateName(answer.state), expected) << "seed " << seed << " step " << step;
    if (naive.state != '-') ASSERT_EQ(record->fence, naive.fence) << "seed " << seed << " step " << step;
    ++seen[expected];
  }
  for (const char* state : {"ACQUIRED", "TAKEOVER", "HELD", "BUSY", "DONE", "FAILED", "EXHAUSTED", "RENEWED",
                            "COMMITTED", "ALREADY", "RELEASED", "FENCED", "GONE"}) {
    EXPECT_GT(seen[state], 20) << state;
  }
}

}  // namespace
}  // namespace everyonce
