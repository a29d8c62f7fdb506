#include "stepper.hpp"

#include <algorithm>
#include <numeric>

#include "ftz.hpp"
#include "pool.hpp"

namespace recurra {

template <class real>
Stepper<real>::Stepper(std::vector<Layer> stack, int64_t rows, bool clipped, real clip, real zoneout)
    : stack_(std::move(stack)), rows_(rows), H_(stack_[0]->weights().H),
      kinds_(stack_[0]->weights().cell == Cell::lstm ? 2 : 1), clipped_(clipped), clip_(clip), zoneout_(zoneout),
      state_(static_cast<size_t>(layers() * kinds_ * rows * H_)), h_(static_cast<size_t>(rows * H_)),
      c_(static_cast<size_t>(rows * H_)), in_(static_cast<size_t>(rows * H_)), out_(static_cast<size_t>(rows * H_)),
      offsets_(static_cast<size_t>(rows) + 1), order_(static_cast<size_t>(rows)) {
  std::iota(offsets_.begin(), offsets_.end(), 0);
  std::iota(order_.begin(), order_.end(), 0);
  reset(nullptr, rows);
  small_ = stack_[0]->precision() == Precision::int8;
  int64_t most = 0;
  for (const Layer& each : stack_) most = std::max({most, small_scratch(each->weights().I, H_, 1), step_scratch(each->weights())});
  scratch_ = Scratch<real>(static_cast<size_t>(most));
}

template <class real> const real* Stepper<real>::step(const real* x, const int64_t* index, int64_t count) {
  if (count == 0) return in_.data();
  if (count == 1) return one(x, index ? index[0] : 0);
  for (int64_t layer = 0; layer < layers(); ++layer) {
    many(layer, layer ? in_.data() : x, index, count, out_.data());
    std::swap(in_, out_);
  }
  return in_.data();
}

template <class real> const real* Stepper<real>::one(const real* x, int64_t row) {
  FlushSubnormals flush;
  for (int64_t layer = 0; layer < layers(); ++layer) {
    advance(layer, layer ? in_.data() : x, row, out_.data());
    std::swap(in_, out_);
  }
  descending_ = !descending_;
  return in_.data();
}

template <class real> void Stepper<real>::advance(int64_t layer, const real* x, int64_t row, real* y) {
  const auto& w = *stack_[static_cast<size_t>(layer)];
  real *h = at(layer, 0, row), *c = kinds_ == 2 ? at(layer, 1, row) : nullptr;
  if constexpr (sizeof(real) == sizeof(float)) {
    if (small_) w.small_step({{}, 1, &x, &h, &c, &y, clipped_, clip_, scratch_.data()});
    else w.table().step({w.weights(), x, h, c, y, clipped_, clip_, descending_, scratch_.data(), zoneout_});
  } else {
    w.table().step({w.weights(), x, h, c, y, clipped_, clip_, descending_, scratch_.data(), zoneout_});
  }
  std::copy_n(y, H_, h);
}

// Rows [begin, end) of one thread, with weights in int8.
template <class real>
void Stepper<real>::some_small(int64_t layer, const real* x, const int64_t* index, int64_t begin, int64_t end, real* y) {
  if constexpr (sizeof(real) == sizeof(float)) {
    const auto& w = *stack_[static_cast<size_t>(layer)];
    const int64_t I = w.weights().I;
    Scratch<float> scratch(static_cast<size_t>(small_scratch(I, H_, small_gang)));
    const float *in[small_gang], *h[small_gang];
    float *c[small_gang], *out[small_gang];
    for (; begin < end; begin += small_gang) {
      const int64_t n = std::min(small_gang, end - begin);
      for (int64_t i = 0; i < n; ++i) {
        const int64_t row = index ? index[begin + i] : begin + i;
        in[i] = x + (begin + i) * I, out[i] = y + (begin + i) * H_;
        h[i] = at(layer, 0, row), c[i] = kinds_ == 2 ? at(layer, 1, row) : nullptr;
      }
      w.small_step({{}, n, in, h, c, out, clipped_, clip_, scratch.data()});
    }
  }
}

// Many streams are as many sequences of one token: the same kernels, the same bits.
template <class real>
void Stepper<real>::many(int64_t layer, const real* x, const int64_t* index, int64_t count, real* y) {
  const auto& w = *stack_[static_cast<size_t>(layer)];
  const auto row = [&](int64_t i) { return index ? index[i] : i; };
  const double work = static_cast<double>(count * gates_of(w.weights().cell) * H_ * (w.weights().I + H_));
  const int64_t parts = work < 2e6 ? 1 : std::min<int64_t>(threads(), count);
  if (small_) {
    parallel(static_cast<int>(parts), [&](int part) {
      some_small(layer, x, index, count * part / parts, count * (part + 1) / parts, y);
    });
    for (int64_t i = 0; i < count; ++i) std::copy_n(y + i * H_, H_, at(layer, 0, row(i)));
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    std::copy_n(at(layer, 0, row(i)), H_, h_.data() + i * H_);
    if (kinds_ == 2) std::copy_n(at(layer, 1, row(i)), H_, c_.data() + i * H_);
  }
  Forward<real> f{};
  f.w = w.weights();
  f.x = x, f.offsets = offsets_.data(), f.h0 = h_.data(), f.c0 = kinds_ == 2 ? c_.data() : nullptr;
  f.clipped = clipped_, f.clip = clip_, f.zones.rate = zoneout_;
  f.y = y, f.h = h_.data(), f.c = kinds_ == 2 ? c_.data() : nullptr;  // a row reads its own before it writes
  parallel(static_cast<int>(parts), [&](int part) {
    const int64_t begin = count * part / parts, end = count * (part + 1) / parts;
    w.table().forward(f, order_.data() + begin, end - begin);
  });
  for (int64_t i = 0; i < count; ++i) {
    std::copy_n(h_.data() + i * H_, H_, at(layer, 0, row(i)));
    if (kinds_ == 2) std::copy_n(c_.data() + i * H_, H_, at(layer, 1, row(i)));
  }
}

template <class real> void Stepper<real>::state(real* out, const int64_t* index, int64_t count) {
  for (int64_t layer = 0; layer < layers(); ++layer)
    for (int64_t kind = 0; kind < kinds_; ++kind)
      for (int64_t i = 0; i < count; ++i, out += H_) std::copy_n(at(layer, kind, index ? index[i] : i), H_, out);
}

template <class real> void Stepper<real>::load(const real* from, const int64_t* index, int64_t count) {
  for (int64_t layer = 0; layer < layers(); ++layer)
    for (int64_t kind = 0; kind < kinds_; ++kind)
      for (int64_t i = 0; i < count; ++i, from += H_) std::copy_n(from, H_, at(layer, kind, index ? index[i] : i));
}

template <class real> void Stepper<real>::reset(const int64_t* index, int64_t count) {
  for (int64_t layer = 0; layer < layers(); ++layer)
    for (int64_t kind = 0; kind < kinds_; ++kind)
      for (int64_t i = 0; i < count; ++i) std::fill_n(at(layer, kind, index ? index[i] : i), H_, real(0));
}

template class Stepper<float>;
template class Stepper<double>;

}  // namespace recurra
