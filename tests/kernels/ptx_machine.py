"""Runs what nvcc makes of a kernel, its PTX, for one warp: 32 threads that go in step where they are at the same place.

No GPU is needed. It knows the instructions that the kernels of this project use, and stops at any other. A shuffle or a
ballot that not all 32 threads reach together, which would hang or be undefined on a GPU, is an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

WARP = 32
LANES = np.arange(WARP)
ALL = 0xFFFFFFFF
CARRY_OPERATIONS = {"add", "addc", "sub", "subc", "mad", "madc"}


@dataclass(frozen=True)
class Instruction:
    guard: tuple[str, bool] | None
    parts: list[str]
    operands: list[Any]


def parse_operand(text: str) -> Any:
    text = text.strip()
    if text.startswith("{"):
        return [parse_operand(part) for part in text[1:-1].split(",")]
    if text.startswith("["):
        base, _, offset = text[1:-1].partition("+")
        return (base.strip(), int(offset or 0))
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    return text


class Kernel:
    """One entry of a PTX file."""

    def __init__(self, ptx: str, name: str) -> None:
        entries = re.split(r"^\.visible \.entry ", ptx, flags=re.M)[1:]
        [text] = [entry for entry in entries if re.match(rf"_ZN10cipherlane7kernels.*?NS0_\d+{name}E+vT1_\(", entry)]
        body = re.sub(r"//.*", "", text[text.index("{") :])
        self.code: list[Instruction] = []
        self.labels: dict[str, int] = {}
        for line in body.splitlines():
            line = line.strip().rstrip(";")
            if line.endswith(":"):
                self.labels[line[:-1]] = len(self.code)
            elif line and line[0] not in "{}.":
                found = re.fullmatch(r"(?:@(!?)(%p\d+)\s+)?([a-z][\w.:]*)\s*(.*)", line)
                assert found, line
                negated, guard, operation, rest = found.groups()
                operands = [parse_operand(part) for part in re.findall(r"\{[^}]*\}|\[[^\]]*\]|[^,\s]+", rest)]
                self.code.append(Instruction((guard, not negated) if guard else None, operation.split("."), operands))

    def run(self, memory: np.ndarray, usable: np.ndarray, parameter: bytes, path: list | None = None) -> None:
        """Run one block of 32 threads, with a struct as parameter.

        ``memory`` are 32-bit words from address 0, ``usable`` says which of them a thread may access. ``path`` receives
        the place of every instruction run, and the addresses of every access.
        """
        machine = Warp(self, memory, usable, parameter, path)
        while machine.step():
            pass
        assert not (machine.written & machine.taken_as_constant).any(), "a kernel writes what it reads as constant"


class Warp:
    def __init__(
        self, kernel: Kernel, memory: np.ndarray, usable: np.ndarray, parameter: bytes, path: list | None
    ) -> None:
        self.kernel, self.memory, self.usable, self.parameter, self.path = kernel, memory, usable, parameter, path
        self.written, self.taken_as_constant = np.zeros_like(usable), np.zeros_like(usable)
        self.at = np.zeros(WARP, dtype=np.int64)
        self.registers: dict[str, np.ndarray] = {
            "%tid.x": LANES.astype(np.uint64),
            "%ntid.x": np.full(WARP, WARP, dtype=np.uint64),
            "%ctaid.x": np.zeros(WARP, dtype=np.uint64),
        }
        self.carry = np.zeros(WARP, dtype=np.uint64)
        self.carry_known = False

    def step(self) -> bool:
        place = int(self.at.min())
        if place >= len(self.kernel.code):
            return False
        active = self.at == place
        instruction = self.kernel.code[place]
        self.at[active] = place + 1
        if self.path is not None:
            self.path.append((place, active.tobytes()))
        if instruction.guard:
            name, wanted = instruction.guard
            active = active & (self.registers[name] == wanted)
        if active.any():
            self.execute(instruction.parts, instruction.operands, active)
        return True

    def value(self, operand: Any, bits: int = 64) -> np.ndarray:
        if isinstance(operand, str) and "_param_" in operand:
            operand = 0
        if isinstance(operand, int):
            return np.full(WARP, operand & ((1 << bits) - 1), dtype=np.uint64)
        return self.registers[operand]

    def write(self, name: str, value: np.ndarray, active: np.ndarray, bits: int) -> None:
        value = value & np.uint64((1 << bits) - 1)
        old = self.registers.get(name)
        self.registers[name] = value if old is None or active.all() else np.where(active, value, old)

    def write_flag(self, name: str, value: np.ndarray, active: np.ndarray) -> None:
        old = self.registers.get(name)
        self.registers[name] = value if old is None or active.all() else np.where(active, value, old)

    def execute(self, parts: list[str], operands: list[Any], active: np.ndarray) -> None:
        operation, kind = parts[0], parts[-1]
        if operation == "ret":
            self.at[active] = len(self.kernel.code)
        elif operation == "bra":
            self.at[active] = self.kernel.labels[operands[0]]
        elif operation == "ld" and parts[1] == "param":
            self.load_parameter(operands, active, kind)
        elif operation in ("ld", "st"):
            self.access(operation, "nc" in parts, operands, active)
        elif operation == "prefetch":
            self.record(operands[0], active)
        elif operation in ("shfl", "vote"):
            assert active.all(), "threads of a warp reach a shuffle or ballot apart"
            self.exchange(parts, operands, active)
        elif operation in CARRY_OPERATIONS and (parts[-2] == "cc" or operation.endswith("c")):
            self.chain(operation, parts, operands, active)
        elif operation == "setp":
            self.compare(parts[1], kind, operands, active)
        elif kind == "pred":
            a, b = (self.registers[name] for name in operands[1:])
            self.write_flag(operands[0], {"or": a | b, "and": a & b}[operation], active)
        else:
            self.calculate(operation, parts, operands, active)

    def load_parameter(self, operands: list[Any], active: np.ndarray, kind: str) -> None:
        base, offset = operands[1]
        if base in self.registers:  # the parameter's own address, which is 0 here, and what was added to it
            [offset] = set((self.registers[base] + self.value(offset))[active].tolist())
        size = int(kind[1:]) // 8
        names = operands[0] if isinstance(operands[0], list) else [operands[0]]
        for i, target in enumerate(names):
            part = self.parameter[offset + size * i : offset + size * (i + 1)]
            assert len(part) == size, "outside of the parameter"
            self.write(target, self.value(int.from_bytes(part, "little")), active, 8 * size)

    def access(self, operation: str, constant: bool, operands: list[Any], active: np.ndarray) -> None:
        values, place = operands if operation == "ld" else operands[::-1]
        names = values if isinstance(values, list) else [values]
        address = self.record(place, active)
        assert (address % (4 * len(names)) == 0).all(), "an address is not aligned"
        assert (address >= 0).all() and (address // 4 + len(names) <= len(self.memory)).all(), "outside of the memory"
        for i, name in enumerate(names):
            word = address // 4 + i
            assert self.usable[word].all(), "outside of an array"
            if operation == "st":
                self.memory[word] = self.value(name, 32)[active].astype(np.uint32)
                self.written[word] = True
            else:
                loaded = np.zeros(WARP, dtype=np.uint64)
                loaded[active] = self.memory[word]
                self.write(name, loaded, active, 32)
                if constant:
                    self.taken_as_constant[word] = True

    def record(self, place: tuple[str, int], active: np.ndarray) -> np.ndarray:
        address = (self.registers[place[0]] + self.value(place[1])).astype(np.int64)[active]
        if self.path is not None:
            self.path.append(address.tobytes())
        return address

    def exchange(self, parts: list[str], operands: list[Any], active: np.ndarray) -> None:
        target = operands[0].split("|")
        assert int(self.value(operands[-1], 32)[0]) == ALL
        if parts[0] == "vote":
            votes = self.registers[operands[1]]
            if parts[2] == "any":
                self.write_flag(target[0], np.full(WARP, votes.any()), active)
            else:
                assert parts[2] == "ballot"
                bits = int((votes.astype(np.uint64) << LANES.astype(np.uint64)).sum())
                self.write(target[0], self.value(bits), active, 32)
            return
        x, distance = self.value(operands[1], 32), self.value(operands[2], 32).astype(np.int64) & 31
        control = self.value(operands[3], 32).astype(np.int64)
        segment, clamp = control >> 8 & 31, control & 31
        lowest = LANES & segment
        highest = lowest | (clamp & ~segment)
        source, fits = {
            "up": (LANES - distance, LANES - distance >= highest),
            "down": (LANES + distance, LANES + distance <= highest),
            "bfly": (LANES ^ distance, (LANES ^ distance) <= highest),
            "idx": (lowest | (distance & ~segment), (lowest | (distance & ~segment)) <= highest),
        }[parts[2]]
        self.write(target[0], x[np.where(fits, source, LANES)], active, 32)
        if len(target) > 1:
            self.write_flag(target[1], fits, active)

    def chain(self, operation: str, parts: list[str], operands: list[Any], active: np.ndarray) -> None:
        assert active.all(), "carry chains run in whole warps"
        a, b = self.value(operands[1], 32), self.value(operands[2], 32)
        if operation.startswith("mad"):
            product = a * b
            a = product & np.uint64(ALL) if parts[1] == "lo" else product >> np.uint64(32)
            b = self.value(operands[3], 32)
        assert self.carry_known or not operation.endswith("c"), "an operation takes a carry that none gave"
        carry = self.carry if operation.endswith("c") else np.zeros(WARP, dtype=np.uint64)
        result = a - b - carry if operation.startswith("sub") else a + b + carry
        self.carry_known = parts[-2] == "cc"
        self.carry = result >> np.uint64(63) if operation.startswith("sub") else result >> np.uint64(32)
        self.write(operands[0], result, active, 32)

    def compare(self, relation: str, kind: str, operands: list[Any], active: np.ndarray) -> None:
        bits = int(kind[1:])
        a, b = self.value(operands[1], bits), self.value(operands[2], bits)
        if kind[0] == "s" and relation not in ("eq", "ne"):
            half = np.uint64(1 << bits - 1)
            a, b = a ^ half, b ^ half
        comparisons = {"eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal}
        comparisons |= {"gt": np.greater, "ge": np.greater_equal}
        self.write_flag(operands[0], comparisons[relation](a, b), active)

    def calculate(self, operation: str, parts: list[str], operands: list[Any], active: np.ndarray) -> None:
        bits = int(parts[-1][1:])
        result_bits = bits
        if operation == "selp":
            chosen = self.registers[operands[3]]
            result = np.where(chosen, self.value(operands[1], bits), self.value(operands[2], bits))
            self.write(operands[0], result, active, bits)
            return
        x = [self.value(operand, bits) for operand in operands[1:]]
        if operation in ("mov", "cvta"):
            result = x[0]
        elif operation == "cvt":
            result, result_bits = x[0], int(parts[1][1:])
            assert parts[1][0] == parts[-1][0] == "u"
        elif operation == "mul" and parts[1] == "wide":
            result_bits = 2 * bits
            if parts[-1][0] == "s":
                x = [(v.astype(np.uint32).astype(np.int32).astype(np.int64)).astype(np.uint64) for v in x]
            result = x[0] * x[1]
        elif operation == "shf":
            assert parts[1:3] == ["l", "wrap"]
            count = x[2] & np.uint64(31)
            result = (x[1] << np.uint64(32) | x[0]) << count >> np.uint64(32)
        elif operation == "bfi":
            mask = (np.uint64(1) << x[3]) - np.uint64(1) << x[2]
            result = (x[1] & ~mask) | (x[0] << x[2] & mask)
        elif operation == "shr" and parts[-1][0] == "s":
            raise NotImplementedError(".".join(parts))
        else:
            functions = {
                "add": lambda a, b: a + b,
                "sub": lambda a, b: a - b,
                "mul": lambda a, b: a * b,
                "mad": lambda a, b, c: a * b + c,
                "and": lambda a, b: a & b,
                "or": lambda a, b: a | b,
                "xor": lambda a, b: a ^ b,
                "shl": lambda a, b: np.where(b < bits, a << (b & np.uint64(63)), np.uint64(0)),
                "shr": lambda a, b: np.where(b < bits, a >> (b & np.uint64(63)), np.uint64(0)),
                "not": lambda a: ~a,
                "neg": lambda a: ~a + np.uint64(1),
                "max": np.maximum,
                "min": np.minimum,
            }
            if operation not in functions or parts[1] in ("hi", "sat"):
                raise NotImplementedError(".".join(parts))
            result = functions[operation](*x)
        self.write(operands[0], result, active, result_bits)
