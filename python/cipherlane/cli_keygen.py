"""The command ``keygen``: a key pair in files, the private key under a password."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from pathlib import Path

import cipherlane
from cipherlane.cli_commands import add_command
from cipherlane.paillier.pem import PASSWORD_VARIABLE


def add_keygen(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "keygen",
        _keygen,
        "make a Paillier key pair: NAME.public.json, and NAME.private.pem under a password",
        "  cipherlane keygen --out keys/clinic                      # asks for the password\n"
        "  cipherlane keygen --out keys/clinic --password-file secret.txt\n"
        f"  {PASSWORD_VARIABLE}=... cipherlane keygen --out keys/clinic --bits 3072\n"
        "\n"
        "`train` makes a fresh pair for every run; with a section [arbiter] in the plan, which names this one by its\n"
        "fingerprint, the arbiter uses it and every other role refuses any other (docs/plan.md). From Python:\n"
        '  public_key = cipherlane.PublicKey.from_json(open("keys/clinic.public.json").read())\n'
        '  private_key = cipherlane.PrivateKey.from_pem(open("keys/clinic.private.pem").read(), password)',
    )
    parser.add_argument("--out", type=Path, required=True, metavar="NAME", help="path both names start with")
    parser.add_argument(
        "--bits", type=int, default=2048, help="size of the modulus: 1024 to 4096, a multiple of 256 (default: 2048)"
    )
    parser.add_argument(
        "--scheme",
        default="djn",
        choices=["djn", "classic", "short"],
        help="djn (default): fast encryption; classic: as published in 1999; short: the fastest decryption, under a "
        "further assumption; docs/keys.md compares them",
    )
    parser.add_argument(
        "--password-file",
        type=Path,
        metavar="FILE",
        help=f"file whose first line is the password (default: ${PASSWORD_VARIABLE}, else ask)",
    )


def _keygen(options: argparse.Namespace) -> int:
    public_file = options.out.with_name(options.out.name + ".public.json")
    private_file = options.out.with_name(options.out.name + ".private.pem")
    for path in (public_file, private_file):
        if path.exists():
            raise ValueError(f"{path}: exists already; give another name with --out")
    password = _password(options.password_file)
    public_key, private_key = cipherlane.keygen(bits=options.bits, scheme=options.scheme)
    sealed = private_key.to_pem(password)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(private_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(sealed)
        public_file.write_text(public_key.to_json(), encoding="utf-8")
    except BaseException:
        # Half a pair is no pair.
        private_file.unlink(missing_ok=True)
        public_file.unlink(missing_ok=True)
        raise
    print(f"{public_key.bits}-bit {public_key.scheme} key, fingerprint {public_key.fingerprint}")
    print(f"public:  {public_file}")
    print(f"private: {private_file}")
    return 0


def _password(file: Path | None) -> str:
    if file is not None:
        lines = file.read_text(encoding="utf-8").splitlines()
        password = lines[0] if lines else ""
        source = str(file)
    elif PASSWORD_VARIABLE in os.environ:
        password, source = os.environ[PASSWORD_VARIABLE], PASSWORD_VARIABLE
    elif sys.stdin.isatty():
        password, source = getpass.getpass("password for the private key: "), "the password"
        if getpass.getpass("the same again: ") != password:
            raise ValueError("the password: the two did not agree; try again")
    else:
        raise ValueError(f"no password: give --password-file or set {PASSWORD_VARIABLE}")
    if not password:
        raise ValueError(f"{source}: the password is empty; a private key needs one")
    return password
