"""The commands ``bin`` and ``transform``: bins of columns by the guest's labels, and new rows by them."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cipherlane.cli_commands import add_command, add_run_options

if TYPE_CHECKING:
    from cipherlane.federation.binning_results import BinningResult
    from cipherlane.federation.run_session import Progress

_STAGES = {
    "connect": "connecting to the federation, and waiting for its sites",
    "prepare": "reading each party's data",
    "agree": "asking each party what it has",
    "match": "matching rows by id",
    "key": "making the key pair, and cutting the hosts' columns",
    "labels": "encrypting labels and adding them by bin",
    "kept": "a part of the labels has been added, and the sums are kept",
    "verdicts": "decrypting the sums, and judging every column",
    "finish": "telling each host of its columns, and writing results and report",
    "complete": "this run is complete; there is nothing left to do",
}


def add_binning(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    parser = add_command(
        commands,
        "bin",
        _bin,
        "bin the columns of all parties by the guest's labels: weight of evidence, information value, selection",
        "  cipherlane bin plan.toml --out runs/bins\n"
        "  cipherlane bin plan.toml --out runs/bins --resume    # after an interruption\n"
        "  cipherlane transform runs/bins --data host=new_host.csv --out host_woe.csv\n"
        "\n"
        "the shortest plan (docs/binning.md has every field):\n"
        "  [binning]\n"
        "  threshold = 0.1            # keep columns with a larger information value\n"
        "  [parties.guest]\n"
        '  data = "guest.csv"\n'
        '  label_column = "y"         # two different labels; [binning] event = "1" names the event\n'
        "  [parties.host]\n"
        '  data = "host.csv"          # the same ids, in any order, and other columns\n'
        "\n"
        "Labels leave the guest encrypted alone; values and edges of bins stay with their party. The run directory\n"
        "holds the guest's binning.csv, what is selected (selected-NAME.csv), each party's sealed bins, and a report.\n"
        "Until it is whole it is called DIR.partial; a run that was killed goes on with --resume.",
    )
    parser.add_argument("plan", type=Path, metavar="PLAN", help="the plan, a TOML file")
    add_run_options(parser)
    parser = add_command(
        commands,
        "transform",
        _transform,
        "put new rows of a party into the bins of a run: weights of evidence, or numbers of bins",
        "  cipherlane transform runs/bins --data guest=new_guest.csv\n"
        "  cipherlane transform runs/bins --data host=new_host.csv --as index --out host_bins.csv\n"
        "\n"
        "The file needs the id column and the columns that were selected. A host knows weights of evidence only if\n"
        "the plan said tell_woe = true. At a party's own site RUN is the run's directory there. Output: a CSV line\n"
        "a row with its id and the selected columns.",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="the directory of a binning")
    parser.add_argument("--data", required=True, metavar="PARTY=FILE", help="the party's CSV file of new rows")
    parser.add_argument(
        "--as",
        dest="form",
        choices=["woe", "index"],
        help="what to put in the place of values (default: woe where the party knows it)",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="CSV file to write (default: print)")


def _bin(options: argparse.Namespace) -> int:
    from cipherlane.federation import bin_columns

    run = bin_columns(
        options.plan,
        options.out,
        engine=options.engine,
        kit=options.kit,
        resume=options.resume,
        progress=_show,
        patience=options.patience,
    )
    result = run.result
    if result is None:
        print("the tables, and what was selected, lie at the guest's own site")
    else:
        _print_values(result)
    print(f"binning took {run.metrics['totals']['seconds']['binning']:.2f} s")
    print(f"run directory: {run.directory}")
    return 0


def _print_values(result: BinningResult) -> None:
    for party in result.tables:
        values, selected = result.information_values(party), result.selected(party)
        print(f"{party}: {len(selected)} of {len(values)} columns kept")
        for name in sorted(values, key=lambda name: -values[name]):
            print(f"  {name:<24} IV {values[name]:10.6f}{'  kept' if name in selected else ''}")


def _show(event: Progress) -> None:
    if event.message is None:
        print(_STAGES[event.stage], file=sys.stderr)


def _transform(options: argparse.Namespace) -> int:
    from cipherlane.federation import transform_rows
    from cipherlane.files import create_whole

    party, separator, path = options.data.partition("=")
    if not separator or not party or not path:
        raise ValueError(f"--data: expected PARTY=FILE, got {options.data!r}")
    if options.out is not None and not options.out.parent.is_dir():
        raise ValueError(f"{options.out.parent}: no such directory; make it, or give another file with --out")
    rows = transform_rows(options.run, party, Path(path), options.form)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([rows.id_column, *rows.columns])
    for name, values in zip(rows.ids, rows.values.tolist(), strict=True):
        writer.writerow([name, *(map(int, values) if rows.form == "index" else map(repr, values))])
    if options.out is None:
        print(text.getvalue(), end="")
    elif not create_whole(options.out, text.getvalue()):
        raise ValueError(f"{options.out}: exists already; give another file with --out")
    print(f"{len(rows.ids)} rows, {len(rows.columns)} columns as {rows.form}", file=sys.stderr)
    return 0
