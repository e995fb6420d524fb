#include "log/kv.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "log/memory_kv.h"
#include "log/rocks_kv.h"
#include "support/counting_kv.h"
#include "support/fault_kv.h"
#include "support/seed.h"
#include "support/temp_dir.h"

namespace everyonce {
namespace {

using Entry = std::pair<std::string, std::string>;

// The promises of Kv, for every store behind it. `Reopen` closes and opens, as a restart does.
struct Store {
  virtual ~Store() = default;
  virtual Kv* kv() = 0;
  virtual void Reopen() = 0;
};

struct MemoryStore final : Store {
  std::unique_ptr<MemoryKv> memory = std::make_unique<MemoryKv>();
  Kv* kv() override { return memory.get(); }
  void Reopen() override { memory = memory->Clone(); }
};

struct FaultStore final : Store {
  std::shared_ptr<test::FaultKv::Disk> disk = std::make_shared<test::FaultKv::Disk>();
  std::unique_ptr<Kv> fault = std::make_unique<test::FaultKv>(disk);
  Kv* kv() override { return fault.get(); }
  void Reopen() override { fault = std::make_unique<test::FaultKv>(disk); }
};

struct RocksStore final : Store {
  test::TempDir dir;
  std::unique_ptr<Kv> rocks;
  RocksStore() { Reopen(); }
  Kv* kv() override { return rocks.get(); }
  void Reopen() override {
    rocks.reset();
    const Status status = RocksKv::Open({.dir = dir / "data"}, &rocks);
    EXPECT_TRUE(status.ok()) << status.message;
  }
};

template <typename Kind>
std::unique_ptr<Store> Make() {
  return std::make_unique<Kind>();
}

class KvTest : public testing::TestWithParam<std::pair<const char*, std::unique_ptr<Store> (*)()>> {
 protected:
  void SetUp() override { store_ = GetParam().second(); }
  Kv* kv() { return store_->kv(); }

  void Put(Space space, std::string key, std::string value) {
    WriteBatch batch;
    batch.Put(space, std::move(key), std::move(value));
    ASSERT_TRUE(kv()->Write(batch, true).ok());
  }
  // "-" where the key is absent.
  std::string Get(Space space, std::string_view key) {
    std::string value;
    bool found = false;
    EXPECT_TRUE(kv()->Get(space, key, &value, &found).ok());
    return found ? value : "-";
  }
  std::vector<Entry> Scan(Space space, std::string_view from, std::string_view to, bool reverse = false,
                          size_t limit = 1000000) {
    std::vector<Entry> entries;
    const Status status = kv()->Scan(space, from, to, reverse, [&](std::string_view key, std::string_view value) {
      entries.emplace_back(key, value);
      return entries.size() < limit;
    });
    EXPECT_TRUE(status.ok()) << status.message;
    return entries;
  }

