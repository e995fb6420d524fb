#pragma once

#include "core/limits.h"
#include "core/packet.h"
#include "core/packet_decode_fields.h"

namespace everyonce {

// Makes a packet of its members, or says what is wrong with it. `decoded` must be fresh.
void DecodePacket(const PacketFields& fields, const Limits& limits, DecodedPacket* decoded);

}  // namespace everyonce
