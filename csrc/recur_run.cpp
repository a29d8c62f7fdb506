#include "recur_run.hpp"

#include <algorithm>
#include <numeric>

#include "pool.hpp"

namespace recurra {
namespace {

template <class T> int64_t count(T n) { return static_cast<int64_t>(n); }

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Calls f(begin, end) for `parts` even ranges of [0, n).
template <class F> void in_ranges(int64_t n, int64_t parts, const F& f) {
  parts = std::max<int64_t>(1, std::min(parts, n));
  parallel(static_cast<int>(parts), [&](int part) { f(n * part / parts, n * (part + 1) / parts); });
}

}  // namespace

template <class real>
PackedWeights<real>::PackedWeights(Cell cell, int64_t I, int64_t H, const real* w_ih, const real* w_hh,
                                   const real* b_ih, const real* b_hh, bool forward, bool backward,
                                   Precision precision, const Gains<real>& gains)
    : isa_(precision == Precision::bfloat16 ? pairs_isa() : recurra::isa()), small_table_(&small_table<float>()) {
  table_ = &recur_table<real>(isa_);
  Weights<real>& w = weights_;
  const int64_t W = table_->W;
  const bool gated = cell == Cell::lstm || cell == Cell::gru;
  w.cell = cell, w.I = I, w.H = H;
  w.pairs = precision == Precision::bfloat16;
  w.KI = w.pairs ? ceil_div(I, 2) : I, w.KH = w.pairs ? ceil_div(H, 2) : H;
  w.vectors = gated ? gates_of(cell) : 4;
  w.units = gated ? W : 4 * W;
  w.panels = ceil_div(H, w.units);
  small_.precision = precision, small_.cell = cell, small_.I = I, small_.H = H;
  if constexpr (sizeof(real) == sizeof(float))
    if (precision == Precision::int8) {
      pack_small(w_ih, w_hh, b_ih, b_hh);
      return;
    }
  if (gains.x) pack_norm(gains, b_ih, b_hh);
  if (backward) pack_backward(w_ih, w_hh);
  if (!forward) return;
  const int64_t full = w.vectors * W;
  memory_ = Scratch<real>(static_cast<size_t>(w.panels * (full * (w.KI + w.KH + 1) + W)));
  in_ranges(w.panels, threads() * (I * H > 4096 ? 1 : 0), [&](int64_t begin, int64_t end) {
    Weights<real> mine = w;
    table_->pack(mine, w_ih, w_hh, b_ih, b_hh, memory_.data(), begin, end);
  });
  table_->pack(w, w_ih, w_hh, b_ih, b_hh, memory_.data(), 0, 0);  // sets the pointers
}

template <class real> void PackedWeights<real>::pack_backward(const real* w_ih, const real* w_hh) {
  Weights<real>& w = weights_;
  const int64_t width = 4 * table_->W, rows = gates_of(w.cell) * w.KH;
  const int64_t of_inputs = ceil_div(w.I, width), of_units = ceil_div(w.H, width);
  back_ = Scratch<real>(static_cast<size_t>((of_inputs + of_units) * width * rows));
  real* recurrent = back_.data() + of_inputs * width * rows;
  in_ranges(of_inputs + of_units, threads() * (w.I * w.H > 4096 ? 1 : 0), [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p)
      if (p < of_inputs) table_->pack_back(w, w_ih, w.I, back_.data(), p, p + 1);
      else table_->pack_back(w, w_hh, w.H, recurrent, p - of_inputs, p - of_inputs + 1);
  });
  w.input_back = back_.data(), w.recurrent_back = recurrent;
}

template <class real> void PackedWeights<real>::pack_norm(const Gains<real>& gains, const real* b_ih, const real* b_hh) {
  const size_t H = static_cast<size_t>(weights_.H), width = static_cast<size_t>(gates_of(weights_.cell)) * H;
  norm_ = Scratch<real>(3 * width + 2 * H);
  real *x = norm_.data(), *h = x + width, *bias = h + width, *c = bias + width, *bias_c = c + H;
  std::copy_n(gains.x, width, x), std::copy_n(gains.h, width, h);
  for (size_t j = 0; j < width; ++j) {
    const bool apart = weights_.cell == Cell::gru && j >= 2 * H;  // gru's b_hn stands inside the reset
    bias[j] = (b_ih ? b_ih[j] : real(0)) + (b_hh && !apart ? b_hh[j] : real(0));
  }
  if (gains.c) std::copy_n(gains.c, H, c), std::copy_n(gains.bias_c, H, bias_c);
  weights_.norm = {x, h, c, bias_c, bias};
}

