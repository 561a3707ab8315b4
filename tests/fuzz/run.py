"""Fuzz one parser, or all of them one after the other, with atheris: coverage tells which inputs to keep.

python tests/fuzz/run.py [PARSER ...] --seconds 60
python tests/fuzz/run.py plan --runs 2000 --seed 1

A finding ends the run with the traceback and leaves the input in the current directory.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(
    include=["cipherlane.paillier", "cipherlane.vertical", "cipherlane.federation", "msgpack"]
):
    from parsers import all_parsers


def fuzz(name: str, options: list[str]) -> None:
    """Fuzz a parser in this process, which libFuzzer ends."""
    parser = all_parsers()[name]

    def one(data: bytes) -> None:
        try:
            parser.parse(data)
        except parser.refusals:
            return

    with tempfile.TemporaryDirectory(prefix="cipherlane-corpus-") as corpus:
        for index, example in enumerate(parser.corpus):
            (Path(corpus) / str(index)).write_bytes(example)
        atheris.Setup([sys.argv[0], *options, corpus], one)
        atheris.Fuzz()


def main() -> int:
    """Return 0 if no parser raised what it should not."""
    names = sorted(all_parsers())
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("parsers", nargs="*", metavar="PARSER", help=f"default all: {', '.join(names)}")
    arguments.add_argument("--seconds", type=int, default=60, help="for each parser")
    arguments.add_argument("--runs", type=int, help="instead of --seconds")
    arguments.add_argument("--seed", type=int, default=0, help="0: another one each time")
    arguments.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    unknown = sorted(set(given.parsers) - set(names))
    if unknown:
        arguments.error(f"there is no parser {unknown[0]!r}; expected some of {', '.join(names)}")
    limit = f"-max_total_time={given.seconds}" if given.runs is None else f"-atheris_runs={given.runs}"
    options = [limit, f"-seed={given.seed}", "-max_len=8192", "-rss_limit_mb=4096", "-timeout=30", "-verbosity=0"]
    if given.here:
        fuzz(given.parsers[0], options)
    failed = []
    for name in given.parsers or names:
        print(f"{name}:", flush=True)
        command = [sys.executable, __file__, name, "--here", "--seed", str(given.seed)]
        command += ["--seconds", str(given.seconds)] if given.runs is None else ["--runs", str(given.runs)]
        if subprocess.run(command, check=False).returncode != 0:
            failed.append(name)
    print(f"findings in: {', '.join(failed)}" if failed else "no findings")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
