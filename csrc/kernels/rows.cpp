#include "../rows.hpp"
#include "../isa.hpp"

namespace recurra {
namespace RECURRA_ISA {
namespace {

void accumulate(real* to, const real* from, int64_t n) {
  int64_t i = 0;
  for (; i + W <= n; i += W) store(to + i, add(load(to + i), load(from + i)));
  if (i < n) {
    const int k = static_cast<int>(n - i);
    store_n(to + i, add(load_n(to + i, k), load_n(from + i, k)), k);
  }
}

}  // namespace

extern const RowsTable<real> rows_table;
const RowsTable<real> rows_table = {accumulate};

}  // namespace RECURRA_ISA
}  // namespace recurra
