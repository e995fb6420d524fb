#include "redis/bell_codec.h"

namespace everyonce {
namespace {

constexpr uint8_t kVersion = 1;

// Seven bits a byte, lowest first, the eighth says that more follow.
void AppendNumber(uint64_t value, std::string* out) {
  while (value >= 0x80) {
    out->push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out->push_back(static_cast<char>(value));
}

void AppendText(std::string_view text, std::string* out) {
  AppendNumber(text.size(), out);
  out->append(text);
}

void AppendTexts(const std::vector<std::string>& texts, std::string* out) {
  AppendNumber(texts.size(), out);
  for (const std::string& text : texts) AppendText(text, out);
}

}  // namespace

void AppendBellHeader(const BellHeader& header, std::string* out) {
  out->push_back(static_cast<char>(kVersion));
  AppendNumber(header.origin, out);
  AppendNumber(header.number, out);
}

void AppendBell(const Bell& bell, std::string_view version, std::string* out) {
  out->push_back(static_cast<char>(bell.kind));
  AppendText(bell.conv, out);
  AppendNumber(bell.epoch, out);
  AppendNumber(bell.seq, out);
  AppendText(bell.user, out);
  AppendText(bell.device, out);
  AppendText(bell.packet, out);
  AppendNumber(bell.pe, out);
  AppendNumber(static_cast<uint64_t>(bell.hello_ms), out);
  AppendTexts(bell.added, out);
  AppendTexts(bell.removed, out);
  AppendText(version, out);
}

bool BellReader::Byte(uint8_t* value) {
  if (rest_.empty()) {
    broken_ = true;
    return false;
  }
  *value = static_cast<uint8_t>(rest_.front());
  rest_.remove_prefix(1);
  return true;
}

bool BellReader::Number(uint64_t* value) {
  *value = 0;
  uint8_t byte = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (!Byte(&byte)) return false;
    if (shift == 63 && byte > 1) break;
    *value |= uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) return true;
  }
  broken_ = true;
  return false;
}

bool BellReader::Text(std::string* value) {
  uint64_t size = 0;
  if (!Number(&size)) return false;
  if (size > rest_.size()) {
    broken_ = true;
    return false;
  }
  value->assign(rest_.substr(0, size));
  rest_.remove_prefix(size);
  return true;
}

bool BellReader::Texts(std::vector<std::string>* values) {
  uint64_t count = 0;
  values->clear();
  if (!Number(&count)) return false;
  for (uint64_t i = 0; i < count; ++i) {
    // Each takes a byte at least, so a count that is none ends soon.
    std::string text;
    if (!Text(&text)) return false;
    values->push_back(std::move(text));
  }
  return true;
}

bool BellReader::ReadHeader(BellHeader* header) {
  uint8_t version = 0;
  if (!Byte(&version)) return false;
  if (version != kVersion) broken_ = true;
  return !broken_ && Number(&header->origin) && Number(&header->number);
}

bool BellReader::Next(Bell* bell) {
  if (rest_.empty() || broken_) return false;
  *bell = {};
  uint8_t kind = 0;
  uint64_t hello_ms = 0;
  const bool whole = Byte(&kind) && Text(&bell->conv) && Number(&bell->epoch) && Number(&bell->seq) &&
                     Text(&bell->user) && Text(&bell->device) && Text(&bell->packet) && Number(&bell->pe) &&
                     Number(&hello_ms) && Texts(&bell->added) && Texts(&bell->removed) && Text(&bell->version);
  if (!whole) return false;
  const bool known =
      kind >= static_cast<uint8_t>(Bell::Kind::kMessage) && kind <= static_cast<uint8_t>(Bell::Kind::kDevice);
  if (!known || hello_ms > INT64_MAX) {
    broken_ = true;
    return false;
  }
  bell->kind = static_cast<Bell::Kind>(kind);
  bell->hello_ms = static_cast<int64_t>(hello_ms);
  return true;
}

}  // namespace everyonce
