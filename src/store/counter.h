#pragma once

#include <cstdint>
#include <string>

#include "store/store_thread.h"

namespace everyonce {

// A number that only rises, under a key of its own: sequences, segments of ids, fences.
//
// In a store whose tail may be lost (a generation later than the counter's) it first jumps ahead of all that may have
// been given out since: by 2^32, and by 1024 for each millisecond since it was last used. A counter that such a store
// does not know begins at 2^32 for each generation, since it may be one that was begun after the backup.
inline constexpr uint64_t kJump = uint64_t{1} << 32;
inline constexpr uint64_t kJumpPerMs = 1024;

// Takes the next `count` numbers: *first … *first + count − 1. kTooLarge, and nothing taken, where they would pass
// `max`.
Status TakeNumbers(const StoreRoom& room, const std::string& key, uint64_t count, uint64_t max, uint64_t* first);
// The last number taken (or jumped over); 0: none.
Status LastNumber(const StoreRoom& room, const std::string& key, uint64_t* last);

}  // namespace everyonce
