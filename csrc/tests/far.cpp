// Places past 2^31 numbers, by arithmetic: memory that the system only promises, of which a few pages are touched.
//
// The same few rows are worked on at the beginning and far away; the bits must be the same. An index of 32 bits would
// wrap around, and fall into memory that is not promised or into the rows at the beginning.
#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "../crf.hpp"
#include "../norm.hpp"
#include "../pooling.hpp"
#include "../recur_run.hpp"
#include "../rows.hpp"
#include "../softmax.hpp"
#include "checks.hpp"

namespace {

using namespace recurra;

constexpr int64_t width = 64, rows_near = 5;
constexpr int64_t far_row = (int64_t{1} << 31) / width + 9;  // its numbers lie past 2^31, its bytes past 2^33

// (far_row + rows_near, columns) numbers.
class Promised {
 public:
  explicit Promised(int64_t columns) : columns_(columns), bytes_(static_cast<size_t>((far_row + rows_near) * columns) * sizeof(float)) {
    void* p = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    data_ = p == MAP_FAILED ? nullptr : static_cast<float*>(p);
  }
  ~Promised() {
    if (data_) munmap(data_, bytes_);
  }
  Promised(const Promised&) = delete;
  Promised& operator=(const Promised&) = delete;

  bool there() const { return data_ != nullptr; }
  float* data() { return data_; }
  void fill(unsigned seed, int64_t row) {
    const auto values = numbers<float>(seed, rows_near * columns_);
    std::copy(values.begin(), values.end(), data_ + row * columns_);
  }
  bool same() const {  // near as far, and not all zero
    const size_t bytes = static_cast<size_t>(rows_near * columns_) * sizeof(float);
    bool any = false;
    for (int64_t i = 0; i < rows_near * columns_; ++i) any |= data_[i] != 0;
    return any && std::memcmp(data_, data_ + far_row * columns_, bytes) == 0;
  }

