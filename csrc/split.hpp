// Dealing rows out to threads: as few parts as the work deserves, each a run of whole rows.
#pragma once

#include <algorithm>
#include <cstdint>

#include "pool.hpp"

namespace recurra {

constexpr int64_t part_work = 1 << 15;  // elements that one part should at least have

inline int64_t part_count(int64_t elements) {
  const int64_t workers = threads();
  return workers == 1 ? 1 : std::max<int64_t>(1, std::min(workers * 4, elements / part_work));
}

// f(from, to) over `count` rows of `width` elements each (its cost), in parts.
template <class F> void split(int64_t count, int64_t width, const F& f) {
  if (count <= 0) return;
  const int64_t parts = std::min(count, part_count(count * std::max<int64_t>(1, width)));
  if (parts <= 1) return parallel(1, [&](int) { f(int64_t{0}, count); });
  parallel(static_cast<int>(parts), [&](int part) { f(count * part / parts, count * (part + 1) / parts); });
}

}  // namespace recurra
