#include "core/bloom.h"

#include <gtest/gtest.h>
#include <xxhash.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "support/seed.h"

namespace everyonce::test {
namespace {

// SplitMix64: every number its own hash, and no two the same.
uint64_t HashOf(uint64_t number) {
  number += 0x9e3779b97f4a7c15;
  number = (number ^ number >> 30) * 0xbf58476d1ce4e5b9;
  number = (number ^ number >> 27) * 0x94d049bb133111eb;
  return number ^ number >> 31;
}

std::unique_ptr<BloomFilter> Filter(uint64_t capacity, double error_rate, uint64_t seed = 1) {
  return BloomFilter::Make(capacity, error_rate, BloomFilter::BlocksFor(capacity, error_rate), seed);
}

std::string Serialized(const BloomFilter& filter) {
  std::string bytes(filter.SerializedBytes(), 0);
  filter.SerializeTo(reinterpret_cast<uint8_t*>(bytes.data()));
  return bytes;
}

struct Promise {
  double error_rate;
  double bits_per_key;  // as the Parquet format's table of this filter has them; 0: not in it
  uint64_t questions;
};

// What is promised at capacity is measured: keys that were never added, asked of a filter that is full.
class BloomFilterPromise : public testing::TestWithParam<Promise> {};

TEST_P(BloomFilterPromise, IsKeptWithinATenth) {
  const auto [error_rate, bits_per_key, questions] = GetParam();
  constexpr uint64_t kCapacity = 200000;
  const auto filter = Filter(kCapacity, error_rate);
  for (uint64_t key = 0; key < kCapacity; ++key) filter->Add(HashOf(key));
  for (uint64_t key = 0; key < kCapacity; ++key) ASSERT_TRUE(filter->Has(HashOf(key)));
  uint64_t found = 0;
  for (uint64_t key = 0; key < questions; ++key) found += filter->Has(HashOf(uint64_t{1} << 40 | key));
  const double measured = static_cast<double>(found) / static_cast<double>(questions);
  EXPECT_NEAR(measured / error_rate, 1, 0.1);
  EXPECT_NEAR(filter->EstimatedErrorRate() / error_rate, 1, 0.1);
  const double bits = 8.0 * static_cast<double>(filter->bytes()) / kCapacity;
  if (bits_per_key > 0) {
    EXPECT_NEAR(bits / bits_per_key, 1, 0.05);
  }
}

INSTANTIATE_TEST_SUITE_P(Rates, BloomFilterPromise,
                         testing::Values(Promise{0.1, 6.0, 1'000'000}, Promise{0.03, 0, 1'000'000},
                                         Promise{0.01, 10.5, 2'000'000}, Promise{0.001, 16.9, 8'000'000},
                                         Promise{0.0001, 26.4, 20'000'000}, Promise{0.00001, 41, 100'000'000}));

TEST(BloomFilter, PastCapacityItFindsTooMuchAndSaysSo) {
  const auto filter = Filter(10000, 0.001);
  EXPECT_EQ(filter->EstimatedErrorRate(), 0);
  for (uint64_t key = 0; key < 40000; ++key) filter->Add(HashOf(key));
  EXPECT_GT(filter->items(), 36000u);
  uint64_t found = 0;
  for (uint64_t key = 0; key < 100000; ++key) found += filter->Has(HashOf(uint64_t{1} << 40 | key));
  const double measured = static_cast<double>(found) / 100000;
  EXPECT_GT(measured, 0.05);
  EXPECT_NEAR(filter->EstimatedErrorRate() / measured, 1, 0.1);
}

TEST(BloomFilter, AddTellsWhatIsNew) {
  const auto filter = Filter(100, 0.01);
  EXPECT_TRUE(filter->Add(filter->Hash("a")));
  EXPECT_FALSE(filter->Add(filter->Hash("a")));
  EXPECT_TRUE(filter->Add(filter->Hash("")));
  EXPECT_TRUE(filter->Has(filter->Hash("")));
  EXPECT_EQ(filter->items(), 2u);
  filter->Clear();
  EXPECT_FALSE(filter->Has(filter->Hash("a")));
  EXPECT_EQ(filter->items(), 0u);
}

TEST(BloomFilter, TheSmallestOneWorksAndTooLargeOnesAreRefused) {
  const auto filter = Filter(1, 0.5);
  EXPECT_EQ(filter->bytes(), BloomFilter::kBlockBytes);
  EXPECT_TRUE(filter->Add(7));
  EXPECT_TRUE(filter->Has(7));
  EXPECT_EQ(BloomFilter::BlocksFor(uint64_t{1} << 40, 0.01), 0u);
  EXPECT_EQ(BloomFilter::BlocksFor(1000, 0), 0u);
  EXPECT_EQ(BloomFilter::BlocksFor(1000, std::nan("")), 0u);
}

TEST(BloomFilter, TheSeedDecidesWhatAKeySets) {
  EXPECT_NE(BloomFilter::Hash("key", 1), BloomFilter::Hash("key", 2));
  EXPECT_EQ(Filter(10, 0.1, 5)->Hash("key"), BloomFilter::Hash("key", 5));
}

TEST(BloomFilter, ComesBackAsItWasWritten) {
  const auto filter = Filter(5000, 0.01, 77);
  for (uint64_t key = 0; key < 5000; ++key) filter->Add(filter->Hash(std::to_string(key)));
  std::unique_ptr<BloomFilter> read;
  ASSERT_TRUE(BloomFilter::Parse(Serialized(*filter), &read).ok());
  EXPECT_EQ(read->items(), filter->items());
  EXPECT_EQ(read->capacity(), 5000u);
  EXPECT_EQ(read->error_rate(), 0.01);
  for (uint64_t key = 0; key < 5000; ++key) ASSERT_TRUE(read->Has(read->Hash(std::to_string(key))));
  EXPECT_EQ(Serialized(*read), Serialized(*filter));
}

// Written files are read for ever: another layout is another version.
TEST(BloomFilter, TheFormatIsFixed) {
  const auto filter = BloomFilter::Make(3, 0.25, 1, 0x0102030405060708);
  filter->Add(0x123456789abcdef0);
  const std::string bytes = Serialized(*filter);
  ASSERT_EQ(bytes.size(), 96u);
  EXPECT_EQ(bytes.substr(0, 8), "EObloom1");
  EXPECT_EQ(bytes.substr(8, 8), std::string("\1\0\0\0\0\0\0\0", 8));
  EXPECT_EQ(bytes.substr(16, 8), "\x08\x07\x06\x05\x04\x03\x02\x01");
  EXPECT_EQ(bytes[24], 1);
  EXPECT_EQ(bytes[32], 1);
  EXPECT_EQ(bytes[40], 3);
  for (int word = 0; word < 8; ++word) {
    int bits = 0;
    for (int byte = 0; byte < 4; ++byte) bits += __builtin_popcount(static_cast<uint8_t>(bytes[64 + 4 * word + byte]));
    EXPECT_EQ(bits, 1) << "one bit in each word";
  }
}

TEST(BloomFilter, RefusesWhatIsForeignOrDamagedAtEveryByte) {
  const auto filter = Filter(20, 0.1);
  filter->Add(1);
  const std::string good = Serialized(*filter);
  std::unique_ptr<BloomFilter> read;
  for (size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    ASSERT_EQ(BloomFilter::Parse(bad, &read).code, Code::kBadFilter) << at;
    ASSERT_EQ(BloomFilter::Parse(good.substr(0, at), &read).code, Code::kBadFilter) << at;
  }
  EXPECT_EQ(BloomFilter::Parse(good + "x", &read).code, Code::kBadFilter);
  EXPECT_EQ(read, nullptr);
}

// As somebody would write it who means harm: the checksum holds. (Found by fuzzing: what is reserved was passed over.)
TEST(BloomFilter, RefusesAHeaderThatMakesNoSense) {
  constexpr size_t kSummed = 56;
  const auto filter = Filter(20, 0.1);
  const auto parse_with = [&](size_t at, uint64_t value) {
    std::string bytes = Serialized(*filter);
    std::memcpy(bytes.data() + at, &value, sizeof value);
    const size_t body = BloomFilter::kHeaderBytes;
    const uint64_t sum =
        XXH3_64bits_withSeed(bytes.data() + body, bytes.size() - body, XXH3_64bits(bytes.data(), kSummed));
    std::memcpy(bytes.data() + kSummed, &sum, sizeof sum);
    std::unique_ptr<BloomFilter> read;
    return BloomFilter::Parse(bytes, &read).code;
  };
  EXPECT_EQ(parse_with(16, 5), Code::kOk) << "another seed";
  EXPECT_EQ(parse_with(8, 1 | uint64_t{1} << 32), Code::kBadFilter) << "what is reserved";
  EXPECT_EQ(parse_with(40, 0), Code::kBadFilter) << "no capacity";
  for (const double rate : {0.0, -0.1, 1.0, std::nan("")}) {
    EXPECT_EQ(parse_with(48, std::bit_cast<uint64_t>(rate)), Code::kBadFilter) << rate;
  }
}

}  // namespace
}  // namespace everyonce::test
