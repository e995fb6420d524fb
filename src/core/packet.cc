#include "core/packet.h"

#include <simdjson.h>

#include "core/json_check.h"
#include "core/packet_decode.h"

namespace everyonce {

struct FrameDecoder::Impl {
  PacketFields fields;
};

FrameDecoder::FrameDecoder() : impl_(new Impl) {}

FrameDecoder::~FrameDecoder() { delete impl_; }

Status FrameDecoder::Decode(std::string_view frame, const Limits& limits, std::vector<DecodedPacket>* out) {
  if (!simdjson::validate_utf8(frame.data(), frame.size())) {
    return Status::Error(Code::kBadRequest, "The frame is not UTF-8.");
  }
  const size_t before = out->size();
  JsonReader reader(frame);
  const auto read_packet = [&] {
    if (impl_->fields.Read(&reader)) DecodePacket(impl_->fields, limits, &out->emplace_back());
  };
  bool is_packets = true;
  JsonValue other;
  if (reader.Open('{')) {
    read_packet();
  } else if (reader.Open('[')) {
    size_t errors = 0;
    while (reader.NextItem(']')) {
      if (errors == kBadPacketsToClose) {
        reader.ReadValue(&other);  // still part of the question whether the frame is JSON
        continue;
      }
      const size_t decoded = out->size();
      if (reader.Open('{')) {
        read_packet();
      } else if (reader.ReadValue(&other)) {
        out->emplace_back().error.emplace().status =
            Status::Error(Code::kBadRequest, "A packet must be a JSON object.");
      }
      if (out->size() > decoded && out->back().error) ++errors;
    }
  } else {
    is_packets = false;
    reader.ReadValue(&other);
  }
  if (reader.AtEnd() && is_packets) return Status::Ok();

  out->erase(out->begin() + static_cast<std::ptrdiff_t>(before), out->end());
  if (reader.AtEnd()) return Status::Error(Code::kBadRequest, "A frame must be a JSON object or an array of objects.");
  return Status::Error(Code::kBadRequest, "The frame is not JSON, at byte " + std::to_string(reader.offset()) + ".");
}

}  // namespace everyonce
