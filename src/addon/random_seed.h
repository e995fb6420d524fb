#pragma once

#include <cstdint>
#include <random>

namespace everyonce {

// 64 bits that nobody can know (semantics g-6: a public seed lets an attacker make every id "maybe").
inline uint64_t RandomSeed() {
  std::random_device source;
  return uint64_t{source()} << 32 | source();
}

}  // namespace everyonce
