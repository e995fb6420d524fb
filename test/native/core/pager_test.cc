#include "core/pager.h"

#include <gtest/gtest.h>

namespace everyonce {
namespace {

TEST(PageBudget, EndsByItems) {
  PageBudget budget(2, 1000);
  EXPECT_TRUE(budget.Fits(10));
  budget.Take(10);
  EXPECT_FALSE(budget.full());
  budget.Take(10);
  EXPECT_TRUE(budget.full());
  EXPECT_FALSE(budget.Fits(0));
}

TEST(PageBudget, EndsByBytes) {
  PageBudget budget(10, 100);
  budget.Take(60);
  EXPECT_FALSE(budget.Fits(41));
  EXPECT_TRUE(budget.Fits(40));
}

TEST(PageBudget, AlwaysHoldsOneItem) {
  PageBudget budget(10, 100);
  EXPECT_TRUE(budget.Fits(5000)) << "an item larger than the page must still go out";
  budget.Take(5000);
  EXPECT_FALSE(budget.Fits(1));
  EXPECT_TRUE(PageBudget(0, 0).Fits(1));
}

}  // namespace
}  // namespace everyonce
