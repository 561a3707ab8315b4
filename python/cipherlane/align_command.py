"""The command ``cipherlane align``: which rows two or more parties share, by files between them or in one process."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cipherlane.errors import ProtocolError
from cipherlane.files import PRIVATE, PUBLIC, create_whole, make_directory, told
from cipherlane.vertical.alignment import Answering, Asking, align, check_code, count_common
from cipherlane.vertical.id_files import IdFile
from cipherlane.vertical.identifiers import IdRules

EXAMPLES = """\
  the guest, who wants the result     cipherlane align request guest.csv --dir align --host clinic
    -> send align/clinic.request to the clinic
  the host, the clinic                cipherlane align answer host.csv clinic.request --dir align --host clinic
    -> send align/clinic.answer back
  the guest                           cipherlane align finish guest.csv --dir align --out guest_aligned.csv
    -> send align/clinic.result to the clinic
  the host                            cipherlane align accept host.csv --dir align --host clinic --out host_aligned.csv

  cipherlane align local --data guest=guest.csv --data clinic=host.csv --dir aligned     # all in one process

  the guest                           cipherlane align request north.csv --dir check --host south --count
  the host                            cipherlane align answer south.csv south.request --dir check --host south
  the guest                           cipherlane align count north.csv --dir check      # how many ids both have

The last three only count: parties that train on different patients of the same columns should have none in common. The
others end with the rows whose ids all have, in the same order; train on these files. With several hosts the guest gives
--host once for each, and finishes when all answers lie in its directory. The guest learns which ids it shares with each
host, a host which ids all parties share; of other ids they learn the number. docs/privacy.md says all of it. Files
*.state are secret and are deleted once they have served. Compare the codes that are printed over the telephone.

