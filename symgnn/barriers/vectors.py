"""What lets numba's compiler use vector instructions on table look-ups and on atoms.

A loop that reads a table at computed places and writes an array is compiled to scalar code, as the
array might overlap the table. `read` and `write` say that they do not: what is written by `write`
is never read by `read` in the same loop. `transpose_rows` turns eight table rows of eight numbers
into eight vectors, which costs less than gathering the numbers one by one. `load`, `store`,
`difference` and `plus_multiple` handle an atom's four numbers (x, y, z and one unused) at once.
All of it is plain LLVM, for any processor; the compiler splits vectors that are too wide for it.
"""

from llvmlite import ir
from numba.core import types
from numba.core.errors import TypingError
from numba.extending import intrinsic, models, register_model

LANES = 8  # doubles in a row and in a vector


QUAD = ir.VectorType(ir.DoubleType(), 4)


class _Quad(types.Type):
    """Four doubles in a register."""

    def __init__(self) -> None:
        super().__init__(name="quad")


@register_model(_Quad)
class _QuadModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, QUAD)


quad = _Quad()


def _scope(module: ir.Module) -> ir.MDValue:
    domain = module.add_metadata(["symgnn arrays"])
    return module.add_metadata([module.add_metadata(["symgnn tables", domain])])


def _element(context, builder, array_type, array, index_type, index):
    """Pointer to an element of a contiguous one-dimensional array."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [context.cast(builder, index, index_type, types.intp)])


def _check_row(array) -> None:
    if not (isinstance(array, types.Array) and array.ndim == 1 and array.layout == "C"):
        raise TypingError(f"{array}: must be a contiguous one-dimensional array")


@intrinsic
def read(typing_context, array, index):
    """`array[index]` of an array that no `write` in the same loop changes."""
    _check_row(array)

    def generate(context, builder, signature, arguments):
        pointer = _element(
            context, builder, signature.args[0], arguments[0], signature.args[1], arguments[1]
        )
        value = builder.load(pointer)
        value.set_metadata("alias.scope", _scope(builder.module))
        return value

    return array.dtype(array, index), generate


@intrinsic
def write(typing_context, array, index, value):
    """`array[index] = value` for an array that no `read` in the same loop sees."""
    _check_row(array)

    def generate(context, builder, signature, arguments):
        pointer = _element(
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
        _check_row(array)

    def generate(context, builder, signature, arguments):
        kinds = signature.args
        vector = ir.VectorType(ir.DoubleType(), LANES)
        lane = ir.IntType(32)
        start = context.cast(builder, arguments[2], kinds[2], types.intp)
        stride = context.cast(builder, arguments[4], kinds[4], types.intp)

        def at(number: int) -> ir.Value:
            return builder.add(start, ir.Constant(start.type, number))

        rows = []
        for number in range(LANES):
            pointer = _element(context, builder, kinds[1], arguments[1], types.intp, at(number))
            place = builder.sext(builder.load(pointer), start.type)
            pointer = _element(context, builder, kinds[0], arguments[0], types.intp, place)
            rows.append(builder.load(builder.bitcast(pointer, vector.as_pointer()), align=8))
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
            pointer = _element(context, builder, kinds[3], arguments[3], types.intp, place)
            builder.store(row, builder.bitcast(pointer, vector.as_pointer()), align=8)
        return context.get_dummy_value()

    return types.void(table, places, first, columns, stride), generate


def _quad_pointer(context, builder, signature, arguments):
    """Pointer to the four doubles of atom `arguments[1]` in array `arguments[0]`."""
    index = context.cast(builder, arguments[1], signature.args[1], types.intp)
    place = builder.mul(index, ir.Constant(index.type, 4))
    pointer = _element(context, builder, signature.args[0], arguments[0], types.intp, place)
    return builder.bitcast(pointer, QUAD.as_pointer())


@intrinsic
def load(typing_context, array, atom):
    """The four numbers of an atom in an array (4 atoms,)."""
    _check_row(array)

    def generate(context, builder, signature, arguments):
        return builder.load(_quad_pointer(context, builder, signature, arguments), align=8)

    return quad(array, atom), generate


@intrinsic
def store(typing_context, array, atom, value):
    """Write the four numbers of an atom in an array (4 atoms,)."""
    _check_row(array)

    def generate(context, builder, signature, arguments):
        pointer = _quad_pointer(context, builder, signature, arguments)
        builder.store(arguments[2], pointer, align=8)
        return context.get_dummy_value()

    return types.void(array, atom, quad), generate


@intrinsic
def zero(typing_context):
    """Four zeros."""
    return quad(), lambda context, builder, signature, arguments: ir.Constant(QUAD, [0.0] * 4)


@intrinsic
def difference(typing_context, a, b):
    """a - b."""

    def generate(context, builder, signature, arguments):
        return builder.fsub(*arguments)

    return quad(quad, quad), generate


@intrinsic
def plus_multiple(typing_context, a, factor, b):
    """a + factor b."""

    def generate(context, builder, signature, arguments):
        a, factor, b = arguments
        spread = ir.Constant(QUAD, ir.Undefined)
        for lane in range(4):
            spread = builder.insert_element(spread, factor, ir.Constant(ir.IntType(32), lane))
        product = builder.fmul(spread, b, flags=["contract"])
        return builder.fadd(a, product, flags=["contract"])

    return quad(quad, types.float64, quad), generate


@intrinsic
def square_distances(typing_context, atoms, first, second, begin, squares, at):
    """Squares of the distances of eight pairs of atoms, written to `squares[at:at + 8]`.

    Args:
        atoms: (4 atoms,), float64; the fourth number of each is zero.
        first: (pairs,), atom.
        second: (pairs,), atom.
        begin: which pair is the first of eight.
        squares: float64.
        at: where to write.
    """
    for array in (atoms, first, second, squares):
        _check_row(array)

    def generate(context, builder, signature, arguments):
        kinds = signature.args
        begin = context.cast(builder, arguments[3], kinds[3], types.intp)

        def place(which: int, number: int) -> ir.Value:
            at = builder.add(begin, ir.Constant(begin.type, number))
            index = _element(context, builder, kinds[which], arguments[which], types.intp, at)
            numbers = [arguments[0], builder.load(index)]
            pair = types.void(kinds[0], kinds[which].dtype)
            pointer = _quad_pointer(context, builder, pair, numbers)
            return builder.load(pointer, align=8)

        squared = []
        for number in range(LANES):
            vector = builder.fsub(place(2, number), place(1, number))
            squared.append(builder.fmul(vector, vector))
        mask = ir.VectorType(ir.IntType(32), LANES)
        # Pairs l and l + 4 side by side; then x², y² and z² of all eight, each in one vector.
        joined = [
            builder.shuffle_vector(squared[n], squared[n + 4], ir.Constant(mask, list(range(8))))
            for n in range(4)
        ]
        total = None
        for axis in range(3):
            low, high = (
                builder.shuffle_vector(
                    joined[n],
                    joined[n + 1],
                    ir.Constant(mask, [axis, 8 + axis, axis, 8 + axis] + [4 + axis, 12 + axis] * 2),
                )
                for n in (0, 2)
            )
            part = builder.shuffle_vector(low, high, ir.Constant(mask, [0, 1, 8, 9, 4, 5, 12, 13]))
            total = part if total is None else builder.fadd(total, part)
        at = context.cast(builder, arguments[5], kinds[5], types.intp)
        pointer = _element(context, builder, kinds[4], arguments[4], types.intp, at)
        vector_pointer = ir.VectorType(ir.DoubleType(), LANES).as_pointer()
        builder.store(total, builder.bitcast(pointer, vector_pointer), align=8)
        return context.get_dummy_value()

    return types.void(atoms, first, second, begin, squares, at), generate
