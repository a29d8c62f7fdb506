#include "../norm.hpp"
#include "../row_norm.hpp"

namespace recurra {
namespace RECURRA_ISA {
namespace {

constexpr int64_t token_block = 256;

void forward(const real* x, const real* gain, const real* bias, real eps, real* y, real* kept, int64_t from,
             int64_t to, int64_t cols) {
  for (int64_t r = from; r < to; ++r) {
    const real* row = x + r * cols;
    const Moments m = moments_of(row, cols, eps);
    kept[2 * r] = m.mean, kept[2 * r + 1] = m.inverse;
    const vec middle = set1(m.mean), factor = set1(m.inverse);
    pieces(cols, [&](int64_t at, int n) {
      const Lanes now = piece(row + at, n, 0), g = piece(gain + at, n, 0), b = piece(bias + at, n, 0);
      const Lanes out = each([&](int p) { return fma(mul(sub(now.v[p], middle), factor), g.v[p], b.v[p]); });
      put_piece(y + r * cols + at, out, n);
    });
  }
}

void backward(const real* x, const real* gain, const real* kept, const real* dy, real* dx, int64_t from, int64_t to,
              int64_t cols) {
  for (int64_t r = from; r < to; ++r) {
    const real *row = x + r * cols, *d = dy + r * cols;
    const vec middle = set1(kept[2 * r]), factor = set1(kept[2 * r + 1]);
    const auto unit = [&](int64_t at, int n) {
      const Lanes now = piece(row + at, n, 0);
      return each([&](int p) { return mul(sub(now.v[p], middle), factor); });
    };
    const auto slope = [&](int64_t at, int n) {
      const Lanes g = piece(gain + at, n, 0), up = piece(d + at, n, 0);
      return each([&](int p) { return mul(g.v[p], up.v[p]); });
    };
    norm_back(cols, kept[2 * r + 1], unit, slope, dx + r * cols);
  }
}

void weights(const real* x, const real* kept, const real* dy, real* dgain, real* dbias, int64_t rows, int64_t cols,
             int64_t from, int64_t to) {
  for (int64_t c = from; c < to; c += W) {
    const int n = static_cast<int>(to - c < W ? to - c : W);
    vec gains = set1(real(0)), biases = set1(real(0));
    for (int64_t block = 0; block < rows; block += token_block) {
      const int64_t end = rows - block < token_block ? rows : block + token_block;
      vec gain = set1(real(0)), bias = set1(real(0));
      for (int64_t r = block; r < end; ++r) {
        const vec up = load_n(dy + r * cols + c, n);
        const vec unit = mul(sub(load_n(x + r * cols + c, n), set1(kept[2 * r])), set1(kept[2 * r + 1]));
        gain = fma(up, unit, gain);
        bias = add(bias, up);
      }
      gains = add(gains, gain), biases = add(biases, bias);
    }
    store_n(dgain + c, gains, n);
    store_n(dbias + c, biases, n);
  }
}

}  // namespace

extern const NormTable<real> norm_table;
const NormTable<real> norm_table = {forward, backward, weights};

}  // namespace RECURRA_ISA
}  // namespace recurra
