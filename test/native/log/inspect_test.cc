#include "log/inspect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "log/embedded_log_harness.h"
#include "log/log_format.h"

namespace everyonce {
namespace {

using test::kDirect;
using test::kGroup;
using testing::HasSubstr;
using testing::Not;

// A log over a store in memory that can be looked at meanwhile.
class Inspect : public testing::Test {
 protected:
  void SetUp() override { Open(false); }
  void Open(bool new_epochs) {
    auto shared = std::make_unique<test::FaultKv>(disk_);
    kv_ = shared.get();
    Status status;
    EmbeddedLogOptions options;
    options.now_ms = 1750000000000;
    options.new_epochs = new_epochs;
    log_ = OpenEmbeddedLog(std::move(shared), std::move(options), &status);
    ASSERT_NE(log_, nullptr) << status.message;
  }
  void Commit(const Command& command) {
    log_->Commit({command}, 1750000000000,
                 [](std::vector<Outcome> outcomes) { ASSERT_EQ(outcomes[0].code, Code::kOk); });
  }
  std::string List(const std::string& after, size_t limit) {
    std::string json;
    const Status status = InspectConversations(kv_, after, limit, &json);
    EXPECT_TRUE(status.ok()) << status.message;
    return json;
  }
  std::string Show(const std::string& conv, uint64_t after, size_t limit) {
    std::string json;
    const Status status = InspectConversation(kv_, conv, after, limit, &json);
    EXPECT_TRUE(status.ok()) << status.message;
    return json;
  }

  std::shared_ptr<test::FaultKv::Disk> disk_ = std::make_shared<test::FaultKv::Disk>();
  Kv* kv_ = nullptr;
  std::unique_ptr<EmbeddedLog> log_;
};

TEST_F(Inspect, AnEmptyStoreHasNothing) { EXPECT_EQ(List("", 5), R"({"convs":[],"more":false})"); }

TEST_F(Inspect, ListsConversationsInPagesAndMessagesInPages) {
  Commit(test::Members(MembersAction::kCreate, "ann", {"bob", "cid"}, true));
  for (uint64_t n = 1; n <= 3; ++n) Commit(test::Send(kDirect, "ann", "phone", n));
  const std::string first = List("", 1);
  EXPECT_THAT(first, HasSubstr(R"({"convs":[{"conv":"dm:ann:bob","head":3,)"));
  EXPECT_THAT(first, HasSubstr(R"("members":2}],"more":true})"));
  const std::string second = List(kDirect, 1);
  EXPECT_THAT(second, HasSubstr(R"("conv":"g:team","head":1,)"));
  EXPECT_THAT(second, HasSubstr(R"("creator":"ann","historyAll":true,"members":3}],"more":false})"));

  const std::string page = Show(kDirect, 0, 2);
  EXPECT_THAT(page, HasSubstr(R"("names":["ann","bob"],"messages":[{"seq":1,)"));
  EXPECT_THAT(
      page,
      HasSubstr(
          R"("from":"ann","device":"phone","n":2,"id":"message-2","type":"text","body":"message-2"}],"more":true})"));
  const std::string rest = Show(kDirect, 2, 2);
  EXPECT_THAT(rest, HasSubstr(R"("messages":[{"seq":3,)"));
  EXPECT_THAT(rest, HasSubstr(R"("more":false})"));
  EXPECT_THAT(rest, Not(HasSubstr("names")));
  EXPECT_THAT(Show(kDirect, 9, 2), HasSubstr(R"("messages":[],"more":false})"));
}

TEST_F(Inspect, TellsWhereANewEpochIsDueAndBeginsNone) {
  Commit(test::Send(kDirect, "ann", "phone", 1));
  Open(true);
  const uint64_t writes = disk_->writes;
  for (int round = 0; round < 2; ++round) EXPECT_THAT(List("", 5), HasSubstr(R"("renew":true)"));
  EXPECT_EQ(disk_->writes, writes);
  Commit(test::Send(kDirect, "ann", "phone", 2));
  EXPECT_THAT(List("", 5), Not(HasSubstr("renew")));
  EXPECT_THAT(Show(kDirect, 0, 5), HasSubstr(R"("seq":2,"epoch":)"));
}

TEST_F(Inspect, NamesWhatIsNotThereAndWhatIsDamaged) {
  Commit(test::Send(kDirect, "ann", "phone", 1));
  std::string json;
  EXPECT_EQ(InspectConversation(kv_, "dm:ann:cid", 0, 5, &json).code, Code::kUnknownConv);
  EXPECT_EQ(InspectConversation(kv_, kGroup, 0, 5, &json).code, Code::kUnknownConv);
  for (const char* bad : {"", "dm:", "dm:b:a", "g:", "x"}) {
    EXPECT_EQ(InspectConversation(kv_, bad, 0, 5, &json).code, Code::kBadRequest) << bad;
  }
  WriteBatch damage;
  damage.Put(Space::kLog, key::Log(kDirect, 1), "?");
  ASSERT_TRUE(kv_->Write(damage, true).ok());
  const Status status = InspectConversation(kv_, kDirect, 0, 5, &json);
  EXPECT_EQ(status.code, Code::kStoreCorrupt);
  EXPECT_THAT(status.message, HasSubstr(kDirect));
  disk_->read_fault = Code::kUnavailable;
  EXPECT_EQ(InspectConversations(kv_, "", 5, &json).code, Code::kUnavailable);
  EXPECT_EQ(json, "") << "a page that could not be read is not begun";
}

}  // namespace
}  // namespace everyonce
