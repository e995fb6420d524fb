#pragma once

#include <cstddef>
#include <cstdint>

namespace everyonce {

// RFC 6455, 5.2: the opcodes of a whole, unfragmented message.
enum class WebSocketOpcode : uint8_t { kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10 };

inline constexpr size_t kMaxWebSocketHeaderBytes = 10;

// Writes the header of one unmasked, final frame (what a server sends) with a payload of `payload_bytes` to `header`,
// which has room for kMaxWebSocketHeaderBytes. Returns its length: 2, 4 or 10. The payload length takes the shortest
// form, as the RFC demands. REQUIRES: payload_bytes ≤ 125 for close, ping and pong (RFC 6455, 5.5).
inline size_t WriteWebSocketHeader(WebSocketOpcode opcode, uint64_t payload_bytes, uint8_t* header) {
  constexpr uint8_t kFinal = 0x80;
  header[0] = kFinal | static_cast<uint8_t>(opcode);
  if (payload_bytes < 126) {
    header[1] = static_cast<uint8_t>(payload_bytes);
    return 2;
  }
  const bool wide = payload_bytes > 0xffff;
  header[1] = wide ? 127 : 126;
  const size_t length_bytes = wide ? 8 : 2;
  for (size_t i = 0; i < length_bytes; ++i) {
    header[2 + i] = static_cast<uint8_t>(payload_bytes >> (8 * (length_bytes - 1 - i)));  // network byte order
  }
  return 2 + length_bytes;
}

}  // namespace everyonce
