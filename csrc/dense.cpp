#include "dense.hpp"

#include <algorithm>

#include "buffers.hpp"
#include "pool.hpp"

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
        p.left = left + row * inner + k, p.left_row = inner, p.left_step = 1;
        p.panel_row = panels.wide(panel), p.panel = panels.at(packed, panel) + k * p.panel_row;
        p.begin = begin ? begin + panel * panels.width : nullptr;
        p.out = out + row * cols + panel * panels.width, p.out_row = cols;
        p.rows = std::min(some_rows, rows - row), p.cols = panels.own(panel);
        p.inner = std::min(inner_block, inner - k), p.resume = k > 0;
        panels.table.product(p);
      }
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
void dense_dw(const real* dy, const real* x, real* dw, int64_t rows, int64_t inputs, int64_t outputs) {
  if (inputs == 0 || outputs == 0) return;
  if (rows == 0) return std::fill(dw, dw + inputs * outputs, real(0)), void();
  const Panels<real> panels(inputs, rows);
  const int64_t count = panels.count(), workers = rows * inputs * outputs < small_work ? 1 : threads();
  const int64_t some = workers == 1 ? outputs : std::max<int64_t>(24, ceil_div(outputs * count, workers * 4));
  const int64_t chunk = std::min<int64_t>(outputs, ceil_div(std::min<int64_t>(some, 192), 24) * 24);
  const int64_t chunks = ceil_div(outputs, chunk);
  parallel(static_cast<int>(chunks * count), [&](int part) {
    const int64_t panel = part / chunks, row = part % chunks * chunk, wide = panels.wide(panel);
    const int64_t own = panels.own(panel);
    Scratch<real> tokens(static_cast<size_t>(std::min(rows, token_block) * wide));
    for (int64_t n = 0; n < rows; n += token_block) {
      Product<real> p{};
      p.inner = std::min(token_block, rows - n);
      for (int64_t k = 0; k < p.inner; ++k) {
        const real* from = x + (n + k) * inputs + panel * panels.width;
        std::copy(from, from + own, tokens.data() + k * wide);
        std::fill(tokens.data() + k * wide + own, tokens.data() + (k + 1) * wide, real(0));
      }
      p.left = dy + n * outputs + row, p.left_row = 1, p.left_step = outputs;
      p.panel = tokens.data(), p.panel_row = wide;
      p.out = dw + row * inputs + panel * panels.width, p.out_row = inputs;
      p.rows = std::min(chunk, outputs - row), p.cols = own, p.add = n > 0;
      panels.table.product(p);
    }
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
  template void dense_dw<real>(const real*, const real*, real*, int64_t, int64_t, int64_t);                  \
  template void column_sums<real>(const real*, real*, int64_t, int64_t);
RECURRA_DENSE(float)
RECURRA_DENSE(double)
#undef RECURRA_DENSE

}  // namespace recurra