ids are text: Unicode NFC, white space at both ends taken off, case kept unless --fold-case; 007 and 7 differ. An empty
id, or two that are the same after this, is an error."""


def add_steps(parser: argparse.ArgumentParser) -> None:
    """Add the steps of an alignment to the parser of the command."""
    steps = parser.add_subparsers(title="steps", required=True, metavar="STEP")
    request = _step(steps, "request", _request, "guest: blind the own ids, for each host")
    _add_data(request)
    request.add_argument("--host", action="append", required=True, metavar="NAME", help="a host; once for each")
    request.add_argument("--count", action="store_true", help="ask only how many ids are common, not which")
    answer = _step(steps, "answer", _answer, "host: blind the guest's ids again, and the own ones")
    _add_data(answer)
    answer.add_argument("request", type=Path, metavar="REQUEST", help="the file NAME.request that the guest sent")
    answer.add_argument("--host", required=True, metavar="NAME", help="this host's name")
    answer.add_argument("--most", type=int, metavar="N", help="refuse a request about more than N ids")
    finish = _step(steps, "finish", _finish, "guest: find the ids all have, and tell the hosts")
    _add_data(finish)
    finish.add_argument("--out", type=Path, required=True, metavar="FILE", help="CSV file to write")
    count = _step(steps, "count", _count, "guest: how many ids are common, after a request with --count")
    _add_data(count)
    accept = _step(steps, "accept", _accept, "host: take the ids all have")
    _add_data(accept)
    accept.add_argument("--host", required=True, metavar="NAME", help="this host's name")
    accept.add_argument("--out", type=Path, required=True, metavar="FILE", help="CSV file to write")
    local = _step(steps, "local", _local, "align files in one process")
    local.add_argument(
        "--data", action="append", required=True, metavar="PARTY=FILE", help="a party's CSV file; the guest's first"
    )
    local.add_argument("--count", action="store_true", help="only print how many ids each two parties have in common")
    _add_common(local, dir_required=False)


def _step(
    steps: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    run: Callable[[argparse.Namespace], int],
    summary: str,
) -> argparse.ArgumentParser:
    parser = steps.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"examples:\n{EXAMPLES}",
    )
    parser.set_defaults(command=run)
    return parser


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", type=Path, metavar="DATA", help="the own CSV file, with a header line")
    _add_common(parser)


def _add_common(parser: argparse.ArgumentParser, *, dir_required: bool = True) -> None:
    parser.add_argument(
        "--dir", type=Path, required=dir_required, metavar="DIR", help="directory for the files of the exchange"
    )
    parser.add_argument("--id-column", default="id", metavar="NAME", help="the column of ids (default: id)")
    parser.add_argument("--fold-case", action="store_true", help="upper and lower case are the same, at all parties")


def _request(options: argparse.Namespace) -> int:
    ids = _read(options).ids
    if len(set(options.host)) < len(options.host):
        raise ValueError("--host: a name is given twice; give one name for each host")
    for host in options.host:
        request = _file(options, host, "request")
        asking = Asking.begin(ids, _rules(options), str(options.data), only_count=options.count)
        _write_secret(_file(options, host, "state"), asking.to_bytes())
        _write(request, asking.request)
        print(f"{request}: send it to {host}; code {check_code(asking.request)}")
    return 0


def _answer(options: argparse.Namespace) -> int:
    ids = _read(options).ids
    request = _bytes(options.request)
    with _named(options.request):
        answering = Answering.to(request, ids, _rules(options), source=str(options.data), most_asked=options.most)
    answer = _file(options, options.host, "answer")
    if not answering.only_count:
        _write_secret(_file(options, options.host, "state"), answering.to_bytes())
    make_directory(answer.parent, 0o700)
    _write(answer, answering.answer)
    wanted = "how many of {} ids are here, not which" if answering.only_count else "about {} ids"
    print(f"{options.request}: asks {wanted.format(answering.asked)}; code {check_code(request)}")
    print(f"{answer}: send it back to the guest; code {check_code(answering.answer)}")
    return 0


def _finish(options: argparse.Namespace) -> int:
    table = _read(options)
    begun = _begun(options, table, only_count=False)
    _check_free(options.out)
    rules = _rules(options)
    shared = set(rules.apply(table.ids, table.source))
    exchanges = []
    for host, asking in begun:
        path = _file(options, host, "answer")
        answer = _bytes(path)
        with _named(path):
            found = asking.common(answer)
        print(f"{host}: shares {len(found)} ids; code {check_code(answer)}")
        shared.intersection_update(found)
        exchanges.append((host, asking, answer))
    common = tuple(sorted(shared))
    results = [(host, asking.tell(answer, common)) for host, asking, answer in exchanges]
    table.write_aligned(options.out, common, rules)
    for host, result in results:
        path = _file(options, host, "result")
        _write(path, result)
        print(f"{path}: send it to {host}")
    # Only now: ended before, the command begins again with all hosts, and tells none of ids that another lacks.
    for host, _ in begun:
        _file(options, host, "state").unlink()
    print(f"{options.out}: {len(common)} of {len(table.rows)} rows")
    return 0


def _count(options: argparse.Namespace) -> int:
    for host, asking in _begun(options, _read(options), only_count=True):
        path = _file(options, host, "answer")
        answer = _bytes(path)
        with _named(path):
            told = _told_count(asking.count(answer))
        print(f"{host}: {told}; code {check_code(answer)}")
        _file(options, host, "state").unlink()
    return 0


def _told_count(count: int) -> str:
    return f"{count} ids in common" if count != 1 else "1 id in common"


def _begun(options: argparse.Namespace, table: IdFile, *, only_count: bool) -> list[tuple[str, Asking]]:
    """Return the exchanges that were begun in the directory, by the names of their hosts."""
    hosts = sorted(path.stem for path in options.dir.glob("*.state"))
    if not hosts:
        raise ValueError(f"{options.dir}: no alignment was begun there; start with `cipherlane align request`")
    begun = []
    for host in hosts:
        state, request = _bytes(_file(options, host, "state")), _bytes(_file(options, host, "request"))
        asking = Asking.from_bytes(state, request, table.ids, table.source)
        if asking.only_count != only_count:
            end = "count" if asking.only_count else "finish"
            how = "with" if asking.only_count else "without"
            raise ValueError(
                f"{_file(options, host, 'request')}: it was made {how} --count; end it with `cipherlane align {end}`"
            )
        begun.append((host, asking))
    return begun


def _accept(options: argparse.Namespace) -> int:
    table = _read(options)
    _check_free(options.out)
    state, answer = (_bytes(_file(options, options.host, kind)) for kind in ("state", "answer"))
    rules = _rules(options)
    answering = Answering.from_bytes(state, answer, table.ids, rules, table.source)
    path = _file(options, options.host, "result")
    result = _bytes(path)
    with _named(path):
        common = answering.common(result)
    table.write_aligned(options.out, common, rules)
    _file(options, options.host, "state").unlink()
    print(f"{options.out}: {len(common)} of {len(table.rows)} rows")
    return 0


def _local(options: argparse.Namespace) -> int:
    files: dict[str, Path] = {}
    for argument in options.data:
        name, separator, path = argument.partition("=")
        if not separator or not name or not path or name in files:
            raise ValueError(f"--data: expected PARTY=FILE, each party once, got {argument!r}")
        files[name] = Path(path)
    if len(files) < 2:
        raise ValueError("--data: expected at least two parties, got one")
    tables = {name: IdFile.read(path, options.id_column) for name, path in files.items()}
    if options.count:
        for (one, first), (other, second) in itertools.combinations(tables.items(), 2):
            print(f"{one} and {other}: {_told_count(count_common(first.ids, second.ids, _rules(options)))}")
        return 0
    if options.dir is None:
        raise ValueError("--dir: name the directory for the aligned files, or give --count to write none")
    outputs = {name: options.dir / f"{name}.csv" for name in files}
    for path in outputs.values():
        _check_free(path)
    rules = _rules(options)
    for table in tables.values():
        rules.apply(table.ids, table.source)
    common = align([table.ids for table in tables.values()], rules)
    options.dir.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.write_aligned(outputs[name], common, rules)
        print(f"{outputs[name]}: {len(common)} of {len(table.rows)} rows")
    return 0


def _read(options: argparse.Namespace) -> IdFile:
    return IdFile.read(options.data, options.id_column)


def _rules(options: argparse.Namespace) -> IdRules:
    return IdRules(fold_case=options.fold_case)


def _file(options: argparse.Namespace, host: str, kind: str) -> Path:
    if not host.replace("-", "").replace("_", "").isalnum():
        raise ValueError(f"--host: expected a name of letters, digits, dashes and underscores, got {host!r}")
    directory: Path = options.dir
    return directory / f"{host}.{kind}"


def _bytes(path: Path) -> bytes:
    if not path.is_file():
        raise ValueError(f"{path}: no such file; put what the other party sent there, or do the step that makes it")
    with told(path):
        return path.read_bytes()


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name the file of a message that is refused."""
    try:
        yield
    except ProtocolError as error:
        raise ProtocolError(f"{path}: {error}") from error


def _check_free(path: Path) -> None:
    if path.exists():
        raise ValueError(f"{path}: exists already; delete it, or give another name")


def _write(path: Path, content: bytes, mode: int = PUBLIC) -> None:
    if not create_whole(path, content, mode=mode):
        _check_free(path)


def _write_secret(path: Path, content: bytes) -> None:
    """Write what nobody else may read; before the message it belongs to, so that none is sent without it."""
    make_directory(path.parent, 0o700)
    _write(path, content, PRIVATE)
