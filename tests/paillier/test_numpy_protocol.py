"""Python's and NumPy's protocols for arrays: what is answered is a CipherArray, what is refused says what to do."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import cipherlane as cl

VALUES = np.array([[1.5, -2.0, 0.25], [4.0, 8.0, -16.0]])
PLAIN = np.array([[2, -1, 3], [0, 5, -4]])


@pytest.fixture(scope="module")
def x(public_key):
    return public_key.encrypt(VALUES)


@pytest.fixture(scope="module")
def rows(public_key):
    """Rows of five values, packed."""
    return public_key.encrypt(np.arange(20).reshape(4, 5), codec=cl.Packed(slot_bits=32, scale_bits=0, axis=-1))


UFUNCS = {
    "array + x": lambda x: PLAIN + x,
    "x + array": lambda x: x + PLAIN,
    "np.add(array, x)": lambda x: np.add(PLAIN, x),
    "np.add(x, array)": lambda x: np.add(x, PLAIN),
    "np.add(x, x)": lambda x: np.add(x, x),
    "array - x": lambda x: PLAIN - x,
    "np.subtract(x, array)": lambda x: np.subtract(x, PLAIN),
    "np.subtract(x, x)": lambda x: np.subtract(x, x[:1]),
    "array * x": lambda x: PLAIN * x,
    "np.multiply(array, x)": lambda x: np.multiply(PLAIN, x),
    "np.multiply(x, 2)": lambda x: np.multiply(x, 2),
    "float64 * x": lambda x: np.float64(0.5) * x,
    "int64 - x": lambda x: np.int64(7) - x,
    "array of one + x": lambda x: np.array(2.0) + x,
    "row + x": lambda x: PLAIN[0] + x,
    "list + x": lambda x: np.add([1, 2, 3], x),
    "matrix @ x": lambda x: PLAIN.T @ x,
    "x @ matrix": lambda x: x @ PLAIN.T,
    "np.matmul(matrix, x)": lambda x: np.matmul(PLAIN.T, x),
    "np.matmul(x, vector)": lambda x: np.matmul(x, PLAIN[0]),
    "np.negative": np.negative,
    "np.positive": np.positive,
    "np.add.reduce": np.add.reduce,
    "np.add.reduce, axis": lambda x: np.add.reduce(x, axis=1, keepdims=True),
}


@pytest.mark.parametrize("name", UFUNCS)
def test_operators_and_ufuncs_give_encrypted_numbers(private_key, x, name):
    result = UFUNCS[name](x)
    assert type(result) is cl.CipherArray
    assert np.array_equal(private_key.decrypt(result), UFUNCS[name](VALUES))


FUNCTIONS = {
    "sum": lambda x: np.sum(x),
    "sum along": lambda x: np.sum(x, axis=1, keepdims=True),
    "concatenate": lambda x: np.concatenate([x, x[:1]]),
    "concatenate along 1": lambda x: np.concatenate((x, x[:, :1]), axis=1),
    "concatenate flat": lambda x: np.concatenate([x, x[0]], axis=None),
    "stack": lambda x: np.stack([x, 2 * x]),
    "stack last": lambda x: np.stack([x, 2 * x], axis=-1),
    "vstack": lambda x: np.vstack([x[0], x]),
    "hstack": lambda x: np.hstack([x, x]),
    "hstack of rows": lambda x: np.hstack([x[0], x[1]]),
    "reshape": lambda x: np.reshape(x, (3, 2)),
    "ravel": np.ravel,
    "transpose": np.transpose,
    "transpose axes": lambda x: np.transpose(x, (1, 0)),
    "swapaxes": lambda x: np.swapaxes(x, 0, 1),
    "moveaxis": lambda x: np.moveaxis(x, 0, -1),
    "expand_dims": lambda x: np.expand_dims(x, 1),
    "squeeze": lambda x: np.squeeze(x[:1]),
    "broadcast_to": lambda x: np.broadcast_to(x, (2, 2, 3)),
    "flip": lambda x: np.flip(x, axis=1),
    "roll": lambda x: np.roll(x, 1),
    "repeat": lambda x: np.repeat(x, [2, 1], axis=0),
    "tile": lambda x: np.tile(x, 2),
    "take": lambda x: np.take(x, [1, 1, 0], axis=0),
    "compress": lambda x: np.compress([False, True], x, axis=0),
    "delete": lambda x: np.delete(x, 1, axis=1),
    "diagonal": np.diagonal,
    "copy": np.copy,
    "dot": lambda x: np.dot(PLAIN.T, x),
    "dot with a number": lambda x: np.dot(x, 3),
    "index with masks": lambda x: x[np.array([[True, False, True], [False, True, False]])],
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_give_encrypted_numbers(private_key, x, name):
    result = FUNCTIONS[name](x)
    assert type(result) is cl.CipherArray
    assert np.array_equal(private_key.decrypt(result), FUNCTIONS[name](VALUES))


def test_shapes_are_plain(x):
    assert (np.shape(x), np.ndim(x), np.size(x), np.size(x, 1), len(x)) == ((2, 3), 2, 6, 3, 2)


def test_packed_rows_move_as_wholes(private_key, rows):
    values = np.arange(20).reshape(4, 5)
    for move in (
        lambda a: np.flip(a, axis=0),
        lambda a: np.take(a, [3, 0], axis=0),
        lambda a: np.repeat(a, 2, axis=0),
        lambda a: np.expand_dims(a, 0),
        lambda a: np.broadcast_to(a, (2, 4, 5)),
        lambda a: np.stack([a, a]),
    ):
        assert np.array_equal(private_key.decrypt(move(rows)), move(values))
    with pytest.raises(ValueError, match=r"np\.transpose: the last axis is packed"):
        np.transpose(rows)
    with pytest.raises(IndexError, match="index: the last axis is packed"):
        rows[:, 0]
    with pytest.raises(ValueError, match=r"np\.flip: not possible on an array packed as a whole"):
        np.flip(rows.public_key.encrypt([1, 2], codec=cl.Packed()))


def test_iteration_and_slices(private_key, x):
    assert [private_key.decrypt(row).tolist() for row in x] == VALUES.tolist()
    assert [one.shape for one in x[0]] == [(), (), ()]
    assert np.array_equal(private_key.decrypt(x[::-1, 1:]), VALUES[::-1, 1:])
    with pytest.raises(TypeError, match="no length"):
        iter(x.sum()).__next__()


def test_copies_are_the_array_itself(x):
    assert x.copy() is x and copy.copy(x) is x and copy.deepcopy([x])[0] is x and np.copy(x) is x


def test_the_text_shows_no_number(public_key, x):
    assert repr(x) == str(x) == f"CipherArray(shape=(2, 3), codec={x.codec}, key={public_key.fingerprint[:16]}...)"
    assert f"{x}" == repr(x)


def in_place(x):
    a = np.zeros((2, 3))
    a += x


def assign(x):
    x[0] = 1


REFUSED = {
    "asarray": (np.asarray, "decrypt.*to_bytes"),
    "array": (lambda x: np.array([x[0], x[1]]), "encrypted"),
    "array of objects": (lambda x: np.asarray(x, dtype=object), "encrypted"),
    "float": (lambda x: float(x[0, 0]), r"float\(x\).*decrypt"),
    "int": (lambda x: int(x[0, 0]), "decrypt"),
    "complex": (lambda x: complex(x[0, 0]), "decrypt"),
    "bool": (bool, "truth value"),
    "index": (lambda x: [1, 2][x[0, 0]], "as an index"),
    "==": (lambda x: x == x, "x == y.*cannot be compared"),
    "!=": (lambda x: x != 1, "cannot be compared"),
    "<": (lambda x: x < 1, "cannot be compared"),
    "array <": (lambda x: PLAIN < x, r"np\.less.*cannot be compared"),
    "array ==": (lambda x: PLAIN == x, r"np\.equal.*cannot be compared"),
    "in": (lambda x: 1.5 in x, "cannot be compared"),
    "array_equal": (lambda x: np.array_equal(x, x), "cannot be compared"),
    "maximum": (lambda x: np.maximum(x, 0), "cannot be compared"),
    "hash": (hash, "unhashable"),
    "pickle": (pickle.dumps, "to_bytes.*from_bytes"),
    "oldest pickle": (lambda x: pickle.dumps(x, protocol=0), "to_bytes.*from_bytes"),
    "exp": (np.exp, r"np\.exp: .*np\.add.*decrypt"),
    "sqrt": (np.sqrt, r"np\.sqrt: .*decrypt"),
    "abs": (abs, r"abs\(x\).*can only add"),
    "np.abs": (np.abs, r"np\.absolute: .*can only add"),
    "power": (lambda x: x**2, "can only add"),
    "2 ** x": (lambda x: 2**x, "can only add"),
    "array ** x": (lambda x: PLAIN**x, "can only add"),
    "x / 2": (lambda x: x / 2, "reciprocal"),
    "np.divide": (lambda x: np.divide(x, 2), "reciprocal"),
    "1 / x": (lambda x: 1 / x, "decrypt"),
    "x // 2": (lambda x: x // 2, "decrypt"),
    "x % 2": (lambda x: x % 2, "decrypt"),
    "round": (round, "decrypt"),
    "x * x": (lambda x: np.multiply(x, x), "can only add"),
    "np.matrix * x": (lambda x: PLAIN.view(np.matrix) * x, r"matrix @ x, or np\.asarray\(matrix\)"),
    "x * np.matrix": (lambda x: x * PLAIN.view(np.matrix), r"matrix @ x"),
    "objects of both kinds": (lambda x: np.array([1, 2.5, 3], dtype=object) * x, r"\[1\]: .*astype\(float\)"),
    "in place": (in_place, r"y = a \+ x"),
    "out": (lambda x: np.add(x, 1, out=np.zeros((2, 3))), "out"),
    "where": (lambda x: np.add(x, 1, where=PLAIN > 0), r"np\.add: where"),
    "dtype": (lambda x: np.multiply(x, 2, dtype=np.float32), r"np\.multiply: dtype"),
    "accumulate": (np.add.accumulate, r"np\.add\.accumulate.*segment_sum"),
    "outer": (lambda x: np.multiply.outer(PLAIN, x), r"np\.multiply\.outer"),
    "reduce of another": (np.multiply.reduce, r"np\.multiply\.reduce"),
    "sum into": (lambda x: np.sum(x, out=np.zeros(())), r"np\.sum: .*out"),
    "sum where": (lambda x: np.sum(x, where=PLAIN > 0), r"np\.sum: .*where.*takes a, axis, keepdims"),
    "take into": (lambda x: np.take(x, [0], out=np.zeros(1)), r"np\.take: out"),
    "mean": (np.mean, r"np\.mean: .*np\.sum"),
    "sort": (np.sort, r"np\.sort: not possible"),
    "take at encrypted places": (lambda x: np.take(x, x), "expected one CipherArray, got 2"),
    "concatenate with plain": (lambda x: np.concatenate([x, VALUES]), r"arrays\[1\]: expected a CipherArray"),
    "assignment": (assign, "never changes.*concatenate"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_says_what_to_do(x, name):
    operation, message = REFUSED[name]
    with pytest.raises(TypeError, match=message):
        operation(x)


def test_results_of_moves_are_rerandomised_when_sent(public_key, private_key, x):
    assert np.reshape(x, 6).is_fresh and np.ravel(x).is_fresh
    assert not np.flip(x).is_fresh and not np.stack([x, x]).is_fresh


def test_arrays_on_the_gpu_leave_sums_to_encrypted_numbers(x):
    """CuPy's operators look at the attribute of the array and give way where it is None; NumPy looks at the class."""
    assert x.__array_ufunc__ is None
    assert callable(type(x).__array_ufunc__)
