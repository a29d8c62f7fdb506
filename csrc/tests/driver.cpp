// The kernel tests that need no Python: for sanitizers and for other processors (AArch64 under qemu-user).
//
// Forward against the equations in double; gradients against central differences; float against double; and the
// promise, bit for bit: alone = in the batch = step by step = any thread count = any instruction set.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "../pool.hpp"
#include "../recur_run.hpp"
#include "../stepper.hpp"
#include "checks.hpp"

namespace {

using namespace recurra;

Tally tally;

void expect(bool good, const std::string& what) { tally.expect(good, what); }

// A cell as it is run: plain, layer-normalised, with zoneout.
struct Kind {
  Cell cell;
  bool normed = false;
  double zoneout = 0;

  bool whole() const { return normed || zoneout != 0; }
  std::string name() const {
    const char* plain = cell == Cell::rnn ? "rnn" : cell == Cell::rnn_relu ? "rnn_relu" : cell == Cell::lstm ? "lstm" : "gru";
    return plain + std::string(normed ? " norm" : "") + (zoneout != 0 ? " zoneout" : "");
  }
};

constexpr Cell cells[] = {Cell::rnn, Cell::rnn_relu, Cell::lstm, Cell::gru};

template <class real> struct Problem {
  Kind kind;
  Cell cell;
  int64_t I, H, S, N;
  std::vector<int64_t> offsets{0};
  std::vector<real> w_ih, w_hh, b_ih, b_hh, gain_x, gain_h, gain_c, bias_c, x, h0, c0, dy, dh, dc;
  std::shared_ptr<PackedWeights<real>> packed;

  Problem(Kind k, int64_t inputs, int64_t hidden, const std::vector<int64_t>& lengths)
      : kind(k), cell(k.cell), I(inputs), H(hidden) {
    for (int64_t n : lengths) offsets.push_back(offsets.back() + n);
    S = static_cast<int64_t>(lengths.size()), N = offsets.back();
    std::mt19937 random(7);
    const int64_t rows = gates_of(cell) * H;
    const auto fill = [&](std::vector<real>& v, int64_t n, double scale) {
      v.resize(static_cast<size_t>(n));
      for (real& each : v) each = static_cast<real>(static_cast<float>((random() / 4294967296.0 - 0.5) * 2 * scale));
    };
    const double bound = 1 / std::sqrt(static_cast<double>(H));
    fill(w_ih, rows * I, bound), fill(w_hh, rows * H, bound), fill(b_ih, rows, bound), fill(b_hh, rows, bound);
    fill(x, N * I, 1.5), fill(h0, S * H, 0.7), fill(c0, S * H, 0.7), fill(dy, N * H, 1), fill(dh, S * H, 1);
    fill(dc, S * H, 1);
    const auto gain = [&](std::vector<real>& v, int64_t n) {
      fill(v, n, 0.3);
      for (real& each : v) each += real(1);
    };
    gain(gain_x, rows), gain(gain_h, rows), gain(gain_c, H), gain(bias_c, H);
    pack();
  }

  void pack(Precision precision = Precision::full) {
    Gains<real> gains{};
    if (kind.normed) gains = {gain_x.data(), gain_h.data(), nullptr, nullptr};
    if (kind.normed && cell == Cell::lstm) gains.c = gain_c.data(), gains.bias_c = bias_c.data();
    packed = std::make_shared<PackedWeights<real>>(cell, I, H, w_ih.data(), w_hh.data(), b_ih.data(), b_hh.data(), true,
                                                   true, precision, gains);
  }
};

template <class real> struct Answer {
  std::vector<real> y, h, c, gates, cells, linear, kept;
  std::vector<real> dx, dw_ih, dw_hh, db_ih, db_hh, dgain_x, dgain_h, dgain_c, dbias_c, dh0, dc0, steps;
};

template <class real> Answer<real> forward(const Problem<real>& p, bool reverse) {
  Answer<real> a;
  const size_t nh = static_cast<size_t>(p.N * p.H), sh = static_cast<size_t>(p.S * p.H);
  a.y.resize(nh), a.h.resize(sh), a.c.resize(sh), a.cells.resize(nh), a.linear.resize(nh);
  a.gates.resize(nh * static_cast<size_t>(gates_of(p.cell)));
  Forward<real> f{};
  const bool lstm = p.cell == Cell::lstm;
  f.w = p.packed->weights(), f.x = p.x.data(), f.offsets = p.offsets.data(), f.h0 = p.h0.data();
  f.c0 = lstm ? p.c0.data() : nullptr, f.reverse = reverse, f.y = a.y.data(), f.h = a.h.data();
  f.c = lstm ? a.c.data() : nullptr, f.cells = lstm ? a.cells.data() : nullptr;
  const bool whole = p.kind.whole();
  f.gates = gates_of(p.cell) > 1 || whole ? a.gates.data() : nullptr;
  f.linear = p.cell == Cell::gru && !whole ? a.linear.data() : nullptr;
  a.kept.resize(whole ? static_cast<size_t>(p.N * kept_of(f.w).size) : 0);
  f.kept = a.kept.empty() ? nullptr : a.kept.data(), f.zones.rate = static_cast<real>(p.kind.zoneout);
  run_forward(*p.packed, f, p.S);
  return a;
}

template <class real> void backward(const Problem<real>& p, bool reverse, Answer<real>& a) {
  const size_t sh = static_cast<size_t>(p.S * p.H);
  const bool lstm = p.cell == Cell::lstm;
  a.dx.resize(p.x.size()), a.dw_ih.resize(p.w_ih.size()), a.dw_hh.resize(p.w_hh.size());
  a.db_ih.resize(p.b_ih.size()), a.db_hh.resize(p.b_hh.size()), a.dh0.resize(sh), a.dc0.resize(sh);
  a.steps.resize(a.y.size()), a.dgain_x.resize(p.gain_x.size()), a.dgain_h.resize(p.gain_h.size());
  a.dgain_c.resize(p.gain_c.size()), a.dbias_c.resize(p.bias_c.size());
  Backward<real> b{};
  b.offsets = p.offsets.data(), b.reverse = reverse, b.h0 = p.h0.data(), b.c0 = lstm ? p.c0.data() : nullptr;
  b.y = a.y.data(), b.gates = a.gates.data(), b.cells = lstm ? a.cells.data() : nullptr, b.linear = a.linear.data();
  b.kept = a.kept.data(), b.zones.rate = static_cast<real>(p.kind.zoneout);
  b.dy = p.dy.data(), b.dh = p.dh.data(), b.dc = lstm ? p.dc.data() : nullptr;
  b.D = p.packed->dgates_stride();
  std::vector<real> dgates(static_cast<size_t>(p.N * b.D));
  b.dgates = dgates.data(), b.dx = a.dx.data(), b.dh0 = a.dh0.data(), b.dc0 = lstm ? a.dc0.data() : nullptr;
  b.steps = a.steps.data();
  run_backward(*p.packed, b, p.S, p.N, p.x.data(),
              {a.dw_ih.data(), a.dw_hh.data(), a.db_ih.data(), a.db_hh.data(),
               a.dgain_x.data(), a.dgain_h.data(), a.dgain_c.data(), a.dbias_c.data()});
}

double sigmoid(double a) { return 1 / (1 + std::exp(-a)); }

template <class real> void normalise(std::vector<double>& v, const std::vector<real>& gain) {
  double mean = 0, variance = 0;
  for (double each : v) mean += each / double(v.size());
  for (double each : v) variance += (each - mean) * (each - mean) / double(v.size());
  for (size_t i = 0; i < v.size(); ++i) v[i] = (v[i] - mean) / std::sqrt(variance + norm_epsilon) * double(gain[i]);
}

// The equations, one row and one unit at a time.
template <class real> std::vector<double> equations(const Problem<real>& p, bool reverse) {
  std::vector<double> y(static_cast<size_t>(p.N * p.H));
  const int64_t H = p.H, G = gates_of(p.cell);
  for (int64_t s = 0; s < p.S; ++s) {
    std::vector<double> h(p.h0.begin() + s * H, p.h0.begin() + (s + 1) * H), c(p.c0.begin() + s * H, p.c0.begin() + (s + 1) * H);
    const int64_t length = p.offsets[size_t(s) + 1] - p.offsets[size_t(s)];
    for (int64_t t = 0; t < length; ++t) {
      const int64_t token = reverse ? p.offsets[size_t(s) + 1] - 1 - t : p.offsets[size_t(s)] + t;
      std::vector<double> a(size_t(G * H)), b(size_t(G * H));
      for (int64_t r = 0; r < G * H; ++r) {
        for (int64_t k = 0; k < p.I; ++k) a[size_t(r)] += double(p.w_ih[size_t(r * p.I + k)]) * p.x[size_t(token * p.I + k)];
        for (int64_t k = 0; k < H; ++k) b[size_t(r)] += double(p.w_hh[size_t(r * H + k)]) * h[size_t(k)];
      }
      if (p.kind.normed) normalise(a, p.gain_x), normalise(b, p.gain_h);
      for (size_t r = 0; r < a.size(); ++r) a[r] += p.b_ih[r], b[r] += p.b_hh[r];
      std::vector<double> fresh(size_t(H), 0), shown(size_t(H), 0);
      const double keep = p.kind.zoneout;
      for (int64_t u = 0; u < H; ++u) {
        const auto sum = [&](int64_t g) { return a[size_t(g * H + u)] + b[size_t(g * H + u)]; };
        double& out = fresh[size_t(u)];
        if (p.cell == Cell::rnn) out = std::tanh(sum(0));
        if (p.cell == Cell::rnn_relu) out = std::max(0.0, sum(0));
        if (p.cell == Cell::lstm) {
          shown[size_t(u)] = sigmoid(sum(1)) * c[size_t(u)] + sigmoid(sum(0)) * std::tanh(sum(2));
          c[size_t(u)] = keep * c[size_t(u)] + (1 - keep) * shown[size_t(u)], out = sigmoid(sum(3));
        }
        if (p.cell == Cell::gru) {
          const double n = std::tanh(a[size_t(2 * H + u)] + sigmoid(sum(0)) * b[size_t(2 * H + u)]), z = sigmoid(sum(1));
          out = (1 - z) * n + z * h[size_t(u)];
        }
      }
      if (p.kind.normed && p.cell == Cell::lstm) {
        normalise(shown, p.gain_c);
        for (size_t u = 0; u < shown.size(); ++u) shown[u] += p.bias_c[u];
      }
      for (size_t u = 0; u < fresh.size(); ++u) {
        if (p.cell == Cell::lstm) fresh[u] *= std::tanh(shown[u]);
        h[u] = keep * h[u] + (1 - keep) * fresh[u], y[size_t(token * H) + u] = h[u];
      }
    }
  }
  return y;
}

template <class A, class B> double distance(const std::vector<A>& a, const std::vector<B>& b) {
  double most = 0, scale = 1e-30;
  for (size_t i = 0; i < a.size(); ++i) {
    most = std::max(most, std::fabs(double(a[i]) - double(b[i])));
    scale = std::max(scale, std::fabs(double(b[i])));
  }
  return a.empty() ? 0 : most / scale;
}

template <class real> bool same(const std::vector<real>& a, const std::vector<real>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(real)) == 0);
}

