#include "../softmax.hpp"
#include "../lanes.hpp"
#include "../logs.hpp"
#include "../math.hpp"

namespace recurra {
namespace RECURRA_ISA {
namespace {

constexpr real infinity = static_cast<real>(__builtin_inff());

RECURRA_INLINE real peak_of(const real* x, int64_t cols) {
  Lanes best = all(-infinity);
  pieces(cols, [&](int64_t at, int n) {
    const Lanes now = piece(x + at, n, -infinity);
    best = each([&](int p) { return max(now.v[p], best.v[p]); });
  });
  return largest(best);
}

// Sum over the row of exp(x - peak); lanes past the end count nothing.
RECURRA_INLINE real sum_of_exp(const real* x, int64_t cols, real peak) {
  Lanes total = all(0);
  const vec top = set1(peak);
  pieces(cols, [&](int64_t at, int n) {
    const Lanes now = piece(x + at, n, -infinity);
    total = each([&](int p) { return add(total.v[p], exp(sub(now.v[p], top))); });
  });
  return sum(total);
}

template <class F> RECURRA_INLINE void map(const real* x, real* y, int64_t cols, const F& f) {
  pieces(cols, [&](int64_t at, int n) {
    const Lanes now = piece(x + at, n, 0);
    put_piece(y + at, each([&](int p) { return f(now.v[p]); }), n);
  });
}

template <class F> RECURRA_INLINE void map2(const real* a, const real* b, real* out, int64_t cols, const F& f) {
  pieces(cols, [&](int64_t at, int n) {
    const Lanes x = piece(a + at, n, 0), y = piece(b + at, n, 0);
    put_piece(out + at, each([&](int p) { return f(x.v[p], y.v[p]); }), n);
  });
}

void softmax_row(const real* x, real* y, int64_t cols) {
  const vec top = set1(peak_of(x, cols));
  Lanes total = all(0);
  pieces(cols, [&](int64_t at, int n) {
    const Lanes now = piece(x + at, n, -infinity);
    const Lanes share = each([&](int p) { return exp(sub(now.v[p], top)); });
    total = each([&](int p) { return add(total.v[p], share.v[p]); });
    put_piece(y + at, share, n);
  });
  const vec whole = set1(sum(total));
  map(y, y, cols, [&](vec share) { return div(share, whole); });
}

void forward(int op, const real* x, real* y, int64_t from, int64_t to, int64_t cols) {
  for (int64_t r = from; r < to; ++r) {
    const real* row = x + r * cols;
    if (op == op_softmax) {
      softmax_row(row, y + r * cols, cols);
      continue;
    }
    const real peak = peak_of(row, cols);
    if (op == op_logsumexp) {
      const real base = peak == infinity || peak == -infinity ? real(0) : peak;
      y[r] = log_of(sum_of_exp(row, cols, base)) + base;
    } else {
      const vec top = set1(peak), rest = set1(log_of(sum_of_exp(row, cols, peak)));
      map(row, y + r * cols, cols, [&](vec a) { return sub(sub(a, top), rest); });
    }
  }
}

RECURRA_INLINE real dot(const real* a, const real* b, int64_t cols) {
  Lanes total = all(0);
  pieces(cols, [&](int64_t at, int n) {
    const Lanes x = piece(a + at, n, 0), y = piece(b + at, n, 0);
    total = each([&](int p) { return fma(x.v[p], y.v[p], total.v[p]); });
  });
  return sum(total);
}

RECURRA_INLINE real row_sum(const real* a, int64_t cols) {
  Lanes total = all(0);
  pieces(cols, [&](int64_t at, int n) {
    const Lanes x = piece(a + at, n, 0);
    total = each([&](int p) { return add(total.v[p], x.v[p]); });
  });
  return sum(total);
}

void backward(int op, const real* held, const real* lse, const real* dy, real* dx, int64_t from, int64_t to,
              int64_t cols) {
  for (int64_t r = from; r < to; ++r) {
    const real *h = held + r * cols, *d = dy + r * cols;
    real* out = dx + r * cols;
    if (op == op_softmax) {
      const vec whole = set1(dot(h, d, cols));
      map2(h, d, out, cols, [&](vec y, vec g) { return mul(y, sub(g, whole)); });
    } else if (op == op_log_softmax) {
      const vec whole = set1(row_sum(d, cols));
      map2(h, d, out, cols, [&](vec y, vec g) { return fnma(exp(y), whole, g); });
    } else {
      const vec base = set1(lse[r]), g = set1(dy[r]);
      map(h, out, cols, [&](vec x) { return mul(g, exp(sub(x, base))); });
    }
  }
}

RECURRA_INLINE real share_of(const CrossEntropy<real>& c, int64_t target) {
  return (real(1) - c.smoothing) * (c.weight ? c.weight[target] : real(1));
}

// sum over classes of w (peak - x), for label smoothing
RECURRA_INLINE real smoothed(const CrossEntropy<real>& c, const real* x, real peak) {
  Lanes total = all(0);
  const vec top = set1(peak);
  pieces(c.classes, [&](int64_t at, int n) {
    const Lanes now = piece(x + at, n, peak);
    const Lanes w = c.weight ? piece(c.weight + at, n, 0) : all(1);
    total = each([&](int p) { return fma(w.v[p], sub(top, now.v[p]), total.v[p]); });
  });
  return sum(total);
}

void cross_entropy(const CrossEntropy<real>& c, real* loss, real* kept, int64_t from, int64_t to) {
  for (int64_t r = from; r < to; ++r) {
    const real* x = c.x + r * c.classes;
    const real peak = peak_of(x, c.classes), rest = log_of(sum_of_exp(x, c.classes, peak));
    kept[2 * r] = peak, kept[2 * r + 1] = rest;
    real total = share_of(c, c.targets[r]) * (rest + (peak - x[c.targets[r]]));
    if (c.smoothing != real(0)) total = total + c.even * (smoothed(c, x, peak) + c.weight_sum * rest);
    loss[r] = total;
  }
}

void cross_entropy_grad(const CrossEntropy<real>& c, const real* kept, const real* dloss, real* dx, int64_t from,
                        int64_t to) {
  for (int64_t r = from; r < to; ++r) {
    const real share = share_of(c, c.targets[r]);
    const vec peak = set1(kept[2 * r]), rest = set1(kept[2 * r + 1]), g = set1(dloss[r]);
    const vec whole = set1(share + c.even * c.weight_sum), even = set1(c.even);
    real* out = dx + r * c.classes;
    pieces(c.classes, [&](int64_t at, int n) {
      const Lanes now = piece(c.x + r * c.classes + at, n, 0);
      const Lanes w = c.weight ? piece(c.weight + at, n, 0) : all(1);
      put_piece(out + at, each([&](int p) {
        const vec chance = exp(sub(sub(now.v[p], peak), rest));
        return mul(g, fnma(even, w.v[p], mul(chance, whole)));
      }), n);
    });
    out[c.targets[r]] = out[c.targets[r]] - dloss[r] * share;
  }
}

}  // namespace

extern const SoftmaxTable<real> softmax_table;
const SoftmaxTable<real> softmax_table = {forward, backward, cross_entropy, cross_entropy_grad};

}  // namespace RECURRA_ISA
}  // namespace recurra
