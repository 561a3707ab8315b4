"""The examples of docs/binning.md run, and its plan is one."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

from cipherlane.federation import parse_plan

PAGE = Path(__file__).parents[2] / "docs" / "binning.md"


def test_examples() -> None:
    result = doctest.testfile(str(PAGE), module_relative=False)
    assert result.attempted >= 9 and result.failed == 0


def test_the_plan() -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.S)
    plan = parse_plan(text)
    assert plan.binning is not None and plan.binning.top == 20
    assert plan.hosts[0].categories == ("blood_group",) and plan.roles == {"guest": "guest", "host": "host"}