double loss(const Problem<double>& p, bool reverse) {
  const Answer<double> a = forward(p, reverse);
  double sum = 0;
  for (size_t i = 0; i < a.y.size(); ++i) sum += a.y[i] * p.dy[i];
  for (size_t i = 0; i < a.h.size(); ++i) sum += a.h[i] * p.dh[i] + (p.cell == Cell::lstm ? a.c[i] * p.dc[i] : 0);
  return sum;
}

void check_gradient(Problem<double>& p, bool reverse, std::vector<double>& at, const std::vector<double>& got, const char* what) {
  for (size_t i = 0; i < at.size(); i += std::max<size_t>(1, at.size() / 7)) {
    const double step = 1e-5, kept = at[i];
    at[i] = kept + step, p.pack();
    const double up = loss(p, reverse);
    at[i] = kept - step, p.pack();
    const double down = loss(p, reverse);
    at[i] = kept, p.pack();
    const double want = (up - down) / (2 * step);
    if (std::fabs(got[i] - want) > 1e-6 * (1 + std::fabs(want)))
      return expect(false, p.kind.name() + " gradient of " + what);
  }
  expect(true, what);
}

void gradients(Kind kind) {
  for (bool reverse : {false, true}) {
    Problem<double> p(kind, 5, 9, {4, 0, 7, 1});
    Answer<double> a = forward(p, reverse);
    backward(p, reverse, a);
    check_gradient(p, reverse, p.x, a.dx, "x"), check_gradient(p, reverse, p.w_ih, a.dw_ih, "w_ih");
    check_gradient(p, reverse, p.w_hh, a.dw_hh, "w_hh"), check_gradient(p, reverse, p.b_ih, a.db_ih, "b_ih");
    check_gradient(p, reverse, p.b_hh, a.db_hh, "b_hh"), check_gradient(p, reverse, p.h0, a.dh0, "h0");
    const bool lstm = kind.cell == Cell::lstm;
    if (lstm) check_gradient(p, reverse, p.c0, a.dc0, "c0");
    if (!kind.normed) continue;
    check_gradient(p, reverse, p.gain_x, a.dgain_x, "gain_x"), check_gradient(p, reverse, p.gain_h, a.dgain_h, "gain_h");
    if (lstm) check_gradient(p, reverse, p.gain_c, a.dgain_c, "gain_c"), check_gradient(p, reverse, p.bias_c, a.dbias_c, "bias_c");
  }
}

