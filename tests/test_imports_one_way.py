"""Imports go one way: a layer knows those below it, and nothing of those above or beside it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "python" / "cipherlane"

# What each part of the package may import from the package, at the top of a module or later.
ALLOWED = {
    "errors": set(),
    "_native": set(),
    "threadpools": set(),
    "files": {"errors"},
    "paillier": {"_native", "errors", "threadpools"},
    "benchmark": {"_native", "errors", "paillier"},
    "binning": set(),
    "mixture": {"errors", "threadpools"},
    "vertical": {"errors", "files", "mixture", "paillier", "threadpools"},
    "horizontal": {"errors", "mixture", "paillier", "threadpools"},
    "report": {"errors", "files"},
    "ledger": {"errors", "files"},
    "federation": {
        "_native",
        "binning",
        "errors",
        "files",
        "horizontal",
        "ledger",
        "mixture",
        "paillier",
        "report",
        "threadpools",
        "vertical",
    },
    "progress": {"federation"},
    "align_command": {"errors", "files", "vertical"},
    "integrations": {
        "_native",
        "errors",
        "federation",
        "files",
        "horizontal",
        "mixture",
        "paillier",
        "vertical",
    },
}
# The ends of the chain see all: the package's front and the command line.
TOP = {
    "__init__",
    "__main__",
    "cli",
    "cli_bench",
    "cli_binning",
    "cli_commands",
    "cli_keygen",
    "cli_ledger",
    "cli_registry",
    "cli_sealing",
}


def part_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imported_parts(path: Path) -> set[str]:
    """Return what a module takes from the package, wherever in the module: names directly below `cipherlane`.

    The version belongs to all, so taking it is no dependence.
    """
    package = ("cipherlane", *path.relative_to(PACKAGE).parent.parts)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names: list[str] = []
    fronts: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name == "cipherlane":
                    fronts.add(alias.asname or "cipherlane")
                else:
                    names.append(alias.name)
        elif isinstance(node, ast.ImportFrom):
            module = [node.module] if node.module else []
            base = ".".join([*package[: len(package) - node.level + 1], *module] if node.level else module)
            names += [f"{base}.{alias.name}" for alias in node.names]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in fronts:
            names.append(f"cipherlane.{node.attr}")
    below = {name.split(".")[1] for name in names if name.startswith("cipherlane.")}
    return below - {"__version__"}


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_what_lies_below_it(path):
    part = part_of(path)
    if part in TOP:
        return
    assert part in ALLOWED, f"{part}: say in this test which parts it may import"
    upwards = imported_parts(path) - ALLOWED[part] - {part}
    assert not upwards, f"{path.relative_to(PACKAGE)} imports {sorted(upwards)}, which {part} must not know"


def test_the_allowed_imports_have_no_cycle():
    remaining = dict(ALLOWED)
    while remaining:
        lowest = [part for part, below in remaining.items() if not below & remaining.keys()]
        assert lowest, f"these import each other in a circle: {sorted(remaining)}"
        for part in lowest:
            del remaining[part]


def test_imports_of_every_form_are_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(f"{__name__}.PACKAGE", tmp_path)
    (tmp_path / "report").mkdir()
    module = tmp_path / "report" / "text.py"
    for statement, expected in {
        "import cipherlane\nprint(cipherlane.__version__)": set(),
        "import cipherlane\ncipherlane.vertical.party": {"vertical"},
        "import cipherlane as cl\ncl.keygen()": {"keygen"},
        "from cipherlane import __version__": set(),
        "import cipherlane.paillier.codec as codec": {"paillier"},
        "from cipherlane import paillier, errors": {"paillier", "errors"},
        "from cipherlane.paillier import hazmat": {"paillier"},
        "from ..vertical import party": {"vertical"},
        "from .. import mixture": {"mixture"},
        "from . import plots": {"report"},
        "from .plots import draw": {"report"},
        "def f():\n    from cipherlane.federation.plan import Plan": {"federation"},
        "import numpy, os.path": set(),
    }.items():
        module.write_text(statement)
        assert imported_parts(module) == expected, statement
