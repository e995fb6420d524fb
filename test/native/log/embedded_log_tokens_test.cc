// Tokens in the log: each good for one message of its user, once, until it runs out.

#include "core/message_token.h"
#include "log/embedded_log_harness.h"

namespace everyonce::test {
namespace {

constexpr int64_t kTtlMs = 5000;

class Tokens : public ::testing::Test {
 protected:
  Tokens() {
    harness_.tokens = true;
    harness_.token_ttl_ms = kTtlMs;
    harness_.Open();
  }
  std::string Issue(const std::string& user = "ann") {
    std::string issued;
    harness_.log().IssueTokens(user, 1, harness_.now_ms, [&](Status status, std::vector<std::string> tokens) {
      EXPECT_TRUE(status.ok()) << status.message;
      ASSERT_EQ(tokens.size(), 1u);
      issued = tokens[0];
    });
    return issued;
  }
  static Command Tokened(uint64_t n, const std::string& id, const std::string& device = "phone",
                         const std::string& conv = kDirect, const std::string& user = "ann") {
    Command command = Send(conv, user, device, n, id);
    command.token_check = TokenCheck::kRequired;
    return command;
  }
  EmbeddedLogHarness harness_;
};

TEST_F(Tokens, StoreNothingUntilTheyAreUsedAndLetOneMessagePass) {
  const uint64_t writes = harness_.disk().writes;
  const std::string token = Issue();
  EXPECT_NE(Issue(), token);
  EXPECT_EQ(harness_.disk().writes, writes) << "a token that is never used costs nothing";
  const Outcome first = harness_.Commit(Tokened(1, token));
  ASSERT_EQ(first.code, Code::kOk) << first.message;
  for (int i = 0; i < 2; ++i) {
    const Outcome again = harness_.Commit(Tokened(1, token));
    EXPECT_TRUE(again.duplicate) << "the same message may come again";
    EXPECT_EQ(again.mid, first.mid);
    harness_.Crash();
  }
}

TEST_F(Tokens, RefuseEveryOtherMessageForGood) {
  const std::string token = Issue();
  ASSERT_EQ(harness_.Commit(Tokened(1, token)).code, Code::kOk);
  EXPECT_EQ(harness_.Commit(Tokened(1, token, "laptop")).code, Code::kTokenInvalid) << "another device";
  EXPECT_EQ(harness_.Commit(Tokened(1, token, "phone", "dm:ann:cid")).code, Code::kTokenInvalid);
  EXPECT_EQ(harness_.Commit(Tokened(1, token, "phone", kDirect, "bob")).code, Code::kTokenInvalid) << "not his";
  EXPECT_EQ(harness_.Commit(Tokened(0, token, "server", "dm:ann:cid")).code, Code::kTokenInvalid) << "without n";
  for (uint64_t n = 2; n <= 70; ++n) ASSERT_EQ(harness_.Commit(Tokened(n, Issue())).code, Code::kOk);
  EXPECT_EQ(harness_.Commit(Tokened(71, token)).code, Code::kTokenInvalid) << "an older n, beyond the last 64";
  // Each used its n, durably, and stays refused.
  harness_.Crash();
  EXPECT_EQ(harness_.Commit(Tokened(1, token, "laptop")).code, Code::kTokenInvalid);
  EXPECT_EQ(harness_.Commit(Tokened(2, Issue(), "laptop")).code, Code::kOk);
  EXPECT_EQ(harness_.Commit(Tokened(72, Issue())).code, Code::kOk);
  EXPECT_EQ(harness_.View("bob", "phone", kDirect).head, 72u);
}

TEST_F(Tokens, AreClaimedWithinAGroupToo) {
  const std::string token = Issue();
  const std::vector<Outcome> seen =
      harness_.CommitAll({Tokened(1, token), Tokened(1, token, "laptop"), Tokened(1, token)});
  EXPECT_EQ(seen[0].code, Code::kOk);
  EXPECT_EQ(seen[1].code, Code::kTokenInvalid);
  EXPECT_TRUE(seen[2].duplicate);
}

TEST_F(Tokens, RunOut) {
  const std::string token = Issue();
  const std::string used = Issue();
  ASSERT_EQ(harness_.Commit(Tokened(1, used)).code, Code::kOk);
  harness_.now_ms += kTtlMs - 1;
  EXPECT_EQ(harness_.Commit(Tokened(2, token)).code, Code::kOk);
  const std::string late = Issue();
  harness_.now_ms += kTtlMs;
  EXPECT_EQ(harness_.Commit(Tokened(3, late)).code, Code::kTokenInvalid);
  EXPECT_TRUE(harness_.Commit(Tokened(1, used)).duplicate) << "a duplicate is told by its n, for ever";
}

TEST_F(Tokens, AreJudgedInTheirPlaceOfTheOrder) {
  Command command = Tokened(1, "not-a-token");
  command.user = "eve";
  EXPECT_EQ(harness_.Commit(command).code, Code::kUnknownConv) << "membership first";
  EXPECT_EQ(harness_.Commit(Tokened(2, "not-a-token")).code, Code::kUnknownProducer);
  command = Tokened(1, "not-a-token");
  command.refused = Code::kTooLarge;
  EXPECT_EQ(harness_.Commit(command).code, Code::kTooLarge) << "size before token";
  command = Tokened(2, "neither-token");
  command.refused = Code::kForbidden;
  EXPECT_EQ(harness_.Commit(command).code, Code::kTokenInvalid) << "token before authorize";
  const std::string token = Issue();
  command = Tokened(3, token);
  command.refused = Code::kForbidden;
  EXPECT_EQ(harness_.Commit(command).code, Code::kForbidden);
  EXPECT_EQ(harness_.Commit(Tokened(5, "no-token-either")).code, Code::kGap);
}

TEST_F(Tokens, AreCheckedOnlyWhereAnIdIsOneIfTheyAreNotRequired) {
  Command command = Tokened(1, "an-id-of-its-own");
  command.token_check = TokenCheck::kIfToken;
  EXPECT_EQ(harness_.Commit(command).code, Code::kOk);
  const std::string token = Issue();
  std::string forged = token;
  forged.back() = forged.back() == 'A' ? 'B' : 'A';
  command = Tokened(2, forged);
  command.token_check = TokenCheck::kIfToken;
  EXPECT_EQ(harness_.Commit(command).code, Code::kTokenInvalid);
  command = Tokened(3, token);
  command.token_check = TokenCheck::kIfToken;
  EXPECT_EQ(harness_.Commit(command).code, Code::kOk);
  command.device = "laptop";
  command.n = 1;
  EXPECT_EQ(harness_.Commit(command).code, Code::kTokenInvalid);
  command = Send(kDirect, "ann", "tablet", 1, token);
  EXPECT_EQ(harness_.Commit(command).code, Code::kOk) << "no check, no claim: the application's own";
}

TEST_F(Tokens, OutliveRestartsByTheKeyInTheStore) {
  const std::string token = Issue();
  harness_.Crash();
  EXPECT_EQ(harness_.Commit(Tokened(1, token)).code, Code::kOk);
  harness_.token_key = "another key, of thirty-two bytes!";
  const std::string old = Issue();
  harness_.Crash();
  EXPECT_EQ(harness_.Commit(Tokened(2, old)).code, Code::kTokenInvalid) << "the option's key counts, if there is one";
  EXPECT_EQ(harness_.Commit(Tokened(3, Issue())).code, Code::kOk);
}

TEST_F(Tokens, TellADuplicateWithoutNBeyondItsWindow) {
  const std::string token = Issue();
  const Outcome first = harness_.Commit(Tokened(0, token, "server"));
  ASSERT_EQ(first.code, Code::kOk) << first.message;
  harness_.now_ms += 2000;  // the window is one second
  const Outcome again = harness_.Commit(Tokened(0, token, "server"));
  EXPECT_TRUE(again.duplicate);
  EXPECT_EQ(again.seq, first.seq);
  EXPECT_EQ(harness_.View("bob", "phone", kDirect).head, 1u);
}

TEST_F(Tokens, OfAPackageAreItsPartsIds) {
  Command package = Tokened(1, "");
  package.package_id = "P1";
  const std::string spent = Issue();
  package.parts = {{Issue(), "text", "1"}, {spent, "text", "2"}};
  const Outcome stored = harness_.Commit(package);
  ASSERT_EQ(stored.code, Code::kOk) << stored.message;
  EXPECT_EQ(harness_.Commit(Tokened(1, spent, "tablet")).code, Code::kTokenInvalid);
  package.n = 1;
  package.package_id = "P2";
  package.device = "laptop";
  const std::string fresh = Issue();
  package.parts = {{fresh, "text", "1"}, {spent, "text", "2"}};
  EXPECT_EQ(harness_.Commit(package).code, Code::kTokenInvalid) << "all of it, for one part";
  EXPECT_EQ(harness_.Commit(Tokened(2, fresh, "laptop")).code, Code::kConflict) << "an id of the nacked package";
  EXPECT_EQ(harness_.Commit(Tokened(2, Issue(), "laptop")).code, Code::kOk);
}

TEST_F(Tokens, AreForgottenWhenTheyHaveRunOutAndNotBefore) {
  for (uint64_t n = 1; n <= 10; ++n) ASSERT_EQ(harness_.Commit(Tokened(n, Issue())).code, Code::kOk);
  harness_.now_ms += kTtlMs;
  const std::string later = Issue();
  ASSERT_EQ(harness_.Commit(Tokened(11, later)).code, Code::kOk);
  EXPECT_EQ(harness_.log().SweepTokens(harness_.now_ms, 100), 0u);
  harness_.now_ms += TokenClaim::kMarginMs;
  size_t removed = 0;
  for (int slice = 0; slice < 6; ++slice) {
    const size_t of_slice = harness_.log().SweepTokens(harness_.now_ms, 4);
    EXPECT_LE(of_slice, 4u);
    removed += of_slice;
  }
  EXPECT_EQ(removed, 10u);
}

TEST_F(Tokens, AreUnknownToALogWithoutThem) {
  EmbeddedLogHarness plain;
  plain.log().IssueTokens("ann", 1, plain.now_ms, [](Status status, const std::vector<std::string>& tokens) {
    EXPECT_EQ(status.code, Code::kUnsupported);
    EXPECT_TRUE(tokens.empty());
  });
  EXPECT_EQ(plain.disk().writes, 0u) << "no key is made";
}

}  // namespace
}  // namespace everyonce::test
