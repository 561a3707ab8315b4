"""The README's Python example prints what its comments say."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_the_example_prints_what_its_comments_say():
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.S)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, str(README), "exec"), {})
    numbers = [[float(n) for n in re.findall(r"-?\d+\.?\d*", line)] for line in out.getvalue().splitlines()]
    wanted = [
        [float(n) for n in re.findall(r"-?\d+\.?\d*", line)]
        for line in re.findall(r"^print.*?#\s*(\[.*\])$", code, flags=re.M)
    ]
    assert len(wanted) == 3
    assert numbers == wanted
