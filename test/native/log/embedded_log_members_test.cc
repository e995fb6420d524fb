// Groups on the embedded log: membership has a place in the order.

#include "log/embedded_log_harness.h"

namespace everyonce::test {
namespace {

TEST(EmbeddedLogMembers, ACreatedGroupBeginsWithTheMessageThatSaysSo) {
  EmbeddedLogHarness harness;
  const Outcome created = harness.Commit(Members(MembersAction::kCreate, "bob", {"cid", "ann", "cid"}));
  ASSERT_EQ(created.code, Code::kOk) << created.message;
  EXPECT_EQ(created.seq, 1u);
  EXPECT_EQ(created.body, R"({"add":["ann","bob","cid"],"by":"bob"})");
  EXPECT_EQ(created.added, (std::vector<std::string>{"ann", "bob", "cid"}));
  EXPECT_EQ(*created.audience, (MemberList{"ann", "bob", "cid"}));
  for (int round = 0; round < 2; ++round) {
    const Page page = harness.Pull({"cid", "phone", kGroup, "", 10});
    ASSERT_EQ(page.items.size(), 1u);
    const Message& message = page.items[0].message;
    EXPECT_EQ(message.from, "system");
    EXPECT_EQ(message.device, "system");
    EXPECT_EQ(message.type, "system.members");
    EXPECT_EQ(message.id, std::to_string(message.mid));
    EXPECT_EQ(message.mid, created.mid);
    EXPECT_EQ(message.body, created.body);
    EXPECT_EQ(harness.View("cid", "phone", kGroup).unread, 0u) << "system.* is left out";
    harness.Crash();
  }
}

TEST(EmbeddedLogMembers, TheSameCallAgainIsOkAndStoresNothing) {
  EmbeddedLogHarness harness;
  harness.Commit(Members(MembersAction::kCreate, "ann", {"bob", "cid"}));
  harness.Commit(Members(MembersAction::kLeave, "cid", {}));
  const std::vector<Outcome> seen = harness.CommitAll({
      Members(MembersAction::kCreate, "ann", {"bob", "cid"}),
      Members(MembersAction::kAdd, "ann", {"bob"}),
      Members(MembersAction::kRemove, "ann", {"cid", "never"}),
      Members(MembersAction::kLeave, "cid", {}),
  });
  for (const Outcome& outcome : seen) {
    EXPECT_EQ(outcome.code, Code::kOk) << outcome.message;
    EXPECT_EQ(outcome.seq, 0u);
  }
  EXPECT_EQ(harness.View("ann", "", kGroup).head, 2u);
  EXPECT_EQ(harness.Commit(Members(MembersAction::kCreate, "bob", {"ann"})).code, Code::kExists);
  EXPECT_EQ(harness.Commit(Members(MembersAction::kCreate, "ann", {"dee"})).code, Code::kExists);
}

TEST(EmbeddedLogMembers, OnlyTheCreatorMayUnlessTheHookSaysOtherwise) {
  EmbeddedLogHarness harness;
  harness.Commit(Members(MembersAction::kCreate, "ann", {"bob"}));
  EXPECT_EQ(harness.Commit(Members(MembersAction::kAdd, "bob", {"cid"})).code, Code::kForbidden);
  EXPECT_EQ(harness.Commit(Members(MembersAction::kAdd, "eve", {"eve"})).code, Code::kUnknownConv);
  EXPECT_EQ(harness.Commit(Members(MembersAction::kLeave, "eve", {})).code, Code::kUnknownConv);
  Command command = Members(MembersAction::kAdd, "bob", {"cid"});
  command.authorised = true;
  EXPECT_EQ(harness.Commit(command).seq, 2u);
  command = Members(MembersAction::kRemove, "ann", {"cid"});
  command.authorised = false;
  EXPECT_EQ(harness.Commit(command).code, Code::kForbidden);
  command = Members(MembersAction::kCreate, "ann", {});
  command.conv = "g:another";
  command.authorised = false;
  EXPECT_EQ(harness.Commit(command).code, Code::kForbidden);
  command.authorised.reset();
  command.conv = kDirect;
  EXPECT_EQ(harness.Commit(command).code, Code::kBadRequest);
}

TEST(EmbeddedLogMembers, WhoLeavesKeepsWhatWasVisibleAndSeesNoMore) {
  EmbeddedLogHarness harness;
  harness.Commit(Members(MembersAction::kCreate, "ann", {"bob"}));                          // 1
  harness.Commit(Send(kGroup, "ann", "phone", 1));                                          // 2
  harness.Commit(Send(kGroup, "bob", "phone", 1));                                          // 3
  const Outcome removed = harness.Commit(Members(MembersAction::kRemove, "ann", {"bob"}));  // 4
  EXPECT_EQ(removed.body, R"({"remove":["bob"],"by":"ann"})");
  EXPECT_EQ(*removed.audience, (MemberList{"ann", "bob"})) << "the last message is the one that removes";
  const Outcome after = harness.Commit(Send(kGroup, "ann", "phone", 2));  // 5
  EXPECT_EQ(*after.audience, MemberList{"ann"});
  for (int round = 0; round < 2; ++round) {
    const ConversationView view = harness.View("bob", "tablet", kGroup);
    EXPECT_FALSE(view.member);
    EXPECT_EQ(view.head, 4u);
    EXPECT_EQ(view.unread, 1u);
    EXPECT_EQ(harness.Pull({"bob", "tablet", kGroup, "", 10}).items.size(), 4u);
    EXPECT_TRUE(harness.Commit(Send(kGroup, "bob", "phone", 1)).duplicate) << "its state is kept";
    harness.Crash();
  }
  EXPECT_EQ(harness.Commit(Send(kGroup, "bob", "phone", 2)).code, Code::kUnknownConv) << "final, and uses its n";
  EXPECT_EQ(harness.Commit(Send(kGroup, "bob", "laptop", 1)).code, Code::kUnknownConv);
  EXPECT_EQ(harness.Commit(Send(kGroup, "bob", "laptop", 2)).code, Code::kUnknownConv) << "nothing was remembered";
  EXPECT_EQ(harness.Commit(Read(kGroup, "bob", "phone", 9)).read, 4u);

  const Outcome added = harness.Commit(Members(MembersAction::kAdd, "ann", {"bob"}));  // 6
  EXPECT_EQ(*added.audience, (MemberList{"ann", "bob"}));
  harness.Crash();
  EXPECT_EQ(harness.Commit(Send(kGroup, "bob", "phone", 2)).code, Code::kUnknownConv) << "the same answer as before";
  EXPECT_EQ(harness.Commit(Send(kGroup, "bob", "phone", 3)).seq, 7u);
  harness.Commit(Send(kGroup, "ann", "phone", 3));  // 8
  EXPECT_EQ(harness.View("bob", "tablet", kGroup).unread, 1u) << "8; 5 was not visible, 6 is system's, 7 its own";
  const Page page = harness.Pull({"bob", "tablet", kGroup, "", 10});
  ASSERT_EQ(page.items.size(), 8u);
  EXPECT_EQ(page.items[3].message.seq, 4u);
  ASSERT_TRUE(page.items[4].is_hole());
  EXPECT_EQ(page.items[4].hole.span.from, 5u);
  EXPECT_EQ(page.items[4].hole.span.to, 5u);
  EXPECT_EQ(page.items[4].hole.reason, "not_visible");
  EXPECT_EQ(page.items[5].message.seq, 6u);
}

TEST(EmbeddedLogMembers, NewMembersSeeFromTheirJoiningOrAll) {
  for (const bool history_all : {false, true}) {
    EmbeddedLogHarness harness;
    harness.Commit(Members(MembersAction::kCreate, "ann", {"bob"}, history_all));
    harness.Commit(Send(kGroup, "ann", "phone", 1));
    harness.Commit(Members(MembersAction::kAdd, "ann", {"cid"}));
    harness.Commit(Send(kGroup, "ann", "phone", 2));
    for (int round = 0; round < 2; ++round) {
      const ConversationView view = harness.View("cid", "phone", kGroup);
      EXPECT_EQ(view.got, history_all ? 0u : 2u);
      EXPECT_EQ(view.unread, history_all ? 2u : 1u);
      const Page page = harness.Pull({"cid", "phone", kGroup, "", 10});
      ASSERT_EQ(page.items.size(), history_all ? 4u : 2u);
      EXPECT_EQ(page.items[0].message.seq, history_all ? 1u : 3u);
      ASSERT_EQ(page.covers.size(), 1u);
      EXPECT_EQ(page.covers[0].from, history_all ? 1u : 3u);
      EXPECT_EQ(page.covers[0].to, 4u);
      harness.Crash();
    }
  }
}

TEST(EmbeddedLogMembers, BackInTheVeryNextMessageLeavesNoHole) {
  EmbeddedLogHarness harness;
  harness.Commit(Members(MembersAction::kCreate, "ann", {"bob"}));
  harness.CommitAll({Members(MembersAction::kRemove, "ann", {"bob"}), Members(MembersAction::kAdd, "ann", {"bob"})});
  harness.Commit(Send(kGroup, "ann", "phone", 1));
  harness.Crash();
  const Page page = harness.Pull({"bob", "phone", kGroup, "", 10});
  ASSERT_EQ(page.items.size(), 4u);
  for (uint64_t i = 0; i < 4; ++i) EXPECT_EQ(page.items[i].message.seq, i + 1);
  EXPECT_EQ(harness.View("bob", "phone", kGroup).unread, 1u);
}

}  // namespace
}  // namespace everyonce::test