template <class real>
void PackedWeights<real>::pack_small(const float* w_ih, const float* w_hh, const float* b_ih, const float* b_hh) {
  small_memory_ = Scratch<char>(static_cast<size_t>(small_table_->pack(small_, w_ih, w_hh, b_ih, b_hh, nullptr)));
  small_table_->pack(small_, w_ih, w_hh, b_ih, b_hh, small_memory_.data());
}

// A cache line more than the gradients: rows a power of two apart would fall into the same cache sets.
template <class real> int64_t PackedWeights<real>::dgates_stride() const {
  return (slopes_of(weights_).size + 31) / 16 * 16;
}

template <class real> size_t PackedWeights<real>::bytes() const {
  return (memory_.size() + back_.size() + norm_.size()) * sizeof(real) + small_memory_.size();
}

template <class real> std::string PackedWeights<real>::how() const {
  const std::string where = std::string("native, ") + name(isa_) + ", ";
  if (precision() == Precision::int8) return where + small_table_->how();
  if (precision() == Precision::bfloat16)
    return where + (isa_ == Isa::avx512 ? "bfloat16 products" : "bfloat16 by float32 products, no faster than float32");
  return where + (sizeof(real) == sizeof(float) ? "float32" : "float64") + (weights_.norm.gain_x ? ", layer-normalised" : "");
}

std::vector<std::vector<int64_t>> deal(const int64_t* offsets, int64_t S, int parts) {
  std::vector<int64_t> order;
  for (int64_t s = 0; s < S; ++s)
    if (offsets[s + 1] > offsets[s]) order.push_back(s);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return offsets[a + 1] - offsets[a] > offsets[b + 1] - offsets[b];
  });
  std::vector<std::vector<int64_t>> lists(static_cast<size_t>(parts));
  std::vector<int64_t> load(static_cast<size_t>(parts), 0);
  for (int64_t s : order) {
    const size_t to = static_cast<size_t>(std::min_element(load.begin(), load.end()) - load.begin());
    lists[to].push_back(s);
    load[to] += offsets[s + 1] - offsets[s];
  }
  lists.erase(std::remove_if(lists.begin(), lists.end(), [](const auto& list) { return list.empty(); }), lists.end());
  return lists;
}

template <class real> void run_project(PackedWeights<real>& w, const real* x, int64_t N, real* out) {
  in_ranges(N, N >= 48 ? threads() : 1,
            [&](int64_t begin, int64_t end) { w.table().project(w.weights(), x, out, begin, end); });
}

namespace {

template <class real> void copy_empty(const Forward<real>& f, int64_t S) {
  const size_t row = static_cast<size_t>(f.w.H);
  const auto copy = [&](real* to, const real* from, int64_t s) {
    if (!to) return;
    if (from) std::copy_n(from + s * f.w.H, row, to + s * f.w.H);
    else std::fill_n(to + s * f.w.H, row, real(0));
  };
  for (int64_t s = 0; s < S; ++s)
    if (f.offsets[s] == f.offsets[s + 1]) copy(f.h, f.h0, s), copy(f.c, f.c0, s);
}

int parts_for(double work, int64_t rows) {  // small work is not worth waking threads
  return work < 2e6 ? 1 : static_cast<int>(std::max<int64_t>(1, std::min<int64_t>(threads(), rows)));
}

// Weights in int8: `n` rows of one thread, longest first, side by side through all their steps.
template <class real> void small_walk(const PackedWeights<real>& w, const Forward<real>& f, const int64_t* rows, int64_t n) {
  if constexpr (sizeof(real) == sizeof(float)) {
    const int64_t H = f.w.H;
    Scratch<float> scratch(static_cast<size_t>(small_scratch(f.w.I, H, n))), states(static_cast<size_t>((n + 1) * H));
    float *zeros = states.data(), *c_first = zeros + H;
    std::fill_n(zeros, H, 0.0f);
    const float *x[small_gang], *h[small_gang];
    float *c[small_gang], *out[small_gang];
    for (int64_t i = 0; i < n; ++i) {
      h[i] = f.h0 ? f.h0 + rows[i] * H : zeros;
      c[i] = c_first + i * H;
      std::copy_n(f.c0 ? f.c0 + rows[i] * H : zeros, H, c[i]);
    }
    const auto length = [&](int64_t i) { return f.offsets[rows[i] + 1] - f.offsets[rows[i]]; };
    int64_t active = n;
    for (int64_t t = 0; t < length(0); ++t) {
      while (length(active - 1) <= t) --active;
      for (int64_t i = 0; i < active; ++i) {
        const int64_t token = f.reverse ? f.offsets[rows[i] + 1] - 1 - t : f.offsets[rows[i]] + t;
        x[i] = f.x + token * f.w.I, out[i] = f.y + token * H;
      }
      w.small_step({{}, active, x, h, c, out, f.clipped, f.clip, scratch.data()});
      std::copy_n(out, active, h);
    }
    for (int64_t i = 0; i < n; ++i) {
      std::copy_n(h[i], H, f.h + rows[i] * H);
      if (f.c) std::copy_n(c[i], H, f.c + rows[i] * H);
    }
  }
}

template <class real> void small_rows(const PackedWeights<real>& w, const Forward<real>& f, const std::vector<int64_t>& rows) {
  for (int64_t begin = 0; begin < count(rows.size()); begin += small_gang)
    small_walk(w, f, rows.data() + begin, std::min<int64_t>(small_gang, count(rows.size()) - begin));
}

}  // namespace

