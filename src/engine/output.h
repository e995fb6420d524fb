#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace everyonce {

// What the edge is to do, in order. The values are the addon's contract with lib/server/native.js.
enum class OutputKind : uint32_t {
  kWrite = 0,         // a = offset, b = length of complete WebSocket frames for connection `id`
  kClose = 1,         // a = close code
  kAuthenticate = 2,  // a, b = JSON {"token","device"}
  kAnswer = 3,        // a, b = JSON packet; `id` is the request's
  kEvent = 4,         // a, b = JSON {"event", …}
  kDrain = 5,         // the inbox has room again
  kStopped = 6,       // the last record
  kAuthorize = 7,     // a, b = JSON {"action","user","conv","members"?}; `id` is the question's
  kArchive = 8,       // a, b = JSON {"holes":[[conv, epoch, from, to] …]}; `id` is the question's
};

// Everything that one step gives out: one run of bytes and an index of quads [kind, id, a, b], so that the boundary to
// JavaScript is crossed once however many connections are written to.
struct OutputBatch {
  std::string bytes;
  std::vector<uint32_t> index;

  bool empty() const { return index.empty(); }

  void Add(OutputKind kind, uint32_t id, uint32_t a = 0, uint32_t b = 0) {
    index.insert(index.end(), {static_cast<uint32_t>(kind), id, a, b});
  }
  void AddBytes(OutputKind kind, uint32_t id, std::string_view payload) {
    const auto offset = static_cast<uint32_t>(bytes.size());
    bytes.append(payload);
    Add(kind, id, offset, static_cast<uint32_t>(payload.size()));
  }
};

// Several batches, oldest first, as one, in which each connection is written to once: what later batches hold for it
// joins its first record. Nothing else changes its order; a close still follows all that was written before it.
OutputBatch MergeBatches(std::vector<OutputBatch> batches);

}  // namespace everyonce