 private:
  int64_t columns_;
  size_t bytes_;
  float* data_;
};

constexpr int64_t places[] = {0, far_row};

void operators(Tally& t, Promised& x, Promised& y, Promised& dx, Promised& kept) {
  const auto gain = numbers<float>(41, width);
  for (int64_t at : places) {
    softmax_table<float>().forward(op_softmax, x.data(), y.data(), at, at + rows_near, width);
    softmax_table<float>().backward(op_softmax, y.data(), nullptr, x.data(), dx.data(), at, at + rows_near, width);
  }
  t.expect(y.same() && dx.same(), "far: softmax");
  for (int64_t at : places) {
    norm_table<float>().forward(x.data(), gain.data(), gain.data(), 1e-5f, y.data(), kept.data(), at, at + rows_near, width);
    norm_table<float>().backward(x.data(), gain.data(), kept.data(), x.data(), dx.data(), at, at + rows_near, width);
  }
  t.expect(y.same() && dx.same(), "far: layer norm");
  std::vector<float> found(static_cast<size_t>(2 * width));
  const int64_t index[2] = {1, far_row + 1};
  gather_rows(x.data(), index, found.data(), 2, width);
  t.expect(std::memcmp(found.data(), x.data() + width, width * sizeof(float)) == 0 &&
               std::memcmp(found.data() + width, found.data(), width * sizeof(float)) == 0,
           "far: rows by index");
}

// Two sequences, at the beginning and far away; the one between them is never walked.
constexpr int64_t offsets[] = {0, rows_near, far_row, far_row + rows_near};

void pooled(Tally& t, Promised& x, Promised& dx) {
  for (int op : {int(op_mean), int(op_max)}) {
    std::vector<float> y(3 * width), kept(3 * width), dy = numbers<float>(42, width);
    dy.resize(3 * width), std::copy_n(dy.begin(), width, dy.begin() + 2 * width);
    const PoolingArgs<float> a{op, x.data(), offsets, nullptr, width, nullptr, nullptr};
    for (int64_t s : {0, 2}) {
      pooling_table<float>().forward(a, y.data(), kept.data(), s, s + 1);
      pooling_table<float>().backward(a, y.data(), kept.data(), dy.data(), dx.data(), nullptr, s, s + 1);
    }
    t.expect(std::memcmp(y.data(), y.data() + 2 * width, width * sizeof(float)) == 0 && dx.same(),
             "far: pooling " + std::to_string(op));
  }
}

void chained(Tally& t, Promised& emissions, Promised& alpha, Promised& beta) {
  const auto transitions = numbers<float>(43, width * width), ends = numbers<float>(44, width);
  auto turned = transitions;
  for (int64_t i = 0; i < width; ++i)
    for (int64_t j = 0; j < width; ++j) turned[size_t(j * width + i)] = transitions[size_t(i * width + j)];
  const Chain<float> c{emissions.data(), offsets, transitions.data(), turned.data(), ends.data(), ends.data(), width};
  float total[3];
  for (int64_t s : {0, 2}) {
    crf_table<float>().forward(c, alpha.data(), total, s, s + 1);
    crf_table<float>().backward(c, beta.data(), s, s + 1);
  }
  t.expect(total[0] == total[2] && alpha.same() && beta.same(), "far: a chain of labels");
}

void recurrent(Tally& t, Cell cell, Promised& x, Promised& y, Promised& dx, Promised& dgates, Promised& gates,
               Promised& cells) {
  const int64_t H = width, rows = gates_of(cell) * H;
  const auto w_ih = numbers<float>(45, rows * width), w_hh = numbers<float>(46, rows * H), b = numbers<float>(47, rows);
  const PackedWeights<float> packed(cell, width, H, w_ih.data(), w_hh.data(), b.data(), b.data(), true, true);
  const bool lstm = cell == Cell::lstm;
  std::vector<float> h(size_t(3 * H)), c(size_t(3 * H)), dh0(size_t(3 * H)), dc0(size_t(3 * H));
  Forward<float> f{};
  f.w = packed.weights(), f.x = x.data(), f.offsets = offsets, f.y = y.data(), f.h = h.data();
  f.c = lstm ? c.data() : nullptr, f.cells = lstm ? cells.data() : nullptr;
  f.gates = gates_of(cell) > 1 ? gates.data() : nullptr, f.linear = cell == Cell::gru ? cells.data() : nullptr;
  Backward<float> d{};
  d.w = packed.weights(), d.offsets = offsets, d.y = y.data(), d.gates = f.gates, d.cells = f.cells, d.linear = f.linear;
  d.dy = x.data(), d.dgates = dgates.data(), d.D = packed.dgates_stride(), d.dx = dx.data(), d.dh0 = dh0.data();
  d.dc0 = lstm ? dc0.data() : nullptr;
  for (int64_t s : {0, 2}) packed.table().forward(f, &s, 1), packed.table().backward(d, &s, 1);
  const auto thrice = [&](const std::vector<float>& v) { return std::equal(v.begin(), v.begin() + H, v.begin() + 2 * H); };
  t.expect(y.same() && thrice(h) && thrice(c), "far: a recurrence, forward");
  t.expect(dx.same() && thrice(dh0) && thrice(dc0), "far: a recurrence, backward");
}

}  // namespace

void far_tests(Tally& t) {
  Promised x(width), y(width), dx(width), cells(width), kept(2), gates(4 * width), dgates(4 * width + 64);
  if (!x.there() || !y.there() || !dx.there() || !cells.there() || !kept.there() || !gates.there() || !dgates.there()) {
    std::printf("far: this system does not promise 100 GB of addresses; NOT checked\n");
    return;
  }
  x.fill(40, 0);
  t.expect(!x.same(), "far: what an index of 32 bits would leave undone is seen");
  x.fill(40, far_row);
  operators(t, x, y, dx, kept);
  pooled(t, x, dx);
  chained(t, x, y, dx);
  for (Cell cell : {Cell::rnn, Cell::lstm, Cell::gru}) recurrent(t, cell, x, y, dx, dgates, gates, cells);
}
