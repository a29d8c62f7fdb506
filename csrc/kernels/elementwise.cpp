#include "../elementwise.hpp"
#include "../lanes.hpp"
#include "../logs.hpp"
#include "../math.hpp"

namespace recurra {
namespace RECURRA_ISA {
namespace {

RECURRA_INLINE vec zero() { return set1(real(0)); }
RECURRA_INLINE vec one() { return set1(real(1)); }
RECURRA_INLINE vec minus(vec x) { return sub(zero(), x); }
RECURRA_INLINE vec absolute(vec x) { return max(x, minus(x)); }
RECURRA_INLINE vec softplus(vec x) { return add(max(zero(), x), log1p(exp(minus(absolute(x))))); }

// Calls f(at, n) over n elements, W at a time; every lane is treated alike, whole or tail.
template <class F> RECURRA_INLINE void map1(const real* a, real* out, int64_t n, const F& f) {
  over(n, [&](int64_t i, int k) {
    if (k == W) store(out + i, f(load(a + i)));
    else store_n(out + i, f(load_n(a + i, k)), k);
  });
}

template <class F> RECURRA_INLINE void map2(const real* a, const real* b, real* out, int64_t n, const F& f) {
  over(n, [&](int64_t i, int k) {
    if (k == W) store(out + i, f(load(a + i), load(b + i)));
    else store_n(out + i, f(load_n(a + i, k), load_n(b + i, k)), k);
  });
}

void unary(int op, const real* x, real* y, int64_t n) {
  switch (op) {
    case op_sigmoid: return map1(x, y, n, [](vec a) { return sigmoid(a); });
    case op_tanh: return map1(x, y, n, [](vec a) { return tanh(a); });
    case op_relu: return map1(x, y, n, [](vec a) { return max(zero(), a); });
    case op_exp: return map1(x, y, n, [](vec a) { return exp(a); });
    default: return map1(x, y, n, [](vec a) { return softplus(a); });
  }
}

void unary_grad(int op, const real* held, const real* dy, real* dx, int64_t n) {
  switch (op) {
    case op_sigmoid: return map2(held, dy, dx, n, [](vec y, vec d) { return mul(d, mul(y, sub(one(), y))); });
    case op_tanh: return map2(held, dy, dx, n, [](vec y, vec d) { return mul(d, fnma(y, y, one())); });
    case op_relu: return map2(held, dy, dx, n, [](vec y, vec d) { return select(le(y, zero()), zero(), d); });
    case op_exp: return map2(held, dy, dx, n, [](vec y, vec d) { return mul(d, y); });
    default: return map2(held, dy, dx, n, [](vec x, vec d) { return mul(d, sigmoid(x)); });
  }
}

void binary(int op, const real* a, const real* b, real* out, int64_t n) {
  if (op == op_add) map2(a, b, out, n, [](vec x, vec y) { return add(x, y); });
  else map2(a, b, out, n, [](vec x, vec y) { return mul(x, y); });
}

void scale(const real* x, real factor, real* out, int64_t n) {
  const vec f = set1(factor);
  map1(x, out, n, [f](vec a) { return mul(a, f); });
}

void dropout(const real* x, real* out, uint32_t begin, int64_t n, DropoutKeys keys, real factor) {
  for (int64_t i = 0; i < n; ++i) {
    uint32_t h = (begin + static_cast<uint32_t>(i)) * 0x9E3779B1u + keys.first;
    h ^= h >> 16;
    h *= 0x7FEB352Du;
    h ^= h >> 15;
    h ^= keys.second;
    h *= 0x846CA68Bu;
    h ^= h >> 16;
    const real kept = x[i] * factor;
    out[i] = (h >> 8) >= keys.threshold ? kept : real(0);
  }
}

RECURRA_INLINE vec positive(const real* weight, int64_t i, int k, vec target) {  // 1 + (w - 1) y
  return weight ? fma(sub(load_n(weight + i, k), one()), target, one()) : one();
}

void bce(const real* x, const real* target, const real* weight, real* loss, int64_t n) {
  over(n, [&](int64_t i, int k) {
    const vec a = load_n(x + i, k), y = load_n(target + i, k);
    const vec share = mul(positive(weight, i, k, y), softplus(minus(a)));
    store_n(loss + i, fma(sub(one(), y), a, share), k);
  });
}

void bce_grad(const real* x, const real* target, const real* weight, const real* dloss, real* dx, int64_t n) {
  over(n, [&](int64_t i, int k) {
    const vec a = load_n(x + i, k), y = load_n(target + i, k);
    const vec slope = fnma(positive(weight, i, k, y), sigmoid(minus(a)), sub(one(), y));
    store_n(dx + i, mul(load_n(dloss + i, k), slope), k);
  });
}

RECURRA_INLINE vec error_of(int kind, vec gap, vec delta) {
  if (kind == op_squared) return mul(gap, gap);
  const vec size = absolute(gap), half = set1(real(0.5));
  if (kind == op_absolute) return size;
  return select(le(size, delta), mul(mul(half, size), size), mul(delta, fnma(half, delta, size)));
}

RECURRA_INLINE vec slope_of(int kind, vec gap, vec delta) {
  if (kind == op_squared) return add(gap, gap);
  if (kind == op_huber) return max(minus(delta), min(delta, gap));
  return select(lt(zero(), gap), one(), select(lt(gap, zero()), minus(one()), gap));
}

void error(int kind, const real* x, const real* target, real delta, real* loss, int64_t n) {
  map2(x, target, loss, n, [=](vec a, vec b) { return error_of(kind, sub(a, b), set1(delta)); });
}

void error_grad(int kind, const real* x, const real* target, real delta, const real* dloss, real* dx, int64_t n) {
  over(n, [&](int64_t i, int k) {
    const vec gap = sub(load_n(x + i, k), load_n(target + i, k));
    store_n(dx + i, mul(load_n(dloss + i, k), slope_of(kind, gap, set1(delta))), k);
  });
}

}  // namespace

extern const ElementwiseTable<real> elementwise_table;
const ElementwiseTable<real> elementwise_table = {unary, unary_grad, binary, scale,     dropout,
                                                  bce,   bce_grad,   error,  error_grad};

}  // namespace RECURRA_ISA
}  // namespace recurra