void values(Kind kind, int64_t I, int64_t H, const std::vector<int64_t>& lengths) {
  const std::string label = kind.name() + " " + std::to_string(I) + "x" + std::to_string(H) + ": ";
  for (bool reverse : {false, true}) {
    Problem<float> p(kind, I, H, lengths);
    Problem<double> d(kind, I, H, lengths);
    Answer<float> a = forward(p, reverse);
    Answer<double> b = forward(d, reverse);
    backward(p, reverse, a), backward(d, reverse, b);
    expect(distance(a.y, equations(p, reverse)) < 1e-5, label + "float forward");
    expect(distance(b.y, equations(d, reverse)) < 1e-12, label + "double forward");
    expect(distance(a.dx, b.dx) < 1e-5 && distance(a.dw_ih, b.dw_ih) < 1e-5 && distance(a.dw_hh, b.dw_hh) < 1e-5 &&
               distance(a.dh0, b.dh0) < 1e-5 && distance(a.steps, b.steps) < 1e-5 && distance(a.dgain_x, b.dgain_x) < 1e-5 &&
               distance(a.dgain_h, b.dgain_h) < 1e-5 && distance(a.dgain_c, b.dgain_c) < 1e-5,
           label + "float gradients");
  }
}

void bits(Kind kind, int64_t I, int64_t H, Precision precision = Precision::full) {
  const std::string label = kind.name() + " " + std::to_string(I) + "x" + std::to_string(H) +
                            (precision == Precision::bfloat16 ? " bfloat16: " : ": ");
  const std::vector<int64_t> lengths = {9, 1, 0, 17, 5, 5, 30, 2, 12, 3, 1, 8, 22, 4, 260};
  Problem<float> p(kind, I, H, lengths);
  p.pack(precision);
  set_threads(1);
  Answer<float> one = forward(p, false);
  backward(p, false, one);
  for (int n : {2, 3}) {
    set_threads(n);
    Answer<float> more = forward(p, false);
    backward(p, false, more);
    expect(same(one.y, more.y) && same(one.dx, more.dx) && same(one.dw_ih, more.dw_ih) && same(one.dw_hh, more.dw_hh) &&
               same(one.db_ih, more.db_ih) && same(one.dh0, more.dh0) && same(one.dgain_x, more.dgain_x) &&
               same(one.dgain_h, more.dgain_h) && same(one.dgain_c, more.dgain_c) && same(one.kept, more.kept),
           label + std::to_string(n) + " threads");
  }
  const float rate = static_cast<float>(kind.zoneout);
  Stepper<float> stepper({p.packed}, 1, false, 0, rate), many({p.packed}, p.S, false, 0, rate);
  const int64_t kinds = stepper.kinds();
  std::vector<float> all(static_cast<size_t>(kinds * p.S * H));
  for (int64_t s = 0; s < p.S; ++s)
    for (int64_t j = 0; j < H; ++j) {
      all[size_t(s * H + j)] = p.h0[size_t(s * H + j)];
      if (kinds == 2) all[size_t((p.S + s) * H + j)] = p.c0[size_t(s * H + j)];
    }
  many.load(all.data(), nullptr, p.S);
  bool alone = true, together = true;
  for (int64_t s = 0; s < p.S; ++s) {
    std::vector<float> state(p.h0.begin() + s * H, p.h0.begin() + (s + 1) * H);
    if (kinds == 2) state.insert(state.end(), p.c0.begin() + s * H, p.c0.begin() + (s + 1) * H);
    stepper.load(state.data(), nullptr, 1);
    for (int64_t t = p.offsets[size_t(s)]; t < p.offsets[size_t(s) + 1]; ++t) {
      const float* y = stepper.step(p.x.data() + t * I, nullptr, 1);
      alone &= std::memcmp(y, one.y.data() + t * H, size_t(H) * sizeof(float)) == 0;
    }
  }
  for (int64_t t = 0; t < 5; ++t) {
    std::vector<int64_t> index;
    std::vector<float> x;
    for (int64_t s = 0; s < p.S; ++s)
      if (p.offsets[size_t(s) + 1] - p.offsets[size_t(s)] > t) {
        index.push_back(s);
        const float* from = p.x.data() + (p.offsets[size_t(s)] + t) * I;
        x.insert(x.end(), from, from + I);
      }
    const float* y = many.step(x.data(), index.data(), static_cast<int64_t>(index.size()));
    for (size_t i = 0; i < index.size(); ++i)
      together &= std::memcmp(y + static_cast<int64_t>(i) * H, one.y.data() + (p.offsets[size_t(index[i])] + t) * H,
                              size_t(H) * sizeof(float)) == 0;
  }
  expect(alone, label + "step by step");
  expect(together, label + "many streams");
  const std::string before = recurra::name(isa());
  for (const char* wanted : {"portable", "avx2"}) {
    if (!set_isa(wanted)) continue;
    p.pack(precision);
    Answer<float> other = forward(p, false);
    backward(p, false, other);
    expect(same(one.y, other.y) && same(one.dw_hh, other.dw_hh) && same(one.dx, other.dx) && same(one.dgain_x, other.dgain_x) &&
               same(one.dgain_h, other.dgain_h) && same(one.dgain_c, other.dgain_c),
           label + wanted);
  }
  set_isa(before);
}

