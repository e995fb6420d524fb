#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "log/relay.h"

namespace everyonce {

// Bells as they go through Redis: several in one payload, with who rings and the number of the first. Numbers are dense
// per (who rings, channel), so whoever listens sees what is missing.
struct BellHeader {
  uint64_t origin = 0;
  uint64_t number = 0;
};

void AppendBellHeader(const BellHeader& header, std::string* out);
void AppendBell(const Bell& bell, std::string_view version, std::string* out);

// Reads a payload, trusting nothing: False ends it, with `broken` where the bytes are none of ours.
class BellReader {
 public:
  explicit BellReader(std::string_view payload) : rest_(payload) {}
  bool ReadHeader(BellHeader* header);
  bool Next(Bell* bell);
  bool broken() const { return broken_; }

 private:
  bool Byte(uint8_t* value);
  bool Number(uint64_t* value);
  bool Text(std::string* value);
  bool Texts(std::vector<std::string>* values);

  std::string_view rest_;
  bool broken_ = false;
};

}  // namespace everyonce
