#include "../pooling.hpp"
#include "../lanes.hpp"
#include "../math.hpp"

namespace recurra {
namespace RECURRA_ISA {
namespace {

RECURRA_INLINE mask beats(vec now, vec best) { return lt(best, now); }

// now where it is larger or NaN, else best
RECURRA_INLINE vec larger(vec now, vec best) { return select(eq(now, now), select(beats(now, best), now, best), now); }

void copy(const real* from, real* to, int64_t n) {
  for (int64_t i = 0; i < n; ++i) to[i] = from[i];
}

// One more token of a mean: its sum.
void more(real* total, const real* token, int64_t features) {
  over(features, [&](int64_t i, int k) { store_n(total + i, add(load_n(total + i, k), load_n(token + i, k)), k); });
}

void divided(const real* total, real by, real* y, int64_t features) {
  const vec d = set1(by);
  over(features, [&](int64_t i, int k) { store_n(y + i, div(load_n(total + i, k), d), k); });
}

void larger_of(real* best, const real* token, int64_t features) {
  over(features, [&](int64_t i, int k) { store_n(best + i, larger(load_n(token + i, k), load_n(best + i, k)), k); });
}

// One more token of an attention: fades what was gathered where the score is the largest so far.
void attend(real* state, real* total, real* peak, const real* token, real score, int64_t features) {
  const bool higher = score > *peak || score != score;
  const real top = higher ? score : *peak;
  const real fade = exp_of(*peak - top), share = exp_of(score - top);
  const vec f = set1(fade), s = set1(share);
  over(features, [&](int64_t i, int k) {
    store_n(state + i, add(mul(load_n(state + i, k), f), mul(s, load_n(token + i, k))), k);
  });
  *peak = top;
  *total = *total * fade + share;
}

// Largest values over tokens [begin, end), after `best` (places -1) where earlier tokens were seen.
void max_of(const PoolingArgs<real>& a, int64_t begin, int64_t end, bool begun, real* best, real* places) {
  over(a.features, [&](int64_t i, int k) {
    vec top = load_n(best + i, k), place = as_real(iset1(begun ? -1 : 0));
    for (int64_t t = begin + (begun ? 0 : 1); t < end; ++t) {
      const vec now = load_n(a.x + t * a.features + i, k), here = as_real(iset1(static_cast<int32_t>(t - begin)));
      const mask won = beats(now, top), number = eq(now, now);
      top = select(number, select(won, now, top), now);
      place = select(number, select(won, here, place), here);
    }
    store_n(best + i, top, k);
    store_n(places + i, place, k);
  });
}

void zeros(real* to, int64_t n) {
  for (int64_t i = 0; i < n; ++i) to[i] = 0;
}

// y holds the first token, or what earlier ones came to; the tokens that follow are added in order.
void one_row(const PoolingArgs<real>& a, int64_t s, real* y, real* kept) {
  const int64_t begin = a.offsets[s], end = a.offsets[s + 1], F = a.features;
  const int64_t size = F + (a.op == op_attention ? 3 : 1);
  const real* earlier = a.initial ? a.initial + s * size : nullptr;
  const bool begun = earlier && earlier[size - 1] > 0;
  real* carried = a.carried ? a.carried + s * size : nullptr;
  const real count = (begun ? earlier[size - 1] : real(0)) + static_cast<real>(end - begin);
  if (count == 0) {
    zeros(y, F);
    if (a.op == op_mean) kept[0] = 1;
    if (a.op == op_max) zeros(kept, F);
    if (a.op == op_attention) kept[0] = 0, kept[1] = 1;
    if (carried) zeros(carried, size);
    return;
  }
  copy(begun ? earlier : a.x + begin * F, y, F);
  const int64_t next = begin + (begun ? 0 : 1);
  if (a.op == op_mean) {
    for (int64_t t = next; t < end; ++t) more(y, a.x + t * F, F);
    kept[0] = count;
  } else if (a.op == op_max) {
    max_of(a, begin, end, begun, y, kept);
  } else {
    real peak = begun ? earlier[F + 1] : a.scores[begin], total = begun ? earlier[F] : real(1);
    for (int64_t t = next; t < end; ++t) attend(y, &total, &peak, a.x + t * F, a.scores[t], F);
    kept[0] = peak, kept[1] = total;
    if (carried) carried[F] = total, carried[F + 1] = peak;
  }
  if (carried) copy(y, carried, F), carried[size - 1] = count;
  if (a.op != op_max) divided(y, a.op == op_mean ? count : kept[1], y, F);
}

void forward(const PoolingArgs<real>& a, real* y, real* kept, int64_t from, int64_t to) {
  const int64_t width = a.op == op_mean ? 1 : a.op == op_max ? a.features : 2;
  for (int64_t s = from; s < to; ++s) one_row(a, s, y + s * a.features, kept + s * width);
}

void mean_back(const PoolingArgs<real>& a, int64_t begin, int64_t end, real count, const real* dy, real* dx) {
  if (begin == end) return;
  divided(dy, count, dx + begin * a.features, a.features);
  for (int64_t t = begin + 1; t < end; ++t) copy(dx + begin * a.features, dx + t * a.features, a.features);
}

void max_back(const PoolingArgs<real>& a, int64_t begin, int64_t end, const real* places, const real* dy, real* dx) {
  for (int64_t t = begin; t < end; ++t) {
    const vec here = as_real(iset1(static_cast<int32_t>(t - begin)));
    over(a.features, [&](int64_t i, int k) {
      const vec off = as_real(isub(as_int(load_n(places + i, k)), as_int(here)));
      const vec zero = set1(real(0));
      // integers that are equal have difference 0; others give, as numbers, anything but a plain 0 or flush to it,
      // so they are compared as integers turned into numbers
      const vec apart = to_real(as_int(off));
      store_n(dx + t * a.features + i, select(eq(apart, zero), load_n(dy + i, k), zero), k);
    });
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

void attention_back(const PoolingArgs<real>& a, int64_t begin, int64_t end, const real* y, const real* kept,
                    const real* dy, real* dx, real* dscores) {
  if (begin == end) return;
  const real base = dot(dy, y, a.features);
  for (int64_t t = begin; t < end; ++t) {
    const real share = exp_of(a.scores[t] - kept[0]) / kept[1];
    const vec s = set1(share);
    over(a.features, [&](int64_t i, int k) { store_n(dx + t * a.features + i, mul(s, load_n(dy + i, k)), k); });
    dscores[t] = share * (dot(dy, a.x + t * a.features, a.features) - base);
  }
}

void backward(const PoolingArgs<real>& a, const real* y, const real* kept, const real* dy, real* dx, real* dscores,
              int64_t from, int64_t to) {
  for (int64_t s = from; s < to; ++s) {
    const int64_t begin = a.offsets[s], end = a.offsets[s + 1], at = s * a.features;
    if (a.op == op_mean) mean_back(a, begin, end, kept[s], dy + at, dx);
    else if (a.op == op_max) max_back(a, begin, end, kept + at, dy + at, dx);
    else attention_back(a, begin, end, y + at, kept + 2 * s, dy + at, dx, dscores);
  }
}

void push(const PoolingPush<real>& p, int64_t row, const real* token, real score) {
  const int64_t size = p.features + (p.op == op_attention ? 3 : 1);
  real *state = p.state + row * size, *count = state + size - 1, *total = state + p.features, *peak = total + 1;
  if (*count == 0) {
    copy(token, state, p.features);
    if (p.op == op_attention) *total = 1, *peak = score;
  } else if (p.op == op_mean) {
    more(state, token, p.features);
  } else if (p.op == op_max) {
    larger_of(state, token, p.features);
  } else {
    attend(state, total, peak, token, score, p.features);
  }
  *count = *count + 1;
}

void result(const PoolingPush<real>& p, int64_t row, real* y) {
  const int64_t size = p.features + (p.op == op_attention ? 3 : 1);
  const real *state = p.state + row * size, count = state[size - 1];
  if (count == 0 || p.op == op_max) copy(state, y, p.features);
  else divided(state, p.op == op_mean ? count : state[p.features], y, p.features);
}

}  // namespace

extern const PoolingTable<real> pooling_table;
const PoolingTable<real> pooling_table = {forward, backward, push, result};

}  // namespace RECURRA_ISA
}  // namespace recurra
