#include "optimizer.hpp"

#include <algorithm>

#include "buffers.hpp"
#include "split.hpp"

namespace recurra {

template <class real> double sum_of_squares(const real* x, int64_t n) {
  const int64_t blocks = (n + norm_block - 1) / norm_block;
  Scratch<double> sums(static_cast<size_t>(std::max<int64_t>(1, blocks)));
  const auto& table = optimizer_table<real>();
  split(blocks, norm_block, [&](int64_t from, int64_t to) {
    for (int64_t b = from; b < to; ++b)
      sums[static_cast<size_t>(b)] = table.squares(x + b * norm_block, std::min(norm_block, n - b * norm_block));
  });
  double total = 0;
  for (int64_t b = 0; b < blocks; ++b) total += sums[static_cast<size_t>(b)];
  return total;
}

template double sum_of_squares<float>(const float*, int64_t);
template double sum_of_squares<double>(const double*, int64_t);

}  // namespace recurra
