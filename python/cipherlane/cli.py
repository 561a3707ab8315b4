"""The command line: ``cipherlane train | bin | align | score | models | report | audit | keygen | ...``."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import cipherlane
from cipherlane import cli_bench, cli_binning, cli_keygen, cli_ledger, cli_registry, cli_sealing
from cipherlane.cli_commands import add_command, add_run_options
from cipherlane.errors import CipherlaneError

if TYPE_CHECKING:
    from cipherlane.federation import Run
    from cipherlane.federation.predictions import Predictions


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 only on success."""
    options = _parser().parse_args(_expanded(list(sys.argv[1:] if arguments is None else arguments)))
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


def _expanded(arguments: list[str]) -> list[str]:
    """Return the arguments with ``models RUN`` written out as ``models show RUN``."""
    if len(arguments) > 1 and arguments[0] == "models" and not arguments[1].startswith("-"):
        action = [] if arguments[1] in cli_registry.ACTIONS else ["show"]
        return ["models", *action, *arguments[1:]]
    return arguments


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
    _add_align(commands)
    _add_site(commands)
    _add_score(commands)
    cli_binning.add_binning(commands)
    cli_registry.add_models(commands, _train_from)
    _add_report(commands)
    cli_ledger.add_audit(commands)
    cli_ledger.add_access(commands)
    _add_info(commands)
    cli_keygen.add_keygen(commands)
    cli_sealing.add_rotate_key(commands)
    cli_bench.add_bench(commands)
    return parser


