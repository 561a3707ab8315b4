"""Register tiles of the EM kernels as LLVM vector code.

Numba's own vectoriser keeps neither the accumulators of a matrix product in registers nor a transpose in shuffles, so
these few inner loops are emitted by hand. Each has the same meaning as its namesake in `plain_tiles`.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit
from numba.core import cgutils, types
from numba.extending import intrinsic

from cipherlane.mixture.instruction_set import LANES, NAME

_LANES = LANES[NAME]
# Accumulators: 4 x 4 vectors fill half of AVX-512's 32 registers, 4 x 2 half of AVX2's 16.
_VECTORS = 4 if _LANES == 8 else 2
TILE_SAMPLES = _LANES * _VECTORS

_DOUBLE = ir.DoubleType()
_INT64 = ir.IntType(64)
_INT32 = ir.IntType(32)
_VECTOR = ir.VectorType(_DOUBLE, _LANES)
_FLAGS = ("contract", "nsz")


def _pointer(builder: Any, address: Any) -> Any:
    return builder.inttoptr(address, _DOUBLE.as_pointer())


def _load(builder: Any, pointer: Any) -> Any:
    return builder.load(builder.bitcast(pointer, _VECTOR.as_pointer()), align=8)


def _store(builder: Any, value: Any, pointer: Any) -> None:
    builder.store(value, builder.bitcast(pointer, _VECTOR.as_pointer()), align=8)


def _shuffle(builder: Any, a: Any, b: Any, order: list[int]) -> Any:
    mask = ir.Constant(ir.VectorType(_INT32, len(order)), order)
    return builder.shuffle_vector(a, b, mask)


def _broadcast(builder: Any, pointer: Any) -> Any:
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    single = builder.insert_element(undefined, builder.load(pointer), _INT32(0))
    return _shuffle(builder, single, undefined, [0] * _LANES)


def _multiply_add(builder: Any, a: Any, b: Any, c: Any) -> Any:
    return builder.fadd(builder.fmul(a, b, flags=_FLAGS), c, flags=_FLAGS)


def _accumulators(builder: Any, count: int) -> list[Any]:
    zero = ir.Constant(_VECTOR, None)
    return [cgutils.alloca_once_value(builder, zero) for _ in range(count)]


def _clear(builder: Any, accumulators: list[Any]) -> None:
    for accumulator in accumulators:
        builder.store(ir.Constant(_VECTOR, None), accumulator)


def _lane_sums(builder: Any, values: list[Any]) -> Any:
    """One vector whose lane i is the sum over the lanes of values[i], by a tree of shuffles and additions.

    At each level, runs of `half` lanes of two vectors are added and put side by side, which leaves the sums in the
    bit-reversed order of the vectors.
    """
    bits = _LANES.bit_length() - 1
    values = [values[int(f"{i:0{bits}b}"[::-1], 2)] for i in range(_LANES)]
    half = _LANES // 2
    while len(values) > 1:
        first = [i for i in range(2 * _LANES) if (i // half) % 2 == 0]
        second = [i for i in range(2 * _LANES) if (i // half) % 2 == 1]
        pairs = zip(values[: len(values) // 2], values[len(values) // 2 :], strict=True)
        values = [
            builder.fadd(_shuffle(builder, a, b, first), _shuffle(builder, a, b, second), flags=("nsz",))
            for a, b in pairs
        ]
        half //= 2
    return values[0]


def _make_triangular_tile() -> Any:
    @intrinsic
    def tile(typing_context: Any, weights: Any, rows: Any, stride: Any, count: Any, out: Any) -> Any:
        signature = types.void(types.uintp, types.uintp, types.intp, types.intp, types.uintp)

        def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
            weights, rows, stride, count, out = arguments
            weights, rows, out = (_pointer(builder, address) for address in (weights, rows, out))
            sums = _accumulators(builder, 4 * _VECTORS)
            _clear(builder, sums)
            with cgutils.for_range(builder, count, intp=_INT64) as loop:
                row = builder.gep(rows, [builder.mul(loop.index, stride)])
                weight = builder.gep(weights, [builder.mul(loop.index, _INT64(4))])
                x = [_load(builder, builder.gep(row, [_INT64(_LANES * v)])) for v in range(_VECTORS)]
                for i in range(4):
                    factor = _broadcast(builder, builder.gep(weight, [_INT64(i)]))
                    for v in range(_VECTORS):
                        sum_ = sums[i * _VECTORS + v]
                        builder.store(_multiply_add(builder, factor, x[v], builder.load(sum_)), sum_)
            for v in range(_VECTORS):
                target = builder.gep(out, [_INT64(_LANES * v)])
                total = _load(builder, target)
                for i in range(4):
                    y = builder.load(sums[i * _VECTORS + v])
                    total = builder.fsub(total, builder.fmul(y, y, flags=_FLAGS), flags=_FLAGS)
                _store(builder, total, target)
            return context.get_dummy_value()

        return signature, generate

    return tile


def _make_diagonal_tile(components: int) -> Any:
    @intrinsic
    def tile(typing_context: Any, weights: Any, rows: Any, stride: Any, count: Any, out: Any, out_stride: Any) -> Any:
        signature = types.void(types.uintp, types.uintp, types.intp, types.intp, types.uintp, types.intp)

        def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
            weights, rows, stride, count, out, out_stride = arguments
            weights, rows, out = (_pointer(builder, address) for address in (weights, rows, out))
            sums = _accumulators(builder, components * _VECTORS)
            _clear(builder, sums)
            with cgutils.for_range(builder, count, intp=_INT64) as loop:
                row = builder.gep(rows, [builder.mul(loop.index, stride)])
                weight = builder.gep(weights, [builder.mul(loop.index, _INT64(2 * components))])
                x = [_load(builder, builder.gep(row, [_INT64(_LANES * v)])) for v in range(_VECTORS)]
                for i in range(components):
                    scale = _broadcast(builder, builder.gep(weight, [_INT64(i)]))
                    shift = _broadcast(builder, builder.gep(weight, [_INT64(components + i)]))
                    for v in range(_VECTORS):
                        t = builder.fsub(builder.fmul(x[v], scale, flags=_FLAGS), shift, flags=_FLAGS)
                        sum_ = sums[i * _VECTORS + v]
                        builder.store(_multiply_add(builder, t, t, builder.load(sum_)), sum_)
            for i in range(components):
                for v in range(_VECTORS):
                    place = builder.add(builder.mul(_INT64(i), out_stride), _INT64(_LANES * v))
                    target = builder.gep(out, [place])
                    total = builder.load(sums[i * _VECTORS + v])
                    _store(builder, builder.fsub(_load(builder, target), total, flags=_FLAGS), target)
            return context.get_dummy_value()

        return signature, generate

    return tile


def _make_product_tile(rows: int) -> Any:
    # Columns of the tile that are summed at a time: all four, or two where registers are few.
    together = 4 if _LANES == 8 else 2

    @intrinsic
    def tile(typing_context: Any, a: Any, b: Any, stride: Any, count: Any, out: Any) -> Any:
        signature = types.void(types.uintp, types.uintp, types.intp, types.intp, types.uintp)

        def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
            a, b, stride, count, out = arguments
            a, b, out = (_pointer(builder, address) for address in (a, b, out))
            sums = _accumulators(builder, 4 * rows)
            _clear(builder, sums)
            a_rows = [builder.gep(a, [builder.mul(_INT64(i), stride)]) for i in range(rows)]
            b_rows = [builder.gep(b, [builder.mul(_INT64(j), stride)]) for j in range(4)]
            for first in range(0, 4, together):
                columns = range(first, first + together)
                with cgutils.for_range(builder, builder.sdiv(count, _INT64(_LANES)), intp=_INT64) as loop:
                    at = builder.mul(loop.index, _INT64(_LANES))
                    y = {j: _load(builder, builder.gep(b_rows[j], [at])) for j in columns}
                    for i in range(rows):
                        x = _load(builder, builder.gep(a_rows[i], [at]))
                        for j in columns:
                            sum_ = sums[4 * i + j]
                            builder.store(_multiply_add(builder, x, y[j], builder.load(sum_)), sum_)
            values = [builder.load(sum_) for sum_ in sums]
            while len(values) % _LANES:
                values.append(ir.Constant(_VECTOR, None))
            for group in range(0, len(values), _LANES):
                lanes = _lane_sums(builder, values[group : group + _LANES])
                target = builder.gep(out, [_INT64(group)])
                _store(builder, builder.fadd(_load(builder, target), lanes), target)
            return context.get_dummy_value()

        return signature, generate

    return tile


def _make_transpose() -> Any:
    @intrinsic
    def tile(typing_context: Any, source: Any, stride: Any, target: Any, target_stride: Any, shift: Any) -> Any:
        signature = types.void(types.uintp, types.intp, types.uintp, types.intp, types.uintp)

        def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
            source, stride, target, target_stride, shift = arguments
            source, target, shift = (_pointer(builder, address) for address in (source, target, shift))
            rows = [_load(builder, builder.gep(source, [builder.mul(_INT64(i), stride)])) for i in range(_LANES)]
            # Exchange off-diagonal blocks of half the size at each level.
            half = _LANES // 2
            while half:
                for i in range(_LANES):
                    if i & half:
                        continue
                    a, b = rows[i], rows[i + half]
                    low = [k if not k & half else _LANES + k - half for k in range(_LANES)]
                    high = [k + half if not k & half else _LANES + k for k in range(_LANES)]
                    rows[i] = _shuffle(builder, a, b, low)
                    rows[i + half] = _shuffle(builder, a, b, high)
                half //= 2
            for j, row in enumerate(rows):
                moved = builder.fsub(row, _broadcast(builder, builder.gep(shift, [_INT64(j)])))
                _store(builder, moved, builder.gep(target, [builder.mul(_INT64(j), target_stride)]))
            return context.get_dummy_value()

        return signature, generate

    return tile


_triangular = _make_triangular_tile()
_diagonal = {count: _make_diagonal_tile(count) for count in (1, 2, 4)}
_diagonal1, _diagonal2, _diagonal4 = _diagonal[1], _diagonal[2], _diagonal[4]
_product1, _product2, _product4 = (_make_product_tile(count) for count in (1, 2, 4))
_transpose = _make_transpose()
_TRANSPOSE = _LANES
_WORD = 8


@njit
def triangular_tile(weights, at, rows, row, count, sample, out, component):
    """Subtract four squared rows of weights times features from out; see `plain_tiles`."""
    stride = rows.shape[1]
    _triangular(
        weights.ctypes.data + _WORD * at,
        rows.ctypes.data + _WORD * (row * stride + sample),
        stride,
        count,
        out.ctypes.data + _WORD * (component * out.shape[1] + sample),
    )


@njit
def diagonal_tile(weights, at, components, rows, count, sample, out, component):
    """Subtract scaled squared distances of up to four components from out; see `plain_tiles`."""
    stride = rows.shape[1]
    weight = weights.ctypes.data + _WORD * at
    data = rows.ctypes.data + _WORD * sample
    target = out.ctypes.data + _WORD * (component * out.shape[1] + sample)
    if components == 4:
        _diagonal4(weight, data, stride, count, target, out.shape[1])
    elif components == 2:
        _diagonal2(weight, data, stride, count, target, out.shape[1])
    else:
        _diagonal1(weight, data, stride, count, target, out.shape[1])


@njit
def product_tile(left, first, height, right, row, count, out, at):
    """Add the products of up to four rows with four others to out; see `plain_tiles`."""
    stride = right.shape[1]
    a = left.ctypes.data + _WORD * first * stride
    b = right.ctypes.data + _WORD * row * stride
    target = out.ctypes.data + _WORD * at
    if height == 4:
        _product4(a, b, stride, count, target)
    elif height == 2:
        _product2(a, b, stride, count, target)
    else:
        _product1(a, b, stride, count, target)


@njit
def transpose(X, start, samples, first, columns, shift, out, row):
    """Set rows of out to shifted columns of X; see `plain_tiles`."""
    width = X.shape[1]
    stride = out.shape[1]
    whole = samples // _TRANSPOSE * _TRANSPOSE if columns >= _TRANSPOSE else 0
    source = X.ctypes.data
    target = out.ctypes.data
    shifts = shift.ctypes.data
    for sample in range(0, whole, _TRANSPOSE):
        column = 0
        while True:
            _transpose(
                source + _WORD * ((start + sample) * width + first + column),
                width,
                target + _WORD * ((row + column) * stride + sample),
                stride,
                shifts + _WORD * (first + column),
            )
            if column + _TRANSPOSE >= columns:
                break
            column = min(column + _TRANSPOSE, columns - _TRANSPOSE)  # the last block overlaps the one before
    for column in range(columns):
        for sample in range(whole, samples):
            out[row + column, sample] = X[start + sample, first + column] - shift[first + column]
