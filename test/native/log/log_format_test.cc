#include "log/log_format.h"

#include <gtest/gtest.h>

namespace everyonce::test {
namespace {

TEST(LogFormat, SpansInAnotherOrderAreDamage) {
  VisibleSpans read;
  const VisibleSpans good = {{.from = 1, .to = 4}, {.from = 6}};
  ASSERT_TRUE(DecodeSpans(EncodeSpans(good), &read));
  EXPECT_EQ(read.size(), 2u);
  EXPECT_TRUE(read[1].open());
  EXPECT_FALSE(DecodeSpans(EncodeSpans({{.from = 6, .to = 7}, {.from = 1, .to = 4}}), &read));
  EXPECT_FALSE(DecodeSpans(EncodeSpans({{.from = 1, .to = 4}, {.from = 4, .to = 5}}), &read));
  EXPECT_FALSE(DecodeSpans(EncodeSpans({{.from = 5, .to = 4}}), &read));
  EXPECT_FALSE(DecodeSpans(EncodeSpans({{.from = 0, .to = 4}}), &read));
  EXPECT_FALSE(DecodeSpans(EncodeSpans({{.from = 1}, {.from = 9}}), &read));
}

}  // namespace
}  // namespace everyonce::test
