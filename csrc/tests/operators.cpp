// The operators beside the recurrences: values against plain loops in double, the same bits on every instruction
// set, in memory that ends where the arrays end (so that sanitizers see a step too far).
#include <cmath>
#include <string>
#include <tuple>
#include <vector>

#include "../dense.hpp"
#include "../elementwise.hpp"
#include "../norm.hpp"
#include "../optimizer.hpp"
#include "../pool.hpp"
#include "../pooling.hpp"
#include "../rows.hpp"
#include "../softmax.hpp"
#include "checks.hpp"

namespace {

using namespace recurra;

template <class real> std::vector<real> products(Tally& t, int64_t N, int64_t I, int64_t O) {
  const std::string label = "dense " + std::to_string(N) + "x" + std::to_string(I) + "x" + std::to_string(O) + ": ";
  const auto x = numbers<real>(1, N * I), w = numbers<real>(2, O * I), b = numbers<real>(3, O);
  const auto dy = numbers<real>(4, N * O);
  std::vector<real> y = room<real>(N * O), dx = room<real>(N * I), dw = room<real>(O * I);
  std::vector<real> db = room<real>(O), sums = room<real>(O);
  dense(x.data(), w.data(), b.data(), y.data(), N, I, O);
  dense_dx(dy.data(), w.data(), dx.data(), N, I, O);
  dense_dw(dy.data(), x.data(), dw.data(), db.data(), N, I, O);
  column_sums(dy.data(), sums.data(), N, O);
  std::vector<double> ey(y.size()), edx(dx.size()), edw(dw.size()), edb(db.size());
  for (int64_t n = 0; n < N; ++n)
    for (int64_t o = 0; o < O; ++o) {
      double sum = double(b[size_t(o)]);
      const double g = double(dy[size_t(n * O + o)]);
      for (int64_t i = 0; i < I; ++i) {
        sum += double(x[size_t(n * I + i)]) * double(w[size_t(o * I + i)]);
        edx[size_t(n * I + i)] += g * double(w[size_t(o * I + i)]);
        edw[size_t(o * I + i)] += g * double(x[size_t(n * I + i)]);
      }
      ey[size_t(n * O + o)] = sum, edb[size_t(o)] += g;
    }
  t.expect(near(y, ey), label + "forward");
  t.expect(near(dx, edx), label + "dx");
  t.expect(near(dw, edw), label + "dw");
  t.expect(near(db, edb) && near(sums, edb), label + "db");
  y.insert(y.end(), dx.begin(), dx.end()), y.insert(y.end(), dw.begin(), dw.end());
  y.insert(y.end(), db.begin(), db.end());
  return y;
}

template <class real> std::vector<real> elementwise(Tally& t, int64_t n) {
  const auto& table = elementwise_table<real>();
  const auto x = numbers<real>(5, n), d = numbers<real>(6, n);
  std::vector<real> y = room<real>(n), all;
  std::vector<double> exact = room<double>(n);
  double (*const functions[])(double) = {[](double a) { return 1 / (1 + std::exp(-a)); }, [](double a) { return std::tanh(a); },
                                         [](double a) { return a > 0 ? a : 0; }, [](double a) { return std::exp(a); },
                                         [](double a) { return std::log1p(std::exp(a)); }};
  for (int op = 0; op < 5; ++op) {
    table.unary(op, x.data(), y.data(), n);
    for (size_t i = 0; i < y.size(); ++i) exact[i] = functions[op](double(x[i]));
    t.expect(near(y, exact), "unary " + std::to_string(op) + " of " + std::to_string(n));
    all.insert(all.end(), y.begin(), y.end());
    std::vector<real> dx = room<real>(n);
    table.unary_grad(op, op == op_softplus ? x.data() : y.data(), d.data(), dx.data(), n);
    all.insert(all.end(), dx.begin(), dx.end());
  }
  table.dropout(x.data(), y.data(), 7, n, dropout_keys(9, 0, 0.3), real(1.5));
  all.insert(all.end(), y.begin(), y.end());
  for (int kind = 0; kind < 3; ++kind) {
    table.error(kind, x.data(), d.data(), real(0.4), y.data(), n);
    all.insert(all.end(), y.begin(), y.end());
    table.error_grad(kind, x.data(), d.data(), real(0.4), d.data(), y.data(), n);
    all.insert(all.end(), y.begin(), y.end());
  }
  table.bce(x.data(), d.data(), d.data(), y.data(), n);
  all.insert(all.end(), y.begin(), y.end());
  auto p = x, m = d, v = std::vector<real>(size_t(n), real(1));
  AdamArgs<real> a{p.data(), m.data(), v.data(), d.data(), real(0.5), real(0.1), false, real(0.9), real(0.99), real(1e-8),
                   real(0.01), real(1)};
  optimizer_table<real>().adam(a, 0, n);
  all.insert(all.end(), p.begin(), p.end());
  const double squares = sum_of_squares(x.data(), n);
  double plain = 0;
  for (real each : x) plain += double(each) * double(each);
  t.expect(std::fabs(squares - plain) <= 1e-5 * (1 + plain), "sum of squares of " + std::to_string(n));
  all.push_back(static_cast<real>(squares));
  return all;
}

template <class real> std::vector<real> rows(Tally& t, int64_t N, int64_t C) {
  const std::string label = " of " + std::to_string(N) + "x" + std::to_string(C);
  const auto x = numbers<real>(7, N * C), dy = numbers<real>(8, N * C), gain = numbers<real>(9, C);
  std::vector<real> y(x.size()), all, kept = room<real>(2 * N), dx(x.size());
  std::vector<real> dgain = room<real>(C), dbias = room<real>(C), loss = room<real>(N);
  std::vector<double> exact(x.size());
  const auto& soft = softmax_table<real>();
  soft.forward(op_softmax, x.data(), y.data(), 0, N, C);
  for (int64_t n = 0; n < N; ++n) {
    double sum = 0;
    for (int64_t c = 0; c < C; ++c) sum += std::exp(double(x[size_t(n * C + c)]));
    for (int64_t c = 0; c < C; ++c) exact[size_t(n * C + c)] = std::exp(double(x[size_t(n * C + c)])) / sum;
  }
  t.expect(near(y, exact), "softmax" + label);
  all.insert(all.end(), y.begin(), y.end());
  soft.backward(op_softmax, y.data(), nullptr, dy.data(), dx.data(), 0, N, C);
  all.insert(all.end(), dx.begin(), dx.end());
  const std::vector<int64_t> targets(size_t(N), C - 1);
  const CrossEntropy<real> c{x.data(), targets.data(), gain.data(), real(0.1), real(0.1) / static_cast<real>(C), real(1), C};
  soft.cross_entropy(c, loss.data(), kept.data(), 0, N);
  soft.cross_entropy_grad(c, kept.data(), loss.data(), dx.data(), 0, N);
  all.insert(all.end(), loss.begin(), loss.end()), all.insert(all.end(), dx.begin(), dx.end());
  const auto& norm = norm_table<real>();
  norm.forward(x.data(), gain.data(), gain.data(), real(1e-5), y.data(), kept.data(), 0, N, C);
  norm.backward(x.data(), gain.data(), kept.data(), dy.data(), dx.data(), 0, N, C);
  norm.weights(x.data(), kept.data(), dy.data(), dgain.data(), dbias.data(), N, C, 0, C);
  all.insert(all.end(), y.begin(), y.end()), all.insert(all.end(), dx.begin(), dx.end());
  all.insert(all.end(), dgain.begin(), dgain.end()), all.insert(all.end(), dbias.begin(), dbias.end());
  std::vector<int64_t> index(size_t(N), 0);
  for (int64_t n = 0; n < N; ++n) index[size_t(n)] = n * n % N;
  gather_rows(x.data(), index.data(), y.data(), N, C);
  scatter_rows(y.data(), index.data(), dx.data(), N, N, C);
  std::vector<double> added(dx.size(), 0.0);
  for (int64_t n = 0; n < N; ++n)
    for (int64_t k = 0; k < C; ++k) added[size_t(index[size_t(n)] * C + k)] += double(x[size_t(index[size_t(n)] * C + k)]);
  t.expect(near(dx, added), "scatter" + label);
  all.insert(all.end(), dx.begin(), dx.end());
  return all;
}

template <class real> std::vector<real> poolings(Tally& t, int64_t F) {
  const std::vector<int64_t> offsets = {0, 3, 3, 10, 11, 40};
  const int64_t S = 5, N = 40;
  const auto x = numbers<real>(11, N * F), scores = numbers<real>(12, N), dy = numbers<real>(13, S * F);
  std::vector<real> all;
  const auto& table = pooling_table<real>();
  for (int op : {int(op_mean), int(op_max), int(op_attention)}) {
    const int64_t size = state_size(op, F);
    std::vector<real> y = room<real>(S * F), dx(x.size()), kept = room<real>(S * kept_size(op, F));
    std::vector<real> carried = room<real>(S * size);
    std::vector<real> dscores = room<real>(N), state = room<real>(S * size), stepped = room<real>(S * F);
    const PoolingArgs<real> a{op, x.data(), offsets.data(), scores.data(), F, nullptr, carried.data()};
    table.forward(a, y.data(), kept.data(), 0, S);
    table.backward(a, y.data(), kept.data(), dy.data(), dx.data(), dscores.data(), 0, S);
    const PoolingPush<real> push{op, state.data(), F};
    for (int64_t s = 0; s < S; ++s) {
      for (int64_t n = offsets[size_t(s)]; n < offsets[size_t(s) + 1]; ++n) table.push(push, s, x.data() + n * F, scores[size_t(n)]);
      table.result(push, s, stepped.data() + s * F);
    }
    t.expect(stepped == y && state == carried, "pooling " + std::to_string(op) + " stepwise, " + std::to_string(F));
    all.insert(all.end(), y.begin(), y.end()), all.insert(all.end(), dx.begin(), dx.end());
    all.insert(all.end(), dscores.begin(), dscores.end());
  }
  return all;
}

template <class real> std::vector<real> everything(Tally& t) {
  std::vector<real> all;
  const auto add = [&](const std::vector<real>& more) { all.insert(all.end(), more.begin(), more.end()); };
  for (auto [N, I, O] : {std::tuple<int64_t, int64_t, int64_t>{1, 1, 1}, {300, 5, 3}, {7, 33, 70}, {520, 17, 21}, {13, 1100, 5}})
    add(products<real>(t, N, I, O));
  for (int64_t n : {1, 15, 16, 67}) add(elementwise<real>(t, n));
  for (auto [N, C] : {std::pair<int64_t, int64_t>{1, 1}, {9, 2}, {300, 17}, {5, 64}}) add(rows<real>(t, N, C));
  for (int64_t F : {1, 16, 37}) add(poolings<real>(t, F));
  return all;
}

}  // namespace

void operator_tests(Tally& t) {
  const std::string before = name(isa());
  std::vector<float> first;
  for (const char* wanted : {"avx512", "avx2", "portable"}) {
    if (!set_isa(wanted)) continue;
    for (int n : {1, 3}) {
      set_threads(n);
      const auto found = everything<float>(t);
      if (first.empty()) first = found;
      t.expect(found == first, std::string("operators: the same bits, ") + wanted + ", " + std::to_string(n) + " threads");
    }
    everything<double>(t);
  }
  set_isa(before);
}