namespace {

// Whether threads should walk the same rows together: where each core's own cache would not hold the weights, and
// the rows are too few for each thread to make much of what it reads.
template <class real> bool as_team(const Forward<real>& f, int64_t rows, double work) {
  constexpr int64_t second_level = int64_t{600} << 10;
  if (is_whole(f.w, f.zones)) return false;  // a row is finished by one thread
  const int64_t few = f.w.cell == Cell::gru ? 16 : 24;  // measured: a gru of 512 units with 16 rows a thread loses 3%
  const int64_t bytes = gates_of(f.w.cell) * f.w.H * f.w.KH * count(sizeof(real)), members = threads();
  return members > 1 && bytes > second_level && f.w.panels >= members && rows < members * few && work > 2e6;
}

template <class real> void forward_together(const PackedWeights<real>& w, const Forward<real>& f, const std::vector<int64_t>& rows) {
  Scratch<real> states(static_cast<size_t>(2 * gang * (f.w.H + w.table().W)));
  std::vector<Share<real>> shares;
  const auto make = [&](int members) {
    for (int64_t i = 0; i < members; ++i)
      shares.push_back({f.w.panels * i / members, f.w.panels * (i + 1) / members, states.data(), nullptr});
  };
  together(threads(), make, [&](int member, Meeting& meeting) {
    Forward<real> mine = f;
    Share<real>& share = shares[static_cast<size_t>(member)];
    share.meeting = &meeting, mine.share = &share;
    w.table().forward(mine, rows.data(), count(rows.size()));
  });
}

}  // namespace

template <class real> void run_forward(PackedWeights<real>& w, const Forward<real>& f, int64_t S) {
  copy_empty(f, S);
  const double N = static_cast<double>(f.offsets[S]);
  const double per_token = static_cast<double>(gates_of(f.w.cell) * f.w.H * (f.w.I + f.w.H));
  const int parts = parts_for(N * per_token, S);
  if (w.precision() != Precision::int8 && as_team(f, S, N * per_token)) {
    const auto all = deal(f.offsets, S, 1);
    if (!all.empty()) forward_together(w, f, all[0]);
    return;
  }
  const auto lists = deal(f.offsets, S, parts);
  if (w.precision() == Precision::int8)
    return parallel(static_cast<int>(lists.size()), [&](int part) { small_rows(w, f, lists[static_cast<size_t>(part)]); });
  Forward<real> resumed = f;
  Scratch<real> chains;
  if (count(lists.size()) < threads() && !f.preprojected && !f.kept && N * per_token > 3e7) {
    // fewer rows than threads: the input part at least is shared by all threads, where that is worth its detour
    chains = Scratch<real>(static_cast<size_t>(f.offsets[S] * gates_of(f.w.cell) * f.w.H));
    run_project(w, f.x, f.offsets[S], chains.data());
    resumed.x = chains.data(), resumed.preprojected = true;
  }
  parallel(static_cast<int>(lists.size()), [&](int part) {
    const auto& rows = lists[static_cast<size_t>(part)];
    w.table().forward(resumed, rows.data(), count(rows.size()));
  });
}

