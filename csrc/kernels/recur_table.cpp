#include "recur.hpp"

namespace recurra {
namespace RECURRA_ISA {

extern const RecurTable<real> recur_table;
const RecurTable<real> recur_table = {W, pack, pack_back, project, forward, backward, step, outer_sum, sum_columns};

}  // namespace RECURRA_ISA
}  // namespace recurra
