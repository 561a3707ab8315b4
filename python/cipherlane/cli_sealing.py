"""The command ``rotate-key``: other keys for a party's sealed files."""

from __future__ import annotations

import argparse
from pathlib import Path

from cipherlane.cli_commands import add_command


def add_rotate_key(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "rotate-key",
        _rotate_key,
        "seal a party's files with another key",
        "  cipherlane rotate-key runs/first/parties/guest                # a fresh key in the place of its seal.key\n"
        "  cipherlane rotate-key clinic --key env:OLD --new-key env:NEW  # keys in environment variables, base64\n"
        "  cipherlane rotate-key clinic --key keyring:cipherlane/clinic  # a fresh one in the system's keyring\n"
        "\n"
        "Seals every *.sealed file below the directory anew. Killed at any moment, the same command finishes it. No\n"
        "run may be using the files meanwhile. After --new-key, name that key as `seal_key` in the plan.",
    )
    parser.add_argument("directory", type=Path, metavar="DIR", help="where the sealed files lie")
    parser.add_argument(
        "--key",
        metavar="KEY",
        help="the key they have: FILE, env:NAME or keyring:SERVICE/NAME (default: DIR/seal.key)",
    )
    parser.add_argument("--new-key", metavar="KEY", help="the key to seal them with (default: a fresh one there)")


def _rotate_key(options: argparse.Namespace) -> int:
    from cipherlane.federation.run_store import held_run
    from cipherlane.vertical.seal_keys import FileKey, parse_seal_key
    from cipherlane.vertical.sealed_files import KEY_FILE, rotate

    directory: Path = options.directory
    if not directory.is_dir():
        raise ValueError(f"{directory}: no such directory; name the one that a party's sealed files lie in")
    key = FileKey(directory / KEY_FILE) if options.key is None else parse_seal_key(options.key)
    new_key = None if options.new_key is None else parse_seal_key(options.new_key)
    with held_run(directory):
        count = rotate(directory, key, new_key)
    print(f"{count} files below {directory} are sealed with the new key")
    return 0
