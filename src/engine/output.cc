#include "engine/output.h"

#include <unordered_map>
#include <utility>

namespace everyonce {
namespace {

constexpr size_t kFields = 4;

bool HasBytes(OutputKind kind) {
  return kind == OutputKind::kWrite || kind == OutputKind::kAuthenticate || kind == OutputKind::kAnswer ||
         kind == OutputKind::kEvent || kind == OutputKind::kAuthorize || kind == OutputKind::kArchive;
}

// A record's place in its batch.
struct Piece {
  const OutputBatch* batch;
  const uint32_t* record;
  std::string_view bytes() const { return std::string_view(batch->bytes).substr(record[2], record[3]); }
};

}  // namespace

OutputBatch MergeBatches(std::vector<OutputBatch> batches) {
  if (batches.size() == 1) return std::move(batches.front());
  std::vector<Piece> records;
  std::unordered_map<uint32_t, std::vector<Piece>> writes;  // by connection
  size_t total_bytes = 0;
  for (const OutputBatch& batch : batches) {
    total_bytes += batch.bytes.size();
    for (size_t i = 0; i < batch.index.size(); i += kFields) {
      const Piece piece{&batch, &batch.index[i]};
      if (static_cast<OutputKind>(piece.record[0]) == OutputKind::kWrite) {
        std::vector<Piece>& pieces = writes[piece.record[1]];
        pieces.push_back(piece);
        if (pieces.size() > 1) continue;
      }
      records.push_back(piece);
    }
  }
  OutputBatch merged;
  merged.bytes.reserve(total_bytes);
  merged.index.reserve(records.size() * kFields);
  for (const Piece& piece : records) {
    const auto kind = static_cast<OutputKind>(piece.record[0]);
    if (kind == OutputKind::kWrite) {
      const auto offset = static_cast<uint32_t>(merged.bytes.size());
      for (const Piece& part : writes[piece.record[1]]) merged.bytes.append(part.bytes());
      merged.Add(kind, piece.record[1], offset, static_cast<uint32_t>(merged.bytes.size() - offset));
    } else if (HasBytes(kind)) {
      merged.AddBytes(kind, piece.record[1], piece.bytes());
    } else {
      merged.Add(kind, piece.record[1], piece.record[2], piece.record[3]);
    }
  }
  return merged;
}

}  // namespace everyonce
