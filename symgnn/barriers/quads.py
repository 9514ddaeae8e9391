"""An atom's four numbers (x, y, z and one unused) in a register; see `symgnn.vectors`."""

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from symgnn.vectors import LANES, Vector, check_row, element, octet, vector_at

quad = Vector(4)


def _quad_pointer(context, builder, signature, arguments):
    """Pointer to the four doubles of atom `arguments[1]` in array `arguments[0]`."""
    index = context.cast(builder, arguments[1], signature.args[1], types.intp)
    place = builder.mul(index, ir.Constant(index.type, 4))
    return vector_at(context, builder, quad, signature.args[0], arguments[0], types.intp, place)


@intrinsic
def load(typing_context, array, atom):
    """The four numbers of an atom in an array (4 atoms,)."""
    check_row(array)

    def generate(context, builder, signature, arguments):
        return builder.load(_quad_pointer(context, builder, signature, arguments), align=8)

    return quad(array, atom), generate


@intrinsic
def store(typing_context, array, atom, value):
    """Write the four numbers of an atom in an array (4 atoms,)."""
    check_row(array)

    def generate(context, builder, signature, arguments):
        pointer = _quad_pointer(context, builder, signature, arguments)
        builder.store(arguments[2], pointer, align=8)
        return context.get_dummy_value()

    return types.void(array, atom, quad), generate


@intrinsic
def zero(typing_context):
    """Four zeros."""
    return quad(), lambda context, builder, signature, arguments: ir.Constant(quad.llvm, [0.0] * 4)


@intrinsic
def plus_multiple(typing_context, a, factor, b):
    """a + factor b."""

    def generate(context, builder, signature, arguments):
        a, factor, b = arguments
        spread = ir.Constant(quad.llvm, ir.Undefined)
        for lane in range(4):
            spread = builder.insert_element(spread, factor, ir.Constant(ir.IntType(32), lane))
        product = builder.fmul(spread, b, flags=["contract"])
        return builder.fadd(a, product, flags=["contract"])

    return quad(quad, types.float64, quad), generate


@intrinsic
def inner_product(typing_context, a, b):
    """The sum of the products of the first three numbers."""

    def generate(context, builder, signature, arguments):
        product = builder.fmul(*arguments)
        x, y, z = (
            builder.extract_element(product, ir.Constant(ir.IntType(32), lane)) for lane in range(3)
        )
        return builder.fadd(builder.fadd(x, y), z)

    return types.float64(quad, quad), generate


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
        check_row(array)

    def generate(context, builder, signature, arguments):
        kinds = signature.args
        begin = context.cast(builder, arguments[3], kinds[3], types.intp)

        def place(which: int, number: int) -> ir.Value:
            at = builder.add(begin, ir.Constant(begin.type, number))
            index = element(context, builder, kinds[which], arguments[which], types.intp, at)
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
        pointer = vector_at(context, builder, octet, kinds[4], arguments[4], types.intp, at)
        builder.store(total, pointer, align=8)
        return context.get_dummy_value()

    return types.void(atoms, first, second, begin, squares, at), generate