namespace {

// For every token the row of h that its step started from, and the mask that multiplied it.
template <class real> struct Sources {
  Scratch<const real*> h, masks;
  Scratch<real> zeros;

  Sources(const Backward<real>& b, int64_t S, int64_t N)
      : h(static_cast<size_t>(N)), masks(b.mask ? static_cast<size_t>(N) : 0), zeros(static_cast<size_t>(b.w.H)) {
    std::fill_n(zeros.data(), zeros.size(), real(0));
    const int64_t H = b.w.H;
    for (int64_t s = 0; s < S; ++s)
      for (int64_t t = b.offsets[s]; t < b.offsets[s + 1]; ++t) {
        const bool first = b.reverse ? t == b.offsets[s + 1] - 1 : t == b.offsets[s];
        h[static_cast<size_t>(t)] =
            !first ? b.y + (b.reverse ? t + 1 : t - 1) * H : b.h0 ? b.h0 + s * H : zeros.data();
        if (b.mask) masks[static_cast<size_t>(t)] = b.mask + s * H;
      }
  }
};

// One weight gradient: rows [first, first + n) of `out` from the same or other columns of dgates.
template <class real> struct Job {
  OuterSum<real> sum;
  int64_t column, n;
};

template <class real> void run_jobs(const RecurTable<real>& table, const std::vector<Job<real>>& jobs) {
  // Threads own rows of the result: never is a sum divided.
  constexpr int64_t grain = 48;
  struct Piece {
    size_t job;
    int64_t begin, end;
  };
  std::vector<Piece> pieces;
  for (size_t j = 0; j < jobs.size(); ++j) {
    const int64_t n = jobs[j].n, parts = std::max<int64_t>(1, std::min<int64_t>(threads(), ceil_div(n, grain)));
    for (int64_t p = 0; p < parts; ++p) pieces.push_back({j, n * p / parts, n * (p + 1) / parts});
  }
  parallel(static_cast<int>(pieces.size()), [&](int part) {
    const Piece& piece = pieces[static_cast<size_t>(part)];
    table.outer_sum(jobs[piece.job].sum, jobs[piece.job].column, piece.begin, piece.end);
  });
}

// The weight gradients of a plain cell, whose gates' gradients are those of both its products.
template <class real>
void plain_gradients(const RecurTable<real>& table, const Backward<real>& b, const Sources<real>& from, int64_t N,
                     const real* x, const WeightGradients<real>& out) {
  const int64_t H = b.w.H, G = gates_of(b.w.cell);
  const real* const* masks = b.mask ? from.masks.data() : nullptr;
  const auto input = [&](int64_t gate) { return Right<real>{x, nullptr, nullptr, b.w.I, out.w_ih + gate * H * b.w.I}; };
  const auto state = [&](int64_t gate) { return Right<real>{nullptr, from.h.data(), masks, H, out.w_hh + gate * H * H}; };
  const int64_t apart = b.w.pairs ? 2 * b.w.KH : H;  // between the gates' columns of dgates
  std::vector<Job<real>> jobs;
  // `gates` gates from `gate` on, whose gradients lie from column `column` on, into both matrices
  const auto both = [&](int64_t gate, int64_t gates) {
    jobs.push_back({{N, b.dgates, b.D, b.w.pairs, {input(gate), state(gate)}, 2, out.b_ih + gate * H}, gate * apart, gates * H});
  };
  const int64_t alike = b.w.cell == Cell::gru ? 2 : G;
  if (apart == H) both(0, alike);
  else
    for (int64_t gate = 0; gate < alike; ++gate) both(gate, 1);
  if (b.w.cell == Cell::gru) {
    jobs.push_back({{N, b.dgates, b.D, b.w.pairs, {input(2), {}}, 1, out.b_ih + 2 * H}, 3 * apart, H});
    jobs.push_back({{N, b.dgates, b.D, b.w.pairs, {state(2), {}}, 1, out.b_hh + 2 * H}, 2 * apart, H});
  }
  run_jobs<real>(table, jobs);
  std::copy_n(out.b_ih, static_cast<size_t>(alike * H), out.b_hh);
}

// Of a layer-normalised cell: the products' gradients are not those of the gates, which are the biases'.
template <class real>
void normed_gradients(const RecurTable<real>& table, const Backward<real>& b, const Sources<real>& from, int64_t N,
                      const real* x, const WeightGradients<real>& out) {
  const int64_t H = b.w.H, width = gates_of(b.w.cell) * H;
  const Slopes at = slopes_of(b.w);
  const Kept kept = kept_of(b.w);
  const auto job = [&](int64_t column, const Right<real>& right) {
    return Job<real>{{N, b.dgates, b.D, false, {right, {}}, 1, nullptr}, column, width};
  };
  run_jobs<real>(table, {job(at.product_x, {x, nullptr, nullptr, b.w.I, out.w_ih}),
                         job(at.product_h, {nullptr, from.h.data(), b.mask ? from.masks.data() : nullptr, H, out.w_hh})});
  struct Sums {
    ColumnSums<real> of;
    int64_t begin, end;
  };
  std::vector<Sums> sums;
  const auto sum = [&](int64_t column, int64_t n, real* to, Factor<real> first, Factor<real> second = {}) {
    constexpr int64_t grain = 128;  // columns
    for (int64_t j = 0; j < n; j += grain)
      sums.push_back({{N, b.dgates + column, b.D, to, second.out ? 2 : 1, {first, second}}, j, std::min(n, j + grain)});
  };
  const auto by_x = [&](int64_t from) { return Factor<real>{b.kept + kept.unit_x + from, kept.size, out.gain_x + from}; };
  const auto by_h = [&](int64_t from) { return Factor<real>{b.kept + kept.unit_h + from, kept.size, out.gain_h + from}; };
  const bool gru = b.w.cell == Cell::gru;
  const int64_t alike = gru ? 2 * H : width;  // gates whose gradient is that of both parts of their sum
  sum(0, alike, out.b_ih, by_x(0), by_h(0));
  if (gru) sum(3 * H, H, out.b_ih + alike, by_x(alike)), sum(2 * H, H, out.b_hh + alike, by_h(alike));
  if (b.w.cell == Cell::lstm) sum(at.shown, H, out.bias_c, {b.dgates + at.unit_c, b.D, out.gain_c});
  parallel(static_cast<int>(sums.size()), [&](int part) {
    const Sums& each = sums[static_cast<size_t>(part)];
    table.sum_columns(each.of, each.begin, each.end);
  });
  std::copy_n(out.b_ih, static_cast<size_t>(alike), out.b_hh);
}

}  // namespace

