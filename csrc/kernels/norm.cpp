#include "../norm.hpp"
#include "../lanes.hpp"

namespace recurra {
namespace RECURRA_ISA {
namespace {

constexpr int64_t token_block = 256;

RECURRA_INLINE real root_of(real x) {
  real held[W];
  store(held, sqrt(set1(x)));
  return held[0];
}

void forward(const real* x, const real* gain, const real* bias, real eps, real* y, real* kept, int64_t from,
             int64_t to, int64_t cols) {
  const real size = static_cast<real>(cols);
  for (int64_t r = from; r < to; ++r) {
    const real* row = x + r * cols;
    Lanes total = all(0);
    pieces(cols, [&](int64_t at, int n) {
      const Lanes now = piece(row + at, n, 0);
      total = each([&](int p) { return add(total.v[p], now.v[p]); });
    });
    const real mean = sum(total) / size;
    const vec middle = set1(mean);
    total = all(0);
    pieces(cols, [&](int64_t at, int n) {
      const Lanes now = piece(row + at, n, mean);
      total = each([&](int p) {
        const vec d = sub(now.v[p], middle);
        return fma(d, d, total.v[p]);
      });
    });
    const real inverse = real(1) / root_of(sum(total) / size + eps);
    kept[2 * r] = mean, kept[2 * r + 1] = inverse;
    const vec factor = set1(inverse);
    pieces(cols, [&](int64_t at, int n) {
      const Lanes now = piece(row + at, n, 0), g = piece(gain + at, n, 0), b = piece(bias + at, n, 0);
      const Lanes out = each([&](int p) { return fma(mul(sub(now.v[p], middle), factor), g.v[p], b.v[p]); });
      put_piece(y + r * cols + at, out, n);
    });
  }
}

void backward(const real* x, const real* gain, const real* kept, const real* dy, real* dx, int64_t from, int64_t to,
              int64_t cols) {
  const real size = static_cast<real>(cols);
  for (int64_t r = from; r < to; ++r) {
    const real *row = x + r * cols, *d = dy + r * cols;
    const vec middle = set1(kept[2 * r]), factor = set1(kept[2 * r + 1]);
    Lanes plain = all(0), along = all(0);
    pieces(cols, [&](int64_t at, int n) {
      const Lanes now = piece(row + at, n, 0), g = piece(gain + at, n, 0), up = piece(d + at, n, 0);
      for (int p = 0; p < parts; ++p) {
        const vec slope = mul(g.v[p], up.v[p]), unit = mul(sub(now.v[p], middle), factor);
        plain.v[p] = add(plain.v[p], slope);
        along.v[p] = fma(slope, unit, along.v[p]);
      }
    });
    const vec shift = set1(sum(plain) / size), turn = set1(sum(along) / size);
    pieces(cols, [&](int64_t at, int n) {
      const Lanes now = piece(row + at, n, 0), g = piece(gain + at, n, 0), up = piece(d + at, n, 0);
      put_piece(dx + r * cols + at, each([&](int p) {
        const vec slope = mul(g.v[p], up.v[p]), unit = mul(sub(now.v[p], middle), factor);
        return mul(factor, fnma(unit, turn, sub(slope, shift)));
      }), n);
    });
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