std::vector<float> small_forward(const Problem<float>& p, PackedWeights<float>& packed, int64_t s, int64_t n) {
  std::vector<int64_t> offsets;
  const int64_t begin = p.offsets[size_t(s)];
  for (int64_t i = s; i <= s + n; ++i) offsets.push_back(p.offsets[size_t(i)] - begin);
  std::vector<float> y(size_t(offsets.back() * p.H)), h(size_t(n * p.H)), c(size_t(n * p.H));
  Forward<float> f{};
  f.w = packed.weights(), f.x = p.x.data() + begin * p.I, f.offsets = offsets.data(), f.h0 = p.h0.data() + s * p.H;
  const bool lstm = p.cell == Cell::lstm;
  f.c0 = lstm ? p.c0.data() + s * p.H : nullptr, f.y = y.data(), f.h = h.data(), f.c = lstm ? c.data() : nullptr;
  run_forward(packed, f, n);
  return y;
}

// Weights in fewer bits: near the full ones, and the same bits alone and in a batch of more rows than a gang.
void fewer_bits(Cell cell, int64_t I, int64_t H) {
  const std::string label = Kind{cell}.name() + " " + std::to_string(I) + "x" + std::to_string(H) + ": ";
  std::vector<int64_t> lengths;
  for (int64_t s = 0; s < 83; ++s) lengths.push_back(s * 7 % 9);
  Problem<float> p({cell}, I, H, lengths);
  set_threads(2);
  Answer<float> plain = forward(p, false);
  backward(p, false, plain);
  const std::vector<float> full = plain.y;
  p.pack(Precision::bfloat16);
  Answer<float> narrow = forward(p, false);
  backward(p, false, narrow);
  // element by element, where a relu's gradient jumps and one number alone may be a small difference of large ones:
  // the tests in Python compare by norms
  if (cell != Cell::rnn_relu && H > 1) expect(distance(narrow.dw_hh, plain.dw_hh) < 0.1, label + "bfloat16 gradients are near");
  for (Precision precision : {Precision::bfloat16, Precision::int8}) {
    const std::string what = label + (precision == Precision::int8 ? "int8" : "bfloat16");
    PackedWeights<float> packed(cell, I, H, p.w_ih.data(), p.w_hh.data(), p.b_ih.data(), p.b_hh.data(), true, false,
                                      precision);
    const std::vector<float> whole = small_forward(p, packed, 0, p.S);
    expect(distance(whole, full) < 0.06, what + " is near");
    bool alone = true;
    for (int64_t s = 0; s < p.S; s += 5) {
      const std::vector<float> one = small_forward(p, packed, s, 1);
      alone &= one.empty() || std::memcmp(one.data(), whole.data() + p.offsets[size_t(s)] * H, one.size() * sizeof(float)) == 0;
    }
    expect(alone, what + " alone");
  }
}

