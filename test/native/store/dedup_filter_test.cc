#include "store/dedup_filter.h"

#include <gtest/gtest.h>

#include <string>

#include "log/memory_kv.h"

namespace everyonce {
namespace {

void Store(MemoryKv* kv, int from, int to) {
  WriteBatch batch;
  for (int i = from; i < to; ++i) batch.Put(Space::kPrimitives, "dkey " + std::to_string(i), "");
  batch.Put(Space::kPrimitives, "c not of dedup", "");
  batch.Put(Space::kPrimitives, "e neither", "");
  ASSERT_TRUE(kv->Write(batch, true).ok());
}

bool MaySee(DedupFilter* filter, int i) { return filter->MaySee("key " + std::to_string(i)); }

TEST(DedupFilterTest, ColdItKnowsNothingWarmItKnowsAllThatIsStored) {
  MemoryKv kv;
  Store(&kv, 0, 5000);
  DedupFilter filter(7, 1000);
  EXPECT_FALSE(filter.building());
  EXPECT_TRUE(MaySee(&filter, 999999));
  int slices = 0;
  while (filter.building()) {
    EXPECT_FALSE(filter.stats().warm);
    EXPECT_TRUE(MaySee(&filter, 999999)) << "cold";
    // Added while it is being built, in front of and behind where the scan is.
    filter.Remember("added " + std::to_string(slices));
    ASSERT_TRUE(filter.Slice(&kv, "d", 700).ok());
    ++slices;
  }
  EXPECT_TRUE(filter.stats().warm);
  for (int i = 0; i < 5000; ++i) ASSERT_TRUE(MaySee(&filter, i)) << i;
  // What was added before it began anew for more keys is stored by then; the last few are not.
  EXPECT_TRUE(filter.MaySee("added " + std::to_string(slices - 1)));
  int maybe = 0;
  for (int i = 5000; i < 25000; ++i) maybe += MaySee(&filter, i) ? 1 : 0;
  EXPECT_LT(maybe, 300) << "1.5 %";
  EXPECT_EQ(filter.stats().saved, 20000u - static_cast<uint64_t>(maybe));
  filter.Looked(false);
  filter.Looked(true);
  EXPECT_EQ(filter.stats().false_positives, 1u);
}

TEST(DedupFilterTest, GrowsAndNeverDeniesWhatItWasTold) {
  MemoryKv kv;
  DedupFilter filter(7, 64);
  MaySee(&filter, 0);
  while (filter.building()) ASSERT_TRUE(filter.Slice(&kv, "d", 100).ok());
  const uint64_t small = filter.stats().bytes;
  for (int i = 0; i < 3000; ++i) {
    filter.Remember("key " + std::to_string(i));
    Store(&kv, i, i + 1);
    if (filter.building()) ASSERT_TRUE(filter.Slice(&kv, "d", 100).ok());
    ASSERT_TRUE(MaySee(&filter, i)) << i;
    ASSERT_TRUE(MaySee(&filter, i / 2)) << i;
  }
  EXPECT_GT(filter.stats().bytes, 10 * small);
}

}  // namespace
}  // namespace everyonce
