"""The command ``models``: the versions that runs left, which one is used, and training on from one."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cipherlane.cli_commands import add_command

if TYPE_CHECKING:
    from cipherlane.federation import Run

ACTIONS = ("list", "show", "select", "continue")
_SHOWN_DIGITS = 12


def add_models(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    train: Callable[[argparse.Namespace, Path | None], Run],
) -> None:
    """Add the command; `train` trains with its options from a parent, as the command ``train`` does."""
    parser = add_command(
        commands,
        "models",
        _list,
        "list, show and select models, and train on from one",
        "  cipherlane models list                                  # every version in runs/, and what it came from\n"
        "  cipherlane models show runs/first                       # the model files of a run; `show` may be left out\n"
        "  cipherlane models select 3f9a                           # `cipherlane score selected` uses it from now on\n"
        "  cipherlane models continue 3f9a --out runs/second       # more rounds, from where the version ended\n"
        "  cipherlane models continue runs/first --plan new.toml   # with other data or settings\n"
        "\n"
        "Each finished run holds one version. Its number is a digest of its model files, its plan and the version it\n"
        "was trained on from, so it stands for all that led to it; changed files are refused by name.",
    )
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="the versions of the runs in a directory")
    listing.add_argument("runs", type=Path, nargs="?", default=Path("runs"), metavar="DIR", help="default: runs")
    listing.set_defaults(command=_list)
    showing = actions.add_parser("show", help="the model files of a run")
    showing.add_argument("run", type=Path, metavar="RUN", help="a run directory")
    showing.set_defaults(command=_show)
    selecting = actions.add_parser("select", help="choose the version that `selected` stands for")
    _add_version(selecting)
    selecting.set_defaults(command=_select)
    continuing = actions.add_parser("continue", help="train on from a version")
    _add_version(continuing)
    continuing.add_argument("--plan", type=Path, metavar="PLAN", help="another plan (default: the version's own)")
    continuing.add_argument("--out", type=Path, metavar="DIR", help="run directory (default: runs/NAME-DATE-TIME)")
    continuing.add_argument("--engine", default="local", choices=["local", "nvflare"], help="as for `cipherlane train`")
    continuing.add_argument("--kit", type=Path, metavar="KIT", help="as for `cipherlane train`")
    continuing.add_argument(
        "--patience", type=float, default=3600.0, metavar="SECONDS", help="as for `cipherlane train`"
    )
    continuing.add_argument("--resume", action="store_true", help="go on after an interruption, with the same --out")
    continuing.set_defaults(command=lambda options: _continue(options, train))


def _add_version(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("version", metavar="VERSION", help="a run directory, or the first digits of a version")
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where runs lie (default: runs)")


def _list(options: argparse.Namespace) -> int:
    from cipherlane.federation.plan import LOGISTIC
    from cipherlane.federation.registry import lineage, selected, versions

    found = versions(options.runs)
    if not found:
        raise ValueError(
            f"{options.runs}: no finished run lies there; `cipherlane train PLAN --out {options.runs}/NAME`"
        )
    chosen = selected(options.runs)
    for version in found:
        facts = version.facts
        mark = "*" if version.digest == chosen else " "
        came = " < ".join(digest[:_SHOWN_DIGITS] for digest in lineage(version, found)) or "began anew"
        components = "" if facts["algorithm"] == LOGISTIC else f"{facts['components']} components, "
        print(
            f"{mark} {version.digest[:_SHOWN_DIGITS]}  {version.run}: {components}{facts['algorithm']}, "
            f"{facts['iterations']} iterations, mean log-likelihood {facts['log_likelihood']:.6f}, "
            f"{facts['finished']}; {came}"
        )
    return 0


def _show(options: argparse.Namespace) -> int:
    from cipherlane.federation.logistic_models import load_logistic_model
    from cipherlane.federation.logistic_scoring import is_logistic_run
    from cipherlane.federation.models import load_models
    from cipherlane.federation.registry import models_elsewhere
    from cipherlane.federation.run_store import MODELS_DIRECTORY, check_trained

    files = sorted((check_trained(options.run) / MODELS_DIRECTORY).glob("*.npz"))
    elsewhere = models_elsewhere(options.run)
    if not files and not elsewhere:
        raise ValueError(f"{options.run}: the run has no model files; they were removed")
    if is_logistic_run(options.run):
        for path in files:
            model = load_logistic_model(path)
            of = "" if model.labels is None else f" and an intercept, positive class {model.labels[1]!r}"
            print(f"{path}: {len(model.coefficients)} coefficients of {model.party}{of}, {path.stat().st_size} bytes")
        return 0
    for path in files:
        blocks = load_models(path)
        width = sum(len(block.preprocessing.columns) for block in blocks)
        parties = ", ".join(block.party for block in blocks)
        kind = blocks[0].parameters.covariance_type
        print(
            f"{path}: {blocks[0].components} components ({kind}) over {width} columns of {parties}, "
            f"{path.stat().st_size} bytes"
        )
    for name, digest in elsewhere.items():
        print(f"{name}: kept at the site that made it, SHA-256 {digest}")
    return 0


def _select(options: argparse.Namespace) -> int:
    from cipherlane.federation.registry import select

    version = select(options.runs, options.version)
    print(f"selected: {version.digest[:_SHOWN_DIGITS]} in {version.run}")
    return 0


def _continue(options: argparse.Namespace, train: Callable[[argparse.Namespace, Path | None], Run]) -> int:
    from cipherlane.federation.registry import find

    parent = find(options.runs, options.version)
    run = train(options, parent.run)
    print(f"version: {run.metrics['model']['version'][:_SHOWN_DIGITS]}, from {parent.digest[:_SHOWN_DIGITS]}")
    return 0
