#include "dense.hpp"

#include <algorithm>

#include "buffers.hpp"
#include "recur.hpp"
#include "split.hpp"

namespace recurra {
namespace {

constexpr int64_t inner_block = 1024;  // a panel of so many inner steps stays in the second-level cache
constexpr int64_t small_work = 1 << 17;  // multiply-adds below which threads cost more than they bring

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Panels of the right side, each inner x width; the last is as narrow as whole vectors allow.
template <class real> struct Panels {
  const DenseTable<real>& table;
  int64_t cols, inner, width;

  Panels(int64_t cols, int64_t inner)
      : table(dense_table<real>()), cols(cols), inner(inner), width(int64_t{table.lanes} * table.vectors) {}
  int64_t count() const { return ceil_div(cols, width); }
  int64_t own(int64_t panel) const { return std::min(width, cols - panel * width); }
  int64_t wide(int64_t panel) const { return ceil_div(own(panel), table.lanes) * table.lanes; }
  size_t size() const { return static_cast<size_t>(ceil_div(cols, table.lanes) * table.lanes * inner); }
  real* at(real* packed, int64_t panel) const { return packed + panel * width * inner; }
};

template <class real>
void multiply(const Panels<real>& panels, real* packed, const real* left, const real* begin, real* out,
              int64_t rows) {
  const int64_t inner = panels.inner, cols = panels.cols, count = panels.count();
  const bool small = rows * cols * inner < small_work;
  const int64_t workers = small ? 1 : threads();
  const int64_t by_rows = workers == 1 ? 1 : std::min(workers * 4, ceil_div(rows, 48));
  const int64_t by_panels = workers == 1 || by_rows >= workers ? 1 : std::min(count, ceil_div(workers * 2, by_rows));
  const int64_t some_rows = ceil_div(ceil_div(rows, by_rows), 24) * 24, some_panels = ceil_div(count, by_panels);
  const int64_t row_parts = ceil_div(rows, some_rows), panel_parts = ceil_div(count, some_panels);
  parallel(static_cast<int>(row_parts * panel_parts), [&](int part) {
    const int64_t row = part / panel_parts * some_rows, from = part % panel_parts * some_panels;
    const int64_t to = std::min(count, from + some_panels);
    for (int64_t panel = from; panel < to; ++panel)
      for (int64_t k = 0; k < inner || k == 0; k += inner_block) {
        Product<real> p{};
        p.x = left + row * inner + k, p.x_row = inner;
        p.panel = panels.at(packed, panel) + k * panels.wide(panel);
        p.begin = begin ? begin + panel * panels.width : nullptr;
        p.out = out + row * cols + panel * panels.width, p.out_row = cols;
        p.rows = std::min(some_rows, rows - row), p.cols = panels.own(panel);
        p.inner = std::min(inner_block, inner - k), p.resume = k > 0;
        panels.table.product(p);
      }
  });
}

template <class real>
void by_rows(const real* x, const real* w, const real* b, real* y, int64_t rows, int64_t inputs, int64_t outputs) {
  split((rows + 15) / 16, 16 * inputs, [&](int64_t from, int64_t to) {
    Product<real> p{};
    p.x = x + from * 16 * inputs, p.x_row = inputs, p.begin = b;
    p.out = y + from * 16 * outputs, p.out_row = outputs;
    p.rows = std::min(rows, to * 16) - from * 16, p.cols = outputs, p.inner = inputs;
    dense_table<real>().few_outputs(p, w);
  });
}

template <class real, class Pack> Scratch<real> pack(const Panels<real>& panels, const Pack& one) {
  Scratch<real> packed(std::max<size_t>(1, panels.size()));
  const int64_t count = panels.count();
  const bool small = panels.cols * panels.inner < small_work;
  const int64_t some = small ? count : 1;
  parallel(static_cast<int>(ceil_div(count, std::max<int64_t>(1, some))), [&](int part) {
    for (int64_t panel = part * some; panel < std::min(count, (part + 1) * some); ++panel)
      one(panel, panels.at(packed.data(), panel));
  });
  return packed;
}

}  // namespace

template <class real>
void dense(const real* x, const real* w, const real* b, real* y, int64_t rows, int64_t inputs, int64_t outputs) {
  if (rows == 0 || outputs == 0) return;
  if (outputs <= dense_table<real>().narrow) return by_rows(x, w, b, y, rows, inputs, outputs);
  const Panels<real> panels(outputs, inputs);
  Scratch<real> packed = pack(panels, [&](int64_t panel, real* to) {
    panels.table.pack_across(w + panel * panels.width * inputs, inputs, panels.own(panel), inputs,
                             panels.wide(panel), to);
  });
  multiply(panels, packed.data(), x, b, y, rows);
}

template <class real>
void dense_dx(const real* dy, const real* w, real* dx, int64_t rows, int64_t inputs, int64_t outputs) {
  if (rows == 0 || inputs == 0) return;
  const Panels<real> panels(inputs, outputs);
  Scratch<real> packed = pack(panels, [&](int64_t panel, real* to) {
    const int64_t own = panels.own(panel), wide = panels.wide(panel);
    for (int64_t k = 0; k < outputs; ++k) {
      const real* from = w + k * inputs + panel * panels.width;
      std::copy(from, from + own, to + k * wide);
      std::fill(to + k * wide + own, to + (k + 1) * wide, real(0));
    }
  });
  multiply(panels, packed.data(), dy, static_cast<const real*>(nullptr), dx, rows);
}

template <class real>
void dense_dw(const real* dy, const real* x, real* dw, real* db, int64_t rows, int64_t inputs, int64_t outputs) {
  OuterSum<real> sum{};
  sum.N = rows, sum.left = dy, sum.left_stride = outputs, sum.bias = db, sum.count = 1;
  sum.right[0].rows = x, sum.right[0].C = inputs, sum.right[0].out = dw;
  const int64_t parts = rows * inputs * outputs < small_work ? 1 : std::min<int64_t>(threads(), outputs);
  parallel(static_cast<int>(std::max<int64_t>(1, parts)), [&](int part) {
    recur_table<real>().outer_sum(sum, 0, outputs * part / std::max<int64_t>(1, parts),
                                  outputs * (part + 1) / std::max<int64_t>(1, parts));
  });
}

template <class real> void column_sums(const real* x, real* sums, int64_t rows, int64_t cols) {
  if (rows == 0) return std::fill(sums, sums + cols, real(0)), void();
  const auto& table = dense_table<real>();
  const int64_t parts = rows * cols < small_work ? 1 : std::min<int64_t>(threads(), ceil_div(cols, table.lanes));
  const int64_t some = ceil_div(ceil_div(cols, std::max<int64_t>(1, parts)), table.lanes) * table.lanes;
  parallel(static_cast<int>(ceil_div(cols, std::max<int64_t>(1, some))), [&](int part) {
    table.column_sums(x, rows, cols, part * some, std::min(cols, (part + 1) * some), sums);
  });
}

#define RECURRA_DENSE(real)                                                                                   \
  template void dense<real>(const real*, const real*, const real*, real*, int64_t, int64_t, int64_t);        \
  template void dense_dx<real>(const real*, const real*, real*, int64_t, int64_t, int64_t);                  \
  template void dense_dw<real>(const real*, const real*, real*, real*, int64_t, int64_t, int64_t);           \
  template void column_sums<real>(const real*, real*, int64_t, int64_t);
RECURRA_DENSE(float)
RECURRA_DENSE(double)
#undef RECURRA_DENSE

}  // namespace recurra
