"""The command line: ``cipherlane train | score | models | report | info | keygen | bench``."""

from __future__ import annotations

import argparse
import getpass
import os
import platform
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import cipherlane
from cipherlane.errors import CipherlaneError

if TYPE_CHECKING:
    from cipherlane.federation import Progress

PASSWORD_VARIABLE = "CIPHERLANE_PASSWORD"
_STAGES = {
    "prepare": "reading and sealing each party's data",
    "agree": "asking each party what it has (the first time here this compiles numerical kernels)",
    "match": "matching rows by id",
    "key": "making the key pair",
    "start": "choosing initial responsibilities",
    "finish": "writing models and report",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 only on success."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            return command(options)
    except BrokenPipeError:
        # Who read our output has seen enough. Nothing may be flushed to it at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        print(f"cipherlane: error: {_in_words(error)}", file=sys.stderr)
        return 1
    except (CipherlaneError, ValueError, TypeError) as error:
        print(f"cipherlane: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("cipherlane: interrupted; training with a checkpoint goes on with --resume", file=sys.stderr)
        return 130


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    print(f"cipherlane: warning: {message}", file=sys.stderr)


def _in_words(error: OSError) -> str:
    if error.filename is None or error.strerror is None:
        return str(error)
    text = error.strerror[0].lower() + error.strerror[1:]
    return f"{error.filename}: {text}; check the path, its permissions and the space left"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cipherlane",
        description="Batch Paillier encryption, and the federated learning that rests on it.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="first steps:\n"
        "  cipherlane info\n"
        "  cipherlane train examples/breast_cancer/plan.toml --out runs/first\n"
        "  cipherlane report runs/first",
    )
    parser.add_argument("--version", action="version", version=f"cipherlane {cipherlane.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_train(commands)
    _add_score(commands)
    _add_models(commands)
    _add_report(commands)
    _add_info(commands)
    _add_keygen(commands)
    _add_bench(commands)
    return parser


def _add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    run: Callable[[argparse.Namespace], int],
    summary: str,
    examples: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"examples:\n{examples}",
    )
    parser.set_defaults(command=run)
    return parser


def _add_train(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add_command(
        commands,
        "train",
        _train,
        "train a federated mixture from a plan and write a run directory",
        "  cipherlane train plan.toml\n"
        "  cipherlane train plan.toml --out runs/first\n"
        "  cipherlane train plan.toml --out runs/first --resume    # after an interruption\n"
        "\n"
        "the shortest plan (docs/plan.md has every field; examples/breast_cancer/plan.toml is a whole one):\n"
        "  [model]\n"
        "  components = 2\n"
        "  [parties.guest]            # wants the result, may have labels\n"
        '  data = "guest.csv"         # a header, an id column and columns of numbers\n'
        '  label_column = "y"         # if there is one: it is never trained on, and never leaves the guest\n'
        "  [parties.host]\n"
        '  data = "host.csv"          # the same ids, in any order, and other columns\n'
        "\n"
        "A run directory holds the plan, models, the guest's assignments.csv, metrics.json and report.md. Until it\n"
        "is whole it is called DIR.partial; a run that fails before its first checkpoint leaves nothing.",
    )
    parser.add_argument("plan", type=Path, metavar="PLAN", help="the plan, a TOML file")
    parser.add_argument(
        "--engine", default="local", choices=["local"], help="local: all roles in this process (default)"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="run directory to make (default: runs/NAME-DATE-TIME)")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in DIR.partial")


def _train(options: argparse.Namespace) -> int:
    from cipherlane.federation import load_plan, train

    plan = load_plan(options.plan)
    with _ProgressPrinter(plan.training.max_iterations) as printer:
        run = train(plan, options.out, engine=options.engine, resume=options.resume, progress=printer.show)
    state = "converged" if run.converged else "reached the plan's limit"
    print(f"{state} after {run.iterations} iterations, mean log-likelihood {run.log_likelihood:.6f}")
    print(f"training took {run.metrics['totals']['seconds']['training']:.2f} s")
    print(f"run directory: {run.directory}")
    return 0


class _ProgressPrinter:
    """A progress bar on a terminal, one line an event elsewhere."""

    def __init__(self, most_rounds: int) -> None:
        from tqdm import tqdm

        self._terminal = sys.stderr.isatty()
        self._bar = tqdm(total=most_rounds, disable=not self._terminal, unit="round", leave=False)

    def __enter__(self) -> _ProgressPrinter:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def show(self, event: Progress) -> None:
        """Show one event."""
        if event.record is None:
            text = _STAGES[event.stage]
            if self._terminal:
                self._bar.set_description(text)
            else:
                print(text, file=sys.stderr)
            return
        record = event.record
        if self._terminal:
            self._bar.set_description("training")
            self._bar.set_postfix(log_likelihood=f"{record.log_likelihood:.6f}")
            self._bar.update(record.round - self._bar.n)
        else:
            print(
                f"round {record.round}: mean log-likelihood {record.log_likelihood:.6f}, "
                f"{record.seconds['total']:.3f} s",
                file=sys.stderr,
            )


def _add_score(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add_command(
        commands,
        "score",
        _score,
        "assign new rows to the components of a trained mixture",
        "  cipherlane score runs/first --data guest=new_guest.csv --data host=new_host.csv\n"
        "  cipherlane score runs/first/models/joint.npz --data guest=g.csv --data host=h.csv --out s.csv\n"
        "\n"
        "With a run, each party scores its own columns and the parts meet in encrypted sums. With a joint\n"
        "model file, whoever has it and all the columns computes directly. Files need the id column and the\n"
        "columns of training. Output: a CSV line a row with its id, its likeliest component, and the\n"
        "probability of each component (r0, r1, ...).",
    )
    parser.add_argument("model", type=Path, metavar="RUN_OR_MODEL", help="a run directory or a joint model")
    parser.add_argument(
        "--data",
        action="append",
        required=True,
        metavar="PARTY=FILE",
        help="a party's CSV file of new rows; once for each party",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="CSV file to write (default: print)")


def _score(options: argparse.Namespace) -> int:
    from cipherlane.federation import score_models, score_run
    from cipherlane.federation.assignments import write_assignment_rows, write_assignments

    data = _data_files(options.data)
    if options.out is not None and options.out.exists():
        raise ValueError(f"{options.out}: exists already; give another file with --out")
    if options.out is not None and not options.out.parent.is_dir():
        raise ValueError(f"{options.out.parent}: no such directory; make it, or give another file with --out")
    score = score_run if options.model.is_dir() else score_models
    found = score(options.model, data)
    if options.out is None:
        write_assignment_rows(sys.stdout, found.id_column, found.ids, found.responsibilities)
    else:
        write_assignments(options.out, found.id_column, found.ids, found.responsibilities)
    print(f"{len(found.ids)} rows, mean log-likelihood {found.log_likelihood:.6f}", file=sys.stderr)
    return 0


def _data_files(arguments: Sequence[str]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for argument in arguments:
        name, separator, path = argument.partition("=")
        if not separator or not name or not path:
            raise ValueError(f"--data: expected PARTY=FILE, got {argument!r}")
        if name in files:
            raise ValueError(f"--data: party {name!r} is given twice; give one file for each party")
        files[name] = Path(path)
    return files


def _add_models(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add_command(
        commands,
        "models",
        _models,
        "list the model files of a run",
        "  cipherlane models runs/first\n"
        "\n"
        "Each party has a file with its own block; joint.npz has all of them, unless the plan forbids it.",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="a run directory")


def _models(options: argparse.Namespace) -> int:
    from cipherlane.federation.models import load_models
    from cipherlane.federation.run_store import MODELS_DIRECTORY, check_complete

    files = sorted((check_complete(options.run) / MODELS_DIRECTORY).glob("*.npz"))
    if not files:
        raise ValueError(f"{options.run}: the run has no model files; they were removed")
    for path in files:
        blocks = load_models(path)
        width = sum(len(block.preprocessing.columns) for block in blocks)
        parties = ", ".join(block.party for block in blocks)
        kind = blocks[0].parameters.covariance_type
        print(
            f"{path}: {blocks[0].components} components ({kind}) over {width} columns of {parties}, "
            f"{path.stat().st_size} bytes"
        )
    return 0


def _add_report(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add_command(
        commands,
        "report",
        _report,
        "print the report of a run and write it, with plots, into the run directory",
        "  cipherlane report runs/first\n"
        "\n"
        "The report tells how the clustering agrees with the guest's labels, where the time went, how many\n"
        "ciphertexts crossed, and what the run showed to whom. Plots need matplotlib (the extra `plot`).",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="a run directory")


def _report(options: argparse.Namespace) -> int:
    from cipherlane.federation.run_store import check_complete
    from cipherlane.report import render_report, write_report

    run = check_complete(options.run)
    written = write_report(run)
    print(render_report(run))
    print("written: " + ", ".join(str(path) for path in written), file=sys.stderr)
    return 0


def _add_info(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    _add_command(
        commands,
        "info",
        _info,
        "show versions, backends, processor, GPU and threads",
        "  cipherlane info\n\nCIPHERLANE_BACKEND and CIPHERLANE_THREADS choose another backend or number of threads.",
    )


def _info(options: argparse.Namespace) -> int:
    from cipherlane.benchmark.machine import processor
    from cipherlane.federation.capability import available_memory, software, threads
    from cipherlane.paillier.devices import describe_gpu

    for name, version in software().items():
        print(f"{name + ':':<12}{version}")
    print(f"{'system:':<12}{platform.system()} {platform.machine()}")
    print(f"{'processor:':<12}{processor()}, {os.cpu_count()} logical cores")
    print(f"{'memory:':<12}{available_memory() / (1 << 30):.1f} GB available")
    print(f"{'gpu:':<12}{describe_gpu()}")
    print(f"{'backends:':<12}{', '.join(cipherlane.backends())} (best first)")
    print(f"{'threads:':<12}{threads()} (set CIPHERLANE_THREADS to change)")
    return 0


def _add_keygen(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add_command(
        commands,
        "keygen",
        _keygen,
        "make a Paillier key pair: NAME.public.json, and NAME.private.pem under a password",
        "  cipherlane keygen --out keys/clinic                      # asks for the password\n"
        "  cipherlane keygen --out keys/clinic --password-file secret.txt\n"
        f"  {PASSWORD_VARIABLE}=... cipherlane keygen --out keys/clinic --bits 3072\n"
        "\n"
        "Use them from Python; `train` makes a fresh pair for every run and needs none of these:\n"
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
    print(f"{public_key.bits}-bit {public_key.scheme} key {public_key.fingerprint[:16]}")
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


def _add_bench(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add_command(
        commands,
        "bench",
        _bench,
        "measure encryption on this machine beside other libraries",
        "  cipherlane bench --quick                                 # a minute or two, all operations\n"
        "  cipherlane bench --bits 2048 3072 --against gmpy2,heu --json bench.json --plot bench.png\n"
        "  cipherlane bench --operations encrypt add --threads 1 2 --backend ifma portable\n"
        "  cipherlane bench --operations encrypt --batch 8 64 512 4096 --against none\n"
        "  cipherlane bench --backend cuda --json gpu.json          # a GPU, see docs/gpu.md\n"
        "\n"
        "Every operation, ours and theirs, is verified by decryption before it is timed. Rates are operations a\n"
        "CPU second, so that a busy machine does not matter much; a GPU is measured as a whole, in elapsed time. A\n"
        "ratio compares like with like, or says in what the two are unlike. docs/benchmark.md explains every column.\n"
        "Ctrl-C prints what has been measured so far.\n"
        "\n"
        "operations: encrypt, encrypt-classic, encrypt-short, holder-djn, holder-exact, holder-classic, holder-short,\n"
        "            encode-encrypt, packed, add, subtract, multiply, sum, segment-sum, matmul, rerandomize, decrypt,\n"
        "            decrypt-short, to-bytes, from-bytes, host-to-host (GPU)\n"
        "peers:      phe (python-paillier), gmpy2 (GMP's integers), heu (SecretFlow HEU)",
    )
    parser.add_argument("--bits", type=int, nargs="+", default=[2048], metavar="N", help="key sizes (default: 2048)")
    parser.add_argument(
        "--backend", nargs="+", metavar="NAME", help="backends, see cipherlane info (default: the best usable)"
    )
    parser.add_argument("--operations", nargs="+", metavar="NAME", help="names from the list below (default: all)")
    parser.add_argument(
        "--threads", type=int, nargs="+", metavar="N", help="threads (default: 1; beside a device, all)"
    )
    parser.add_argument(
        "--batch",
        type=int,
        nargs="+",
        metavar="N",
        help="batch sizes to sweep (default: one that suits each operation)",
    )
    parser.add_argument(
        "--against", metavar="PEERS", help="peers, separated by commas, or none (default: those installed)"
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of each comparison (default: 5; quick: 3)")
    parser.add_argument("--quick", action="store_true", help="short timings, for a first look")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all figures to this file")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="also draw them: a .png, .svg or .pdf file")


def _bench(options: argparse.Namespace) -> int:
    from cipherlane.benchmark import Settings
    from cipherlane.benchmark.command import run

    settings = Settings.of(
        bits=options.bits,
        backends=options.backend,
        operations=options.operations,
        threads=options.threads,
        batches=options.batch,
        against=_peers(options.against),
        rounds=options.rounds,
        quick=options.quick,
    )
    return run(settings, options.json, options.plot)


def _peers(text: str | None) -> list[str] | None:
    if text is None or text == "none":
        return None if text is None else []
    return [name.strip() for name in text.split(",")]
