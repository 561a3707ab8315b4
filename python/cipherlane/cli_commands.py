"""What every command of the command line is made with."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path


def add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    run: Callable[[argparse.Namespace], int] | None,
    summary: str,
    examples: str,
) -> argparse.ArgumentParser:
    """Add a command with a summary and examples to its help; `run` does it and returns its exit code.

    Without `run`, the command has subcommands that say what to do.
    """
    parser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"examples:\n{examples}",
    )
    if run is not None:
        parser.set_defaults(command=run)
    return parser


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a command that runs a plan: where its roles run, where it writes, and going on."""
    parser.add_argument(
        "--engine",
        default="local",
        choices=["local", "nvflare"],
        help="local: all roles in this process (default); nvflare: each a site of NVIDIA FLARE's simulator on this "
        "machine (docs/nvflare.md tells how to use several)",
    )
    parser.add_argument(
        "--kit",
        type=Path,
        metavar="KIT",
        help="with --engine nvflare: run on the sites of a federation that is up, as the administrator whose startup "
        "kit this is",
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=3600.0,
        metavar="SECONDS",
        help="with --engine nvflare: how long a site that does not answer is waited for; more than its longest step "
        "takes (default: 3600)",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="run directory to make (default: runs/NAME-DATE-TIME)")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on from the last checkpoint in DIR.partial, or from the beginning if there is none",
    )
