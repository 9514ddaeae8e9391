"""What lets numba's compiler use vector instructions on table look-ups and on numbers side by side.

A loop that reads a table at computed places and writes an array is compiled to scalar code, as the
array might overlap the table. `read` and `write` say that they do not: what is written by `write`
is never read by `read` in the same loop. `transpose_rows` turns eight table rows of eight numbers
into eight vectors, which costs less than gathering the numbers one by one. A `Vector` is a value of
a few doubles, for loops over so few numbers that are not turned into vectors by themselves.
All of it is plain LLVM, for any processor; the compiler splits vectors that are too wide for it.
"""

from llvmlite import ir
from numba.core import types
from numba.core.errors import TypingError
from numba.extending import intrinsic, models, register_model

LANES = 8  # doubles in a row and in a vector


class Vector(types.Type):
    """Some doubles in a register."""

    def __init__(self, lanes: int) -> None:
        super().__init__(name=f"vector of {lanes}")
        self.llvm = ir.VectorType(ir.DoubleType(), lanes)


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, kind.llvm)


octet = Vector(LANES)


def element(context, builder, array_type, array, index_type, index):
    """Pointer to an element of a contiguous one-dimensional array."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [context.cast(builder, index, index_type, types.intp)])


def vector_at(context, builder, vector, array_type, array, index_type, index):
    """Pointer to an element of an array and those after it, as a vector."""
    pointer = element(context, builder, array_type, array, index_type, index)
    return builder.bitcast(pointer, vector.llvm.as_pointer())


def check_row(array) -> None:
    """Check that an argument is a contiguous one-dimensional array.

    Raises:
        TypingError: it is not.
    """
    if not (isinstance(array, types.Array) and array.ndim == 1 and array.layout == "C"):
        raise TypingError(f"{array}: must be a contiguous one-dimensional array")


def _scope(module: ir.Module) -> ir.MDValue:
    domain = module.add_metadata(["symgnn arrays"])
    return module.add_metadata([module.add_metadata(["symgnn tables", domain])])


@intrinsic
def read(typing_context, array, index):
    """`array[index]` of an array that no `write` in the same loop changes."""
    check_row(array)

    def generate(context, builder, signature, arguments):
        pointer = element(
            context, builder, signature.args[0], arguments[0], signature.args[1], arguments[1]
        )
        value = builder.load(pointer)
        value.set_metadata("alias.scope", _scope(builder.module))
        return value

    return array.dtype(array, index), generate


@intrinsic
def write(typing_context, array, index, value):
    """`array[index] = value` for an array that no `read` in the same loop sees."""
    check_row(array)

    def generate(context, builder, signature, arguments):
        pointer = element(
            context, builder, signature.args[0], arguments[0], signature.args[1], arguments[1]
        )
        builder.store(arguments[2], pointer).set_metadata("noalias", _scope(builder.module))
        return context.get_dummy_value()

    return types.void(array, index, array.dtype), generate


@intrinsic
def transpose_rows(typing_context, table, places, first, columns, stride):
    """Copy `table[places[first + l] + c]` to `columns[c stride + first + l]`, l and c from 0 to 7.

    Args:
        table: (n,), float64.
        places: (m,), int32.
        first: which of the places is the first of eight.
        columns: (8 stride,), float64.
        stride: of the columns.
    """
    for array in (table, places, columns):
        check_row(array)

    def generate(context, builder, signature, arguments):
        kinds = signature.args
        lane = ir.IntType(32)
        start = context.cast(builder, arguments[2], kinds[2], types.intp)
        stride = context.cast(builder, arguments[4], kinds[4], types.intp)

        def at(number: int) -> ir.Value:
            return builder.add(start, ir.Constant(start.type, number))

        rows = []
        for number in range(LANES):
            pointer = element(context, builder, kinds[1], arguments[1], types.intp, at(number))
            place = builder.sext(builder.load(pointer), start.type)
            row = vector_at(context, builder, octet, kinds[0], arguments[0], types.intp, place)
            rows.append(builder.load(row, align=8))
        # Exchange ever smaller blocks between rows: 4 x 4, 2 x 2, 1 x 1.
        for block in (4, 2, 1):
            swapped = list(rows)
            for a in range(LANES):
                if a & block:
                    continue
                b = a | block
                low = [k if not k & block else LANES + (k ^ block) for k in range(LANES)]
                high = [k | block if not k & block else LANES + k for k in range(LANES)]
                for row, choice in ((a, low), (b, high)):
                    mask = ir.Constant(ir.VectorType(lane, LANES), choice)
                    swapped[row] = builder.shuffle_vector(rows[a], rows[b], mask)
            rows = swapped
        for number, row in enumerate(rows):
            place = builder.add(start, builder.mul(stride, ir.Constant(stride.type, number)))
            column = vector_at(context, builder, octet, kinds[3], arguments[3], types.intp, place)
            builder.store(row, column, align=8)
        return context.get_dummy_value()

    return types.void(table, places, first, columns, stride), generate


@intrinsic
def plus(typing_context, a, b):
    """a + b."""
    return a(a, a), lambda context, builder, signature, arguments: builder.fadd(*arguments)


@intrinsic
def minus(typing_context, a, b):
    """a - b."""
    return a(a, a), lambda context, builder, signature, arguments: builder.fsub(*arguments)


@intrinsic
def times(typing_context, a, b):
    """a b."""
    return a(a, a), lambda context, builder, signature, arguments: builder.fmul(*arguments)


@intrinsic
def plus_product(typing_context, a, b, c):
    """a + b c."""

    def generate(context, builder, signature, arguments):
        a, b, c = arguments
        product = builder.fmul(b, c, flags=["contract"])
        return builder.fadd(a, product, flags=["contract"])

    return a(a, a, a), generate
