#pragma once

#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>

namespace everyonce::test {

// A number that the environment may replace, for repeating a failed run (EVERYONCE_SEED=7 …) or a longer one.
inline uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr || *text == 0 ? otherwise : std::strtoull(text, nullptr, 10);
}

// A seeded source with the few questions that tests ask. The same seed gives the same run on every machine: the
// standard distributions are not used, since they may differ.
class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  // 0 … bound − 1.
  uint64_t Below(uint64_t bound) { return engine_() % bound; }
  // low … high, both possible.
  uint64_t Between(uint64_t low, uint64_t high) { return low + Below(high - low + 1); }
  bool OneIn(uint64_t count) { return Below(count) == 0; }
  template <typename List>
  auto& Pick(List& list) {
    return list[Below(list.size())];
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace everyonce::test
