// libFuzzer target for the packet codec: any bytes as a frame. `npm run fuzz -- packet` builds and runs it.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "core/identifiers.h"
#include "core/json_check.h"
#include "core/packet.h"

namespace everyonce {
namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

void CheckFrame(std::string_view frame) {
  static FrameDecoder decoder;
  std::vector<DecodedPacket> decoded;
  const bool taken = decoder.Decode(frame, Limits(), &decoded).ok();
  const bool is_json = CheckJson(frame, kMaxJsonDepth).ok;
  Require(taken ? is_json : decoded.empty());
  for (const DecodedPacket& each : decoded) {
    const Packet& packet = each.packet;
    Require(packet.rid_json.empty() || CheckJson(packet.rid_json, 0).ok);
    Require(packet.body.empty() || CheckJson(packet.body, kMaxBodyDepth).ok);
    Require(packet.conv.empty() || IsConversation(packet.conv));
    Require(packet.id.empty() || IsMessageId(packet.id));
    Require(packet.positions.size() <= kMaxPositionsPerPacket && packet.members.size() <= kMaxMembersPerPacket);
    Require(!each.error || !each.error->status.message.empty());
  }
}

}  // namespace
}  // namespace everyonce

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  everyonce::CheckFrame({reinterpret_cast<const char*>(data), size});
  return 0;
}
