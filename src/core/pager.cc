#include "core/pager.h"

#include <algorithm>

namespace everyonce {

void PageBudget::Take(size_t bytes) {
  --items_left_;
  bytes_left_ -= std::min(bytes, bytes_left_);
  empty_ = false;
}

}  // namespace everyonce
