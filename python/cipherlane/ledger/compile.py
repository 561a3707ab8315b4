"""Rebuilds the shipped form of the contract: ``python -m cipherlane.ledger.compile`` (needs Vyper 0.4.3)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

COMPILER = "0.4.3"
EVM_VERSION = "london"
CONTRACT_DIRECTORY = Path(__file__).parent / "contract"
SOURCE_FILE = CONTRACT_DIRECTORY / "TrainingLedger.vy"
COMPILED_FILE = CONTRACT_DIRECTORY / "TrainingLedger.json"


def compile_contract() -> dict[str, Any]:
    """Return the contract's interface and code as Vyper makes them from the source.

    Raises
    ------
    ValueError
        The installed Vyper is another version, whose code would be another.
    """
    import vyper
    from vyper.compiler import compile_code

    version = vyper.__version__.split("+")[0]
    if version != COMPILER:
        raise ValueError(f"vyper: expected version {COMPILER}, got {version}; run: pip install vyper=={COMPILER}")
    compiled = compile_code(
        SOURCE_FILE.read_text(encoding="utf-8"), output_formats=["abi", "bytecode", "bytecode_runtime"]
    )
    return {
        "compiler": f"vyper {COMPILER}",
        "evm_version": EVM_VERSION,
        "abi": compiled["abi"],
        "bytecode": compiled["bytecode"],
        "runtime": compiled["bytecode_runtime"],
    }


if __name__ == "__main__":
    COMPILED_FILE.write_text(json.dumps(compile_contract(), indent=1) + "\n", encoding="utf-8")
