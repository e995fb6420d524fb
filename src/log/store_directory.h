#pragma once

#include <cstdint>
#include <string>

#include "core/status.h"

namespace everyonce {

// A data directory holds:
//   everyonce.store   what this is and in which format, as text; written before anything else and only by renaming
//   everyonce.lock    see store_lock.h
//   rocksdb/          the data
inline constexpr char kStoreFileName[] = "everyonce.store";
inline constexpr char kLockFileName[] = "everyonce.lock";
inline constexpr char kRocksFolderName[] = "rocksdb";

// What everyonce.store says.
struct StoreFile {
  uint32_t format = 0;
  // False until the data was created completely once. After that a missing part is damage, never a reason to begin
  // anew: an empty store would accept and number again what the lost one had acked.
  bool ready = false;
  // This is a copy that `backup` made and nobody has opened yet: its logs may lack what their senders hold acks for.
  // Taken back only when new epochs for all of them are durable.
  bool restored = false;
};

enum class DirectoryState : uint8_t { kMissing, kEmpty, kStore };

// Looks at `dir` and changes nothing. kOk with what is there; kStoreVersion where a newer build wrote it
// (format > `format`), or where it is a folder of something else; kStoreUnwritable where it can't be read or is no
// directory; kStoreCorrupt where everyonce.store can't be understood.
Status InspectDirectory(const std::string& dir, uint32_t format, DirectoryState* state, StoreFile* file);

// Creates `dir`, and its parents where they are missing, durably. kStoreUnwritable otherwise.
Status CreateDirectory(const std::string& dir);

// Replaces everyonce.store atomically and durably. kStoreUnwritable otherwise.
Status WriteStoreFile(const std::string& dir, const StoreFile& file);

// The error for a directory that can't be written: what failed, why, and what to do.
Status StoreUnwritable(const std::string& dir, const std::string& what, int error);

}  // namespace everyonce
