#include "log/generation.h"

#include "core/byte_codec.h"
#include "core/sequencer.h"
#include "log/log_format.h"

namespace everyonce {

std::string MetaNumber(uint64_t number) {
  std::string value;
  ByteWriter(&value).Fixed64(number);
  return value;
}

Status ReadMetaNumber(Kv* kv, std::string_view key, uint64_t* number) {
  std::string value;
  bool found = false;
  *number = 0;
  Status status = kv->Get(Space::kMeta, key, &value, &found);
  if (!status.ok() || !found) return status;
  ByteReader reader(value);
  *number = reader.Fixed64();
  return reader.AtEnd() ? status : Status::Error(Code::kStoreCorrupt, "no number under " + std::string(key));
}

Status BeginGeneration(Kv* kv, int64_t now_ms, uint64_t random) {
  uint64_t generation = 0;
  uint64_t epoch = 0;
  Status status = ReadMetaNumber(kv, key::Generation(), &generation);
  if (status.ok()) status = ReadMetaNumber(kv, key::GenerationEpoch(), &epoch);
  if (!status.ok()) return status;
  WriteBatch batch;
  batch.Put(Space::kMeta, key::Generation(), MetaNumber(generation + 1));
  batch.Put(Space::kMeta, key::GenerationEpoch(), MetaNumber(EpochTable::NewEpoch(epoch, now_ms, random)));
  return kv->Write(batch, true);
}

}  // namespace everyonce
