"""The commands of python-paillier's ``pheutil``: the same files, arguments and JSON."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import cipherlane
from cipherlane.integrations.phe.encrypted_number import EncryptedNumber
from cipherlane.integrations.phe.json_forms import (
    FIXED_EXPONENT,
    load_encrypted_number,
    load_private_key,
    load_public_key,
    parse,
    private_key_to_dict,
    public_part,
    serialise_encrypted,
)
from cipherlane.integrations.phe.key_generation import generate_paillier_keypair
from cipherlane.integrations.phe.public_key import PaillierPublicKey

__all__ = ["cli", "load_encrypted_number", "load_public_key", "log", "serialise_encrypted"]

_PROGRAM = "python -m cipherlane.integrations.phe"
_DEFAULT_KEYSIZE = 2048
_STANDARD = "-"
_NEGATIVE = 'Put "--" before a negative number.'


def log(m: str, color: str = "red") -> None:
    """Write a line for the person who runs the command, apart from the result; without colour."""
    print(m, file=sys.stderr)


class _Formatter(argparse.HelpFormatter):
    """Headings as ``pheutil`` has them."""

    def add_usage(
        self,
        usage: str | None,
        actions: Iterable[argparse.Action],
        groups: Iterable[argparse._MutuallyExclusiveGroup],
        prefix: str | None = None,
    ) -> None:
        """Begin with a capital letter."""
        super().add_usage(usage, actions, groups, "Usage: " if prefix is None else prefix)

    def start_section(self, heading: str | None) -> None:
        """Begin with a capital letter."""
        super().start_section(heading.capitalize() if heading else heading)


class _Command(NamedTuple):
    run: Callable[[argparse.Namespace], None]
    help: str
    arguments: tuple[str, ...]


_HELP = {
    "private": "file with a private key",
    "public": "file with a public key",
    "ciphertext": "file with an encrypted number",
    "encrypted": "file with an encrypted number",
    "encrypted_a": "file with an encrypted number",
    "encrypted_b": "file with an encrypted number",
    "plaintext": f"a number, taken as a float. {_NEGATIVE}",
}


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program, description="Paillier keys and encrypted numbers in files of JSON.", formatter_class=_Formatter
    )
    parser.add_argument("--version", action="version", version=f"cipherlane {cipherlane.__version__}")
    parser.add_argument("-v", "--verbose", action="store_true", help="accepted and ignored")
    commands = parser.add_subparsers(title="Commands", dest="command", required=True, metavar="COMMAND")
    for name, command in _COMMANDS.items():
        sub = commands.add_parser(name, help=command.help, description=command.help, formatter_class=_Formatter)
        for argument in command.arguments:
            sub.add_argument(argument, help=_HELP.get(argument, 'file, or "-" for the standard one'))
        if name == "genpkey":
            sub.add_argument("--keysize", type=int, default=_DEFAULT_KEYSIZE, help="bits of the modulus (2048)")
            sub.add_argument("--id", help='comment to put into "kid"')
        elif name != "extract":
            sub.add_argument("--output", default=_STANDARD, help="file to write instead of the standard output")
        sub.set_defaults(run=command.run)
    return parser


class _CommandLine:
    """What is called with arguments and ends with an exit status, like the object of that name in python-paillier."""

    name = "pheutil"

    def __call__(self, args: Sequence[str] | None = None) -> int:
        """Run a command and return 0, or 1 after an error, which is told."""
        return self._run(args, _PROGRAM)

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None) -> None:
        """Run a command and exit."""
        raise SystemExit(self._run(args, prog_name or _PROGRAM))

    def _run(self, args: Sequence[str] | None, program: str) -> int:
        options = _parser(program).parse_args(None if args is None else list(args))
        try:
            options.run(options)
        except (OSError, ValueError, OverflowError) as error:
            log(f"Error: {error}")
            return 1
        return 0


cli = _CommandLine()


@contextlib.contextmanager
def _reading(name: str) -> Iterator[IO[str]]:
    if name == _STANDARD:
        yield sys.stdin
    else:
        with Path(name).open(encoding="utf-8") as stream:
            yield stream


def _write(name: str, text: str, *, private: bool = False) -> None:
    if name == _STANDARD:
        print(text)
        return
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if private else 0o666)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        if private and stat.S_ISREG(os.fstat(descriptor).st_mode):
            # It may have been there before, open to others.
            os.fchmod(descriptor, 0o600)
        stream.write(text + "\n")


def _loaded(name: str, what: str) -> object:
    with _reading(name) as stream:
        return parse(stream.read(), what)


def _public_key(name: str) -> PaillierPublicKey:
    return load_public_key(_loaded(name, "public key"))


def _number(name: str, public_key: PaillierPublicKey) -> EncryptedNumber:
    with _reading(name) as stream:
        return load_encrypted_number(stream, public_key)


def _plain(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"plaintext: expected a number, got {text!r}") from None


def _write_number(number: EncryptedNumber, name: str) -> None:
    if number.exponent < FIXED_EXPONENT:
        log(f"Exponent {number.exponent} is lower than {FIXED_EXPONENT}: it tells something about the number")
    _write(name, serialise_encrypted(number))


def _genpkey(options: argparse.Namespace) -> None:
    # One encryption a process would not pay for a table of fast obfuscators, and the files have no place for h_s.
    _, private_key = generate_paillier_keypair(n_length=options.keysize, scheme="classic")
    _write(options.output, json.dumps(private_key_to_dict(private_key, options.id)), private=True)
    log(f"Private key of {options.keysize} bits written to {options.output}, not encrypted")


def _extract(options: argparse.Namespace) -> None:
    _write(options.output, json.dumps(public_part(_loaded(options.input, "private key"))))
    log(f"Public key written to {options.output}")


def _encrypt(options: argparse.Namespace) -> None:
    value = _plain(options.plaintext)
    _write_number(_public_key(options.public).encrypt(value), options.output)


def _decrypt(options: argparse.Namespace) -> None:
    private_key = load_private_key(_loaded(options.private, "private key"))
    _write(options.output, str(private_key.decrypt(_number(options.ciphertext, private_key.public_key))))


def _addenc(options: argparse.Namespace) -> None:
    public_key = _public_key(options.public)
    _write_number(_number(options.encrypted_a, public_key) + _number(options.encrypted_b, public_key), options.output)


def _add(options: argparse.Namespace) -> None:
    value = _plain(options.plaintext)
    _write_number(_number(options.encrypted, _public_key(options.public)) + value, options.output)


def _multiply(options: argparse.Namespace) -> None:
    value = _plain(options.plaintext)
    _write_number(_number(options.encrypted, _public_key(options.public)) * value, options.output)


_COMMANDS = {
    "genpkey": _Command(_genpkey, "Make a private key, with the public one in it.", ("output",)),
    "extract": _Command(_extract, "Write the public key out of a private one.", ("input", "output")),
    "encrypt": _Command(_encrypt, "Encrypt a number.", ("public", "plaintext")),
    "decrypt": _Command(_decrypt, "Decrypt a number.", ("private", "ciphertext")),
    "addenc": _Command(_addenc, "Add two encrypted numbers.", ("public", "encrypted_a", "encrypted_b")),
    "add": _Command(_add, "Add a plain number to an encrypted one.", ("public", "encrypted", "plaintext")),
    "multiply": _Command(
        _multiply, "Multiply an encrypted number by a plain one.", ("public", "encrypted", "plaintext")
    ),
}
