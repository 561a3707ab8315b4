"""The commands ``audit`` and ``access``: checking a run against its ledger, and who may go on using whose data."""

from __future__ import annotations

import argparse
import time
from datetime import datetime, timezone
from pathlib import Path

from cipherlane.cli_commands import add_command
from cipherlane.errors import StorageError


def add_audit(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command ``audit``."""
    parser = add_command(
        commands,
        "audit",
        _audit,
        "check a run against its ledger, and name the first thing that does not hold",
        "  cipherlane audit runs/first\n"
        "  cipherlane audit runs/first --head 2613971c...       # a head hash noted when the run ended\n"
        "  cipherlane audit runs/first --account host=0x8f3a... # an account known from the member itself\n"
        "\n"
        "For a run whose plan has a section [ledger] (extra cipherlane[ledger]). It reads, and changes nothing but\n"
        "what the run's ledger.json says of the last audit, which `cipherlane report` shows:\n"
        "  every copy of the chain, record by record; the chain is executed again from its first block;\n"
        "  the contract, its members, the plan they accepted, the arbiter's key they all confirmed;\n"
        "  the transcript: what each member says it sent is what its receiver says it saw, in every round;\n"
        "  access to every data set, live at every round; and that models and results are those recorded.\n"
        "\n"
        "Exit code 0 only when all of it holds. What it cannot tell: whether the data were true and the computation\n"
        "right. If all validators together rewrote the chain, only a head hash noted elsewhere shows it: audit prints\n"
        "the head; keep it. docs/ledger.md tells more.",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="a run directory, or that of an unfinished run")
    parser.add_argument("--head", metavar="HASH", help="hash of a block that the chain must have")
    parser.add_argument(
        "--account",
        action="append",
        default=[],
        metavar="NAME=ADDRESS",
        help="the account that a member must have; once for each",
    )


def _audit(options: argparse.Namespace) -> int:
    from cipherlane.ledger import require_packages

    require_packages()
    from cipherlane.federation.directory_lock import check_not_held
    from cipherlane.ledger.audit import Expected, audit
    from cipherlane.report import Audit, note_audit

    now = datetime.now(timezone.utc)
    head = None if options.head is None else _hexadecimal("--head", options.head, 32)
    accounts = {}
    for argument in options.account:
        name, _, address = argument.partition("=")
        accounts[name] = _hexadecimal(f"--account {name}", address, 20)
    # Copies that are read while blocks are added differ, and nobody has changed them.
    check_not_held(options.run)
    report = audit(options.run, Expected(accounts, head))
    for text in report.held:
        print(f"holds:  {text}")
    for text in report.notes:
        print(f"note:   {text}")
    checked = len(report.held) + (not report.passed)
    try:
        note_audit(options.run, Audit(report.passed, checked, f"{now:%Y-%m-%dT%H:%M:%SZ}", tuple(report.problems)))
    except (StorageError, ValueError) as error:
        print(f"note:   this audit is not in the run's ledger.json: {error}")
    if report.failure is not None:
        print(f"FAILS:  {report.failure}")
        print("what comes after this was not checked")
        return 1
    print("everything holds")
    return 0


def _hexadecimal(name: str, text: str, length: int) -> bytes:
    digits = text.removeprefix("0x")
    if len(digits) != 2 * length or not set(digits) <= set("0123456789abcdefABCDEF"):
        raise ValueError(f"{name}: expected {2 * length} hexadecimal digits, got {text!r}")
    return bytes.fromhex(digits)


def add_access(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command ``access``."""
    parser = add_command(
        commands,
        "access",
        _access,
        "revoke or grant a run's access to a party's data set, on that party's machine",
        "  cipherlane access runs/first --party host --revoke\n"
        "  cipherlane access runs/first --party host --hours 48\n"
        "\n"
        "For a run with a ledger that is on, or stopped. After --revoke no further round begins: the party refuses it\n"
        "at once, the ledger says so to all, and the run stops with a checkpoint. After --hours, resume it with\n"
        "`cipherlane train --resume`. RUN is the directory given to train as --out.",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="the run's directory, as given to train")
    parser.add_argument("--party", required=True, metavar="NAME", help="the party whose data set it is")
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--revoke", action="store_true", help="from the next round on")
    choice.add_argument("--hours", type=float, metavar="N", help="grant access for this long from now on")


def _access(options: argparse.Namespace) -> int:
    from cipherlane.federation.run_store import unfinished
    from cipherlane.ledger.access import REVOKED, request_access
    from cipherlane.ledger.run_files import member_directory

    if options.hours is not None and not 0 < options.hours < 1e6:
        raise ValueError(f"--hours: expected a number above 0, got {options.hours:g}; to end access use --revoke")
    expiry = REVOKED if options.revoke else int(time.time() + 3600 * options.hours)
    request_access(member_directory(unfinished(options.run), options.party), expiry)
    print("revoked from the next round on" if options.revoke else f"granted for {options.hours:g} hours")
    return 0
