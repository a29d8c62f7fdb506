#include "rows.hpp"

#include <algorithm>
#include <cstring>

#include "buffers.hpp"
#include "split.hpp"

namespace recurra {

template <class real> void gather_rows(const real* x, const int64_t* index, real* y, int64_t count, int64_t features) {
  split(count, features, [&](int64_t from, int64_t to) {
    for (int64_t m = from; m < to; ++m)
      std::memcpy(y + m * features, x + index[m] * features, static_cast<size_t>(features) * sizeof(real));
  });
}

namespace {

// Positions 0 ... count-1 sorted by index, equal ones in order; start (rows+1) says where each row's begin.
void sort_by_index(const int64_t* index, int64_t count, int64_t rows, int64_t* start, int64_t* sorted) {
  std::fill(start, start + rows + 1, int64_t{0});
  for (int64_t m = 0; m < count; ++m) ++start[index[m] + 1];
  for (int64_t r = 0; r < rows; ++r) start[r + 1] += start[r];
  for (int64_t m = 0; m < count; ++m) sorted[start[index[m]]++] = m;
  for (int64_t r = rows; r > 0; --r) start[r] = start[r - 1];
  start[0] = 0;
}

}  // namespace

template <class real>
void scatter_rows(const real* dy, const int64_t* index, real* dx, int64_t count, int64_t rows, int64_t features) {
  Scratch<int64_t> start(static_cast<size_t>(rows + 1)), sorted(static_cast<size_t>(count + 1));
  sort_by_index(index, count, rows, start.data(), sorted.data());
  const auto& table = rows_table<real>();
  const size_t bytes = static_cast<size_t>(features) * sizeof(real);
  const auto one_row = [&](int64_t row) {
    real* to = dx + row * features;
    const int64_t *at = sorted.data() + start[static_cast<size_t>(row)],
                  *end = sorted.data() + start[static_cast<size_t>(row + 1)];
    if (at == end) return void(std::memset(to, 0, bytes));
    std::memcpy(to, dy + *at * features, bytes);
    while (++at != end) table.accumulate(to, dy + *at * features, features);
  };
  const int64_t parts = part_count((rows + count) * features);
  parallel(static_cast<int>(parts), [&](int part) {  // equal numbers of rows to clear and positions to add
    const auto row_of = [&](int64_t p) {
      const int64_t wanted = (rows + count) * p / parts;
      int64_t low = 0, high = rows;
      while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (middle + start[static_cast<size_t>(middle)] < wanted) low = middle + 1;
        else high = middle;
      }
      return low;
    };
    const int64_t last = part + 1 == parts ? rows : row_of(part + 1);
    for (int64_t row = part ? row_of(part) : 0; row < last; ++row) one_row(row);
  });
}

template <class real>
void copy_columns(const real* from, int64_t from_row, real* to, int64_t to_row, int64_t rows, int64_t cols) {
  split(rows, cols, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      std::memcpy(to + r * to_row, from + r * from_row, static_cast<size_t>(cols) * sizeof(real));
  });
}

#define RECURRA_ROWS(real)                                                                            \
  template void gather_rows<real>(const real*, const int64_t*, real*, int64_t, int64_t);             \
  template void scatter_rows<real>(const real*, const int64_t*, real*, int64_t, int64_t, int64_t);   \
  template void copy_columns<real>(const real*, int64_t, real*, int64_t, int64_t, int64_t);
RECURRA_ROWS(float)
RECURRA_ROWS(double)
#undef RECURRA_ROWS

}  // namespace recurra