  std::unique_ptr<Store> store_;
};

TEST_P(KvTest, SpacesAreApart) {
  for (size_t i = 0; i < kSpaceCount; ++i) Put(static_cast<Space>(i), "key", std::to_string(i));
  store_->Reopen();
  for (size_t i = 0; i < kSpaceCount; ++i) {
    EXPECT_EQ(Get(static_cast<Space>(i), "key"), std::to_string(i));
    EXPECT_EQ(Get(static_cast<Space>(i), "kez"), "-");
  }
}

TEST_P(KvTest, KeysAndValuesAreBytesInUnsignedOrder) {
  const std::vector<std::string> keys = {
      std::string("\0", 1), std::string("\0\0", 2), "a", "a\x7f", "a\x80", "a\xff", "a\xff\xff", "b", "\x80", "\xff"};
  const std::string value("\0\xff\n", 3);
  for (auto key = keys.rbegin(); key != keys.rend(); ++key) Put(Space::kLog, *key, value);
  const std::vector<Entry> all = Scan(Space::kLog, "", "");
  ASSERT_EQ(all.size(), keys.size());
  for (size_t i = 0; i < keys.size(); ++i) EXPECT_EQ(all[i], (Entry{keys[i], value}));
}

TEST_P(KvTest, ScansHalfOpenRangesBothWays) {
  for (const char* key : {"a", "b", "c", "d"}) Put(Space::kMarks, key, key);
  EXPECT_EQ(Scan(Space::kMarks, "b", "d"), (std::vector<Entry>{{"b", "b"}, {"c", "c"}}));
  EXPECT_EQ(Scan(Space::kMarks, "b", "d", true), (std::vector<Entry>{{"c", "c"}, {"b", "b"}}));
  EXPECT_EQ(Scan(Space::kMarks, "b", "", true), (std::vector<Entry>{{"d", "d"}, {"c", "c"}, {"b", "b"}}));
  EXPECT_EQ(Scan(Space::kMarks, "aa", "bb"), (std::vector<Entry>{{"b", "b"}}));
  EXPECT_TRUE(Scan(Space::kMarks, "c", "c").empty());
  EXPECT_TRUE(Scan(Space::kMarks, "d", "b").empty());
  EXPECT_TRUE(Scan(Space::kMarks, "d", "b", true).empty());
  EXPECT_TRUE(Scan(Space::kMarks, "e", "").empty());
  EXPECT_EQ(Scan(Space::kMarks, "a", "", false, 1), (std::vector<Entry>{{"a", "a"}}));
  EXPECT_EQ(Scan(Space::kMarks, "a", "", true, 2), (std::vector<Entry>{{"d", "d"}, {"c", "c"}}));
}

TEST_P(KvTest, ABatchIsAppliedInOrder) {
  WriteBatch batch;
  batch.Put(Space::kMeta, "k", "1");
  batch.Remove(Space::kMeta, "k");
  batch.Put(Space::kMeta, "k", "2");
  batch.Put(Space::kMeta, "gone", "1");
  batch.Remove(Space::kMeta, "gone");
  batch.Remove(Space::kMeta, "never there");
  ASSERT_TRUE(kv()->Write(batch, true).ok());
  EXPECT_EQ(Get(Space::kMeta, "k"), "2");
  EXPECT_EQ(Get(Space::kMeta, "gone"), "-");
}

TEST_P(KvTest, CountsSyncedWritesOnly) {
  const uint64_t before = kv()->syncs();
  WriteBatch batch;
  batch.Put(Space::kMeta, "k", "v");
  ASSERT_TRUE(kv()->Write(batch, false).ok());
  EXPECT_EQ(kv()->syncs(), before);
  ASSERT_TRUE(kv()->Write(batch, true).ok());
  EXPECT_EQ(kv()->syncs(), before + 1);
  ASSERT_TRUE(kv()->Write(WriteBatch(), true).ok()) << "syncs what was written before";
  EXPECT_EQ(kv()->syncs(), before + 2);
}

TEST_P(KvTest, RecoverKeepsWhatWasWritten) {
  Put(Space::kMeta, "k", "v");
  ASSERT_TRUE(kv()->Recover().ok());
  EXPECT_EQ(Get(Space::kMeta, "k"), "v");
  Put(Space::kMeta, "k", "w");
  EXPECT_EQ(Get(Space::kMeta, "k"), "w");
}

TEST_P(KvTest, AgreesWithAMap) {
  const uint64_t seed = test::FromEnvironment("EVERYONCE_SEED", 4);
  SCOPED_TRACE("EVERYONCE_SEED=" + std::to_string(seed));
  test::Random random(seed);
  std::map<std::string, std::string> model;
  const auto key = [&] { return std::string(1 + random.Below(3), static_cast<char>(random.Below(256))); };
  for (int step = 0; step < 300; ++step) {
    WriteBatch batch;
    for (uint64_t i = random.Below(5); i > 0; --i) {
      const std::string name = key();
      if (random.OneIn(3)) {
        batch.Remove(Space::kProducers, name);
        model.erase(name);
      } else {
        const std::string value(random.Below(300), static_cast<char>(step));
        batch.Put(Space::kProducers, name, value);
        model[name] = value;
      }
    }
    ASSERT_TRUE(kv()->Write(batch, true).ok());
    if (random.OneIn(60)) store_->Reopen();
    const std::string from = key();
    const std::string to = key();
    const bool reverse = random.OneIn(2);
    std::vector<Entry> expected;
    for (const auto& entry : model) {
      if (entry.first >= from && entry.first < to) expected.emplace_back(entry);
    }
    if (reverse) expected = {expected.rbegin(), expected.rend()};
    ASSERT_EQ(Scan(Space::kProducers, from, to, reverse), expected) << "step " << step;
    const auto found = model.find(from);
    ASSERT_EQ(Get(Space::kProducers, from), found == model.end() ? "-" : found->second);
  }
}

INSTANTIATE_TEST_SUITE_P(Stores, KvTest,
                         testing::Values(std::pair{"Memory", &Make<MemoryStore>}, std::pair{"Rocks", &Make<RocksStore>},
                                         std::pair{"Fault", &Make<FaultStore>}),
                         [](const auto& instance) { return instance.param.first; });

TEST(MemoryKv, IsNotDurableAndClonesApart) {
  MemoryKv kv;
  EXPECT_FALSE(kv.durable());
  WriteBatch batch;
  batch.Put(Space::kLog, "k", "1");
  ASSERT_TRUE(kv.Write(batch, true).ok());
  const std::unique_ptr<MemoryKv> clone = kv.Clone();
  batch.Put(Space::kLog, "l", "2");
  ASSERT_TRUE(kv.Write(batch, true).ok());
  EXPECT_EQ(kv.size(), 2u);
  EXPECT_EQ(clone->size(), 1u);
}

TEST(FaultKv, LosesWhatWasNotSyncedAndRefusesUntilRecovered) {
  const auto disk = std::make_shared<test::FaultKv::Disk>();
  test::FaultKv kv(disk);
  WriteBatch batch;
  const auto put = [&](const char* key) {
    batch.Clear();
    batch.Put(Space::kLog, key, "v");
  };
  const auto has = [](Kv* store, const char* key) {
    std::string value;
    bool found = false;
    EXPECT_TRUE(store->Get(Space::kLog, key, &value, &found).ok());
    return found;
  };
  put("synced");
  ASSERT_TRUE(kv.Write(batch, true).ok());
  put("not synced");
  ASSERT_TRUE(kv.Write(batch, false).ok());
  EXPECT_TRUE(has(&kv, "not synced"));
  disk->Crash();
  test::FaultKv again(disk);
  EXPECT_TRUE(has(&again, "synced"));
  EXPECT_FALSE(has(&again, "not synced"));

  for (const auto fate : {test::FaultKv::Fate::kLost, test::FaultKv::Fate::kKept}) {
    const bool kept = fate == test::FaultKv::Fate::kKept;
    disk->FailWrite(1, fate);
    put(kept ? "kept" : "lost");
    EXPECT_EQ(again.Write(batch, true).code, Code::kUnavailable);
    EXPECT_EQ(again.Write(batch, true).code, Code::kUnavailable);
    std::string value;
    bool found = false;
    EXPECT_EQ(again.Get(Space::kLog, "synced", &value, &found).code, Code::kUnavailable);
    disk->failing_recovers = 1;
    EXPECT_EQ(again.Recover().code, Code::kUnavailable);
    ASSERT_TRUE(again.Recover().ok());
    EXPECT_EQ(has(&again, kept ? "kept" : "lost"), kept);
  }
}

TEST(CountingKv, CountsEachCall) {
  test::CountingKv kv(std::make_unique<MemoryKv>());
  WriteBatch batch;
  batch.Put(Space::kLog, "a", "1");
  batch.Put(Space::kLog, "b", "2");
  ASSERT_TRUE(kv.Write(batch, true).ok());
  ASSERT_TRUE(kv.Write(batch, false).ok());
  std::string value;
  bool found = false;
  ASSERT_TRUE(kv.Get(Space::kLog, "a", &value, &found).ok());
  ASSERT_TRUE(kv.Scan(Space::kLog, "", "", false, [](auto, auto) { return false; }).ok());
  EXPECT_EQ(kv.counts().writes, 2u);
  EXPECT_EQ(kv.counts().synced_writes, 1u);
  EXPECT_EQ(kv.counts().operations, 4u);
  EXPECT_EQ(kv.counts().gets, 1u);
  EXPECT_EQ(kv.counts().scans, 1u);
  EXPECT_EQ(kv.counts().visited, 1u);
}

}  // namespace
}  // namespace everyonce
