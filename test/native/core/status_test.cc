#include "core/status.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace everyonce {
namespace {

TEST(CodeName, GivesEveryCodeItsOwnName) {
  std::set<std::string_view> names;
  for (int code = 0; code <= static_cast<int>(Code::kBadFilter); ++code)
    names.insert(CodeName(static_cast<Code>(code)));
  EXPECT_EQ(names.size(), static_cast<size_t>(Code::kBadFilter) + 1);
  EXPECT_EQ(names.count("unknown"), 0U);
  EXPECT_EQ(names.count(""), 0U);
  EXPECT_EQ(CodeName(Code::kPackageIncomplete), "package_incomplete");
  EXPECT_EQ(CodeName(Code::kStoreLocked), "STORE_LOCKED");
}

TEST(IsTransient, TellsWhatASenderMustNotSettle) {
  for (const Code code : {Code::kGap, Code::kConflict, Code::kUnknownProducer, Code::kTooOld, Code::kRateLimited,
                          Code::kPackageIncomplete, Code::kUnavailable}) {
    EXPECT_TRUE(IsTransient(code)) << CodeName(code);
  }
  for (const Code code : {Code::kOk, Code::kUnknownConv, Code::kForbidden, Code::kTooLarge, Code::kBadRequest,
                          Code::kTokenInvalid, Code::kExists, Code::kStaleDevice, Code::kUnsupported, Code::kClosed}) {
    EXPECT_FALSE(IsTransient(code)) << CodeName(code);
  }
}

TEST(Status, SaysWhatIsWrongAndWhere) {
  EXPECT_TRUE(Status::Ok().ok());
  const Status status = Status::Error(Code::kBadRequest, "\"n\" is missing.", "n");
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(status.field, "n");
}

}  // namespace
}  // namespace everyonce