// Recurrent weights beyond a core's second-level cache: threads walk the same rows, each with a share of the units.
void teams(Cell cell, Precision precision) {
  const int64_t units = (cell == Cell::lstm ? 205 : cell == Cell::gru ? 232 : 400) + (precision == Precision::bfloat16 ? 96 : 0);
  Problem<float> p({cell}, 20, units, {3, 0, 7, 1, 2, 7, 1});
  p.pack(precision);
  for (bool reverse : {false, true}) {
    set_threads(1);
    const Answer<float> one = forward(p, reverse);
    for (int n : {2, 3, 5}) {
      set_threads(n);
      const Answer<float> more = forward(p, reverse);
      expect(same(one.y, more.y) && same(one.h, more.h) && same(one.c, more.c) && same(one.gates, more.gates),
             p.kind.name() + " by a team of " + std::to_string(n));
    }
  }
}

}  // namespace

int main() {
  pool_tests(tally);
  for (Cell cell : cells) {
    for (const Kind& kind : {Kind{cell}, Kind{cell, true}, Kind{cell, false, 0.2}, Kind{cell, true, 0.2}}) {
      set_threads(2);
      if (cell != Cell::rnn_relu) gradients(kind);  // a kink has no central difference
      if (!kind.normed) values(kind, 1, 1, {3});    // a norm over a single number is zero
      values(kind, 5, 7, {4, 0, 9, 1}), values(kind, 17, 33, {20, 3, 3, 0, 11, 1});
      values(kind, 70, 100, {3, 2}), values(kind, 3, 16, std::vector<int64_t>(45, 4));
      bits(kind, 3, 5), bits(kind, 20, 48), bits(kind, 7, 65);
    }
    bits({cell}, 3, 5, Precision::bfloat16), bits({cell}, 7, 65, Precision::bfloat16);
    teams(cell, Precision::full), teams(cell, Precision::bfloat16);
    fewer_bits(cell, 1, 1), fewer_bits(cell, 7, 20), fewer_bits(cell, 33, 70);
  }
  operator_tests(tally), chain_tests(tally), pair_tests(tally), far_tests(tally);
  std::printf("%d checks, %d failed (%s)\n", tally.checks, tally.failures, name(isa()));
  return tally.failures ? 1 : 0;
}