def _add_train(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(
        commands,
        "train",
        _train,
        "train a federated mixture or logistic regression from a plan and write a run directory",
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
        'parties with the same columns and different patients: algorithm = "horizontal-gaussian-mixture" in [model].\n'
        'to predict the guest\'s label: algorithm = "logistic-regression" in [model], settings in [logistic].\n'
        "\n"
        "A run directory holds the plan, models, the guest's assignments.csv, metrics.json and report.md. Until\n"
        "it is whole it is called DIR.partial. A run that was killed, or ended by a full disk, goes on with --resume\n"
        "from its last checkpoint (one a round, unless the plan says otherwise) and ends with the same model, bit for\n"
        "bit. One that fails before its first checkpoint leaves nothing. One process at a time works on a run.",
    )
    parser.add_argument("plan", type=Path, metavar="PLAN", help="the plan, a TOML file")
    add_run_options(parser)


def _train(options: argparse.Namespace) -> int:
    _train_from(options, None)
    return 0


def _train_from(options: argparse.Namespace, parent: Path | None) -> Run:
    """Train as the options say, from `parent` if there is one, tell how it went, and return the run."""
    from cipherlane.federation import load_plan, train
    from cipherlane.federation.run_store import plan_of
    from cipherlane.progress import ProgressPrinter

    plan = load_plan(options.plan) if options.plan is not None or parent is None else plan_of(parent)
    roles = [*(party.name for party in plan.parties), "arbiter"]
    with ProgressPrinter(plan.training.max_iterations, roles) as printer:
        run = train(
            plan,
            options.out,
            engine=options.engine,
            kit=options.kit,
            patience=options.patience,
            resume=options.resume,
            parent=parent,
            progress=printer.show,
        )
    state = "converged" if run.converged else "reached the plan's limit"
    rounds = "iterations" if plan.logistic is None else "epochs"
    print(f"{state} after {run.iterations} {rounds}, mean log-likelihood {run.log_likelihood:.6f}")
    print(f"training took {run.metrics['totals']['seconds']['training']:.2f} s")
    print(f"run directory: {run.directory}")
    return run


def _add_align(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from cipherlane.align_command import EXAMPLES, add_steps

    summary = "find the rows that parties share, without showing each other the others' ids"
    add_steps(add_command(commands, "align", None, summary, EXAMPLES))


def _add_site(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(
        commands,
        "site",
        _site,
        "set up an institution's NVIDIA FLARE startup kit for training",
        "  cipherlane site kits/guest\n"
        "  cipherlane site kits/guest --connect      # also try whether the server, which has to be up, lets it in\n"
        "\n"
        "The site then runs installed software only, answers no shell commands from elsewhere and sends no logs. The\n"
        "command says where the data file that the plan names for this site belongs. docs/nvflare.md has every step.",
    )
    parser.add_argument("kit", type=Path, metavar="KIT", help="the folder of the kit, with `startup` and `local`")
    parser.add_argument("--connect", action="store_true", help="also connect to the server with the kit's certificate")


def _site(options: argparse.Namespace) -> int:
    from cipherlane.federation.flare.certificates import try_connection
    from cipherlane.federation.flare.kits import prepare_kit

    data = prepare_kit(options.kit)
    print(f"{options.kit}: ready; start it with {options.kit / 'startup' / 'start.sh'}")
    print(f"{data}: put the site's data file there, under the name that the plan gives it")
    if options.connect:
        print(f"{try_connection(options.kit)}: the server lets this kit in")
    return 0


def _add_score(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(
        commands,
        "score",
        _score,
        "assign new rows to the components of a trained mixture, or predict their labels",
        "  cipherlane score runs/first --data guest=new_guest.csv --data host=new_host.csv\n"
        "  cipherlane score selected --data guest=g.csv --data host=h.csv      # see cipherlane models\n"
        "  cipherlane score runs/first/models/joint.npz --data guest=g.csv --data host=h.csv --out s.csv\n"
        "  cipherlane score runs/first --engine nvflare --kit kits/admin@coordinator.org --data guest=new.csv \\\n"
        "      --data host=new.csv --out runs/scored                             # on the sites that trained it\n"
        "\n"
        "With a run, each party scores its own columns and the parts meet in encrypted sums; if parties had the same\n"
        "columns, one of them scores its rows alone: --data PARTY=FILE, once. With a joint\n"
        "model file, whoever has it and all the columns computes directly. Files need the id column and the\n"
        "columns of training. Output: a CSV line a row with its id, its likeliest component, and the\n"
        "probability of each component (r0, r1, ...). For a logistic regression: index, label (if the guest's file\n"
        "has that column), predict_result, predict_score, predict_detail and type. On the sites of a federation,\n"
        "the files lie in each site's own directory, the scores stay at the guest's site, and --out is a directory\n"
        "for the coordinator's part.",
    )
    parser.add_argument(
        "model",
        metavar="RUN_OR_MODEL",
        help="a run directory, a joint model, the first digits of a version, or `selected`",
    )
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), metavar="DIR", help="where versions lie (default: runs)"
    )
    parser.add_argument(
        "--data",
        action="append",
        required=True,
        metavar="PARTY=FILE",
        help="a party's CSV file of new rows; once for each party",
    )
    parser.add_argument("--engine", default="local", choices=["local", "nvflare"], help="as for `cipherlane train`")
    parser.add_argument("--kit", type=Path, metavar="KIT", help="as for `cipherlane train`")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="CSV file to write (default: print); with --kit, directory to make",
    )


def _score(options: argparse.Namespace) -> int:
    from cipherlane.federation import predict_run, score_models, score_run
    from cipherlane.federation.assignments import write_assignment_rows, write_assignments
    from cipherlane.federation.logistic_scoring import is_logistic_run
    from cipherlane.federation.registry import find

    data = _data_files(options.data)
    if options.kit is not None and options.engine != "nvflare":
        raise ValueError("--kit: expected with --engine nvflare")
    if options.kit is not None and options.out is None:
        raise ValueError("--out: name the directory to make; the guest's site keeps the scores under its name")
    if options.out is not None and options.out.exists():
        raise ValueError(f"{options.out}: exists already; give another file with --out")
    if options.out is not None and not options.out.parent.is_dir():
        raise ValueError(f"{options.out.parent}: no such directory; make it, or give another file with --out")
    model = Path(options.model)
    # What has the form of a path is one, so that a mistyped file is called that.
    if not model.exists() and not model.suffix and len(model.parts) == 1:
        model = find(options.runs, options.model).run
    if options.engine == "nvflare":
        return _score_over_sites(model, data, options)
    if model.is_dir() and is_logistic_run(model):
        return _predict(options, predict_run(model, data))
    found = score_run(model, data) if model.is_dir() else score_models(model, data)
    if options.out is None:
        write_assignment_rows(sys.stdout, found.id_column, found.ids, found.responsibilities)
    else:
        write_assignments(options.out, found.id_column, found.ids, found.responsibilities)
    print(f"{len(found.ids)} rows, mean log-likelihood {found.log_likelihood:.6f}", file=sys.stderr)
    return 0


def _score_over_sites(model: Path, data: dict[str, Path], options: argparse.Namespace) -> int:
    from cipherlane.federation.flare.score_jobs import score_in_simulator, score_on_sites
    from cipherlane.federation.run_store import check_complete
    from cipherlane.files import write_whole
    from cipherlane.progress import ProgressPrinter

    if not model.is_dir():
        raise ValueError(f"{model}: --engine nvflare scores with the model of a run; give the run's directory")
    with ProgressPrinter(1, [*data, "arbiter"]) as printer:
        if options.kit is not None:
            found = score_on_sites(check_complete(model), data, options.kit, options.out, printer.show)
        else:
            found = score_in_simulator(check_complete(model), data, printer.show)
    if found.assignments is None:
        print(f"coordinator's part: {options.out}")
        print(f"scores: at the guest's site, in scores/{options.out.name}")
    elif options.out is None:
        sys.stdout.write(found.assignments)
    else:
        write_whole(options.out, found.assignments)
    likelihood = "" if found.log_likelihood is None else f", mean log-likelihood {found.log_likelihood:.6f}"
    print(f"{found.rows} rows{likelihood}", file=sys.stderr)
    return 0


def _predict(options: argparse.Namespace, found: Predictions) -> int:
    if options.out is None:
        found.write_rows(sys.stdout)
    else:
        found.write(options.out)
    quality = found.quality()
    compared = ""
    if quality is not None:
        compared = f", AUC {quality['auc']:.4f}, accuracy {quality['accuracy']:.4f}"
    elif found.labels is not None:
        compared = f"; not compared with their labels, which are not both {' and '.join(map(repr, found.classes))}"
    print(f"{len(found.ids)} rows{compared}", file=sys.stderr)
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


def _add_report(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(
        commands,
        "report",
        _report,
        "print the report of a run and write it into the run directory: a text, an HTML page, plots",
        "  cipherlane report runs/first\n"
        "\n"
        "The report tells how training converged and agrees with the guest's labels, where the time went by role\n"
        "and phase, what crossed, what speaks for it that it was encrypted, what the run showed to whom, and what\n"
        "its ledger says, if it has one. report.html is one file that loads nothing; it holds no row and no id.\n"
        "The PNG plots need matplotlib (the extra `plot`).",
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
    add_command(
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