template <class real>
void run_backward(PackedWeights<real>& w, const Backward<real>& given, int64_t S, int64_t N, const real* x,
                  const WeightGradients<real>& out) {
  Backward<real> b = given;
  b.w = w.weights();
  const int64_t H = b.w.H;
  for (int64_t s = 0; s < S; ++s) {  // the gradient of a row without tokens passes through
    if (b.offsets[s] != b.offsets[s + 1]) continue;
    for (int64_t j = s * H; j < (s + 1) * H; ++j) {
      b.dh0[j] = b.dh ? b.dh[j] : real(0);
      if (b.dc0) b.dc0[j] = b.dc ? b.dc[j] : real(0);
    }
  }
  const auto lists = deal(b.offsets, S, threads());
  parallel(static_cast<int>(lists.size()), [&](int part) {
    const auto& rows = lists[static_cast<size_t>(part)];
    w.table().backward(b, rows.data(), count(rows.size()));
  });
  if (!out.w_ih) return;
  const Sources<real> from(b, S, N);
  if (b.w.norm.gain_x) normed_gradients(w.table(), b, from, N, x, out);
  else plain_gradients(w.table(), b, from, N, x, out);
}

#define RECURRA_INSTANTIATE(real)                                                                      \
  template class PackedWeights<real>;                                                                  \
  template void run_project<real>(PackedWeights<real>&, const real*, int64_t, real*);                  \
  template void run_forward<real>(PackedWeights<real>&, const Forward<real>&, int64_t);                \
  template void run_backward<real>(PackedWeights<real>&, const Backward<real>&, int64_t, int64_t,      \
                                   const real*, const WeightGradients<real>&);
RECURRA_INSTANTIATE(float)
RECURRA_INSTANTIATE(double)

}  // namespace recurra
