#include "core/ws_frame.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

namespace everyonce {
namespace {

std::vector<uint8_t> Header(WebSocketOpcode opcode, uint64_t payload_bytes) {
  std::vector<uint8_t> header(kMaxWebSocketHeaderBytes, 0xee);
  header.resize(WriteWebSocketHeader(opcode, payload_bytes, header.data()));
  return header;
}

using Bytes = std::vector<uint8_t>;

TEST(WebSocketHeader, TakesTheShortestForm) {
  EXPECT_EQ(Header(WebSocketOpcode::kText, 0), (Bytes{0x81, 0}));
  EXPECT_EQ(Header(WebSocketOpcode::kText, 125), (Bytes{0x81, 125}));
  EXPECT_EQ(Header(WebSocketOpcode::kText, 126), (Bytes{0x81, 126, 0, 126}));
  EXPECT_EQ(Header(WebSocketOpcode::kText, 65535), (Bytes{0x81, 126, 0xff, 0xff}));
  EXPECT_EQ(Header(WebSocketOpcode::kText, 65536), (Bytes{0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0}));
  EXPECT_EQ(Header(WebSocketOpcode::kBinary, 0x0102030405060708), (Bytes{0x82, 127, 1, 2, 3, 4, 5, 6, 7, 8}));
}

TEST(WebSocketHeader, NamesItsOpcode) {
  EXPECT_EQ(Header(WebSocketOpcode::kBinary, 1)[0], 0x82);
  EXPECT_EQ(Header(WebSocketOpcode::kClose, 2)[0], 0x88);
  EXPECT_EQ(Header(WebSocketOpcode::kPing, 0)[0], 0x89);
  EXPECT_EQ(Header(WebSocketOpcode::kPong, 0)[0], 0x8a);
}

}  // namespace
}  // namespace everyonce
