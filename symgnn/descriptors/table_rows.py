"""Table rows of eight numbers at once, as registers; see `symgnn.descriptors.lanes`."""

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from symgnn.descriptors.lanes import spread_number
from symgnn.vectors import LANES, check_row, element, octet


def _reader(width: int):
    """An intrinsic that reads table rows of so many numbers, a multiple of four."""

    def generate(context, builder, signature, arguments):
        kinds = signature.args
        table, begin, stride, x, last = arguments
        data = element(context, builder, kinds[0], table, kinds[1], begin)
        stride = context.cast(builder, stride, kinds[2], types.intp)
        knots, rest = _intervals(builder, x, last)
        rows = []
        for lane in range(LANES):
            knot = builder.sext(builder.extract_element(knots, ir.IntType(32)(lane)), stride.type)
            rows.append(builder.gep(data, [builder.mul(knot, stride)]))
        found = [rest]
        for first in range(0, width, 4):
            found += _columns(builder, rows, first)
        return context.make_tuple(builder, signature.return_type, found)

    def read(typing_context, table, begin, stride, x, last):
        """How far numbers lie from the knots below them, and these knots' table rows.

        Args:
            table: (n,), row m begins at begin + stride m.
            begin: in the table.
            stride: in the table.
            x: octet, in units of the knots' distance.
            last: row, for all numbers beyond it; row 0 is for negative ones.

        Returns:
            Octets: x less the knot, then the row's numbers one after the other.
        """
        check_row(table)
        results = types.UniTuple(octet, width + 1)
        return results(table, begin, stride, octet, types.float64), generate

    return intrinsic(read)


def _intervals(builder, x, last):
    """The knot below each number, and how far from it the number lies."""
    zero, last = ir.Constant(octet.llvm, [0.0] * LANES), spread_number(builder, last)
    inside = builder.select(builder.fcmp_ordered("<", x, last), x, last)
    inside = builder.select(builder.fcmp_ordered(">", inside, zero), inside, zero)
    knots = builder.fptosi(inside, ir.VectorType(ir.IntType(32), LANES))
    return knots, builder.fsub(x, builder.sitofp(knots, octet.llvm))


def _columns(builder, rows, first):
    """Four numbers of eight rows as four registers: ever smaller blocks change rows."""
    quad, lane = ir.VectorType(ir.DoubleType(), 4), ir.IntType(32)

    def shuffled(a, b, choice):
        return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(lane, LANES), choice))

    parts = []
    for row in rows:
        pointer = builder.bitcast(builder.gep(row, [lane(first)]), quad.as_pointer())
        parts.append(builder.load(pointer, align=8))
    columns = [shuffled(parts[n], parts[n + 4], list(range(LANES))) for n in range(4)]
    for block in (2, 1):
        low = [k if not k & block else LANES + (k ^ block) for k in range(LANES)]
        high = [k | block if not k & block else LANES + k for k in range(LANES)]
        for a in (a for a in range(4) if not a & block):
            pair = columns[a], columns[a | block]
            columns[a], columns[a | block] = shuffled(*pair, low), shuffled(*pair, high)
    return columns


rows_of_4, rows_of_8, rows_of_12 = (_reader(width) for width in (4, 8, 12))
