"""Reading a plan from TOML: every section and field checked, and what does not fit named."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from cipherlane.federation.binning_plan import read_binning
from cipherlane.federation.plan import (
    ALGORITHM,
    ALGORITHMS,
    BINNING,
    HORIZONTAL,
    LOGISTIC,
    ArbiterPlan,
    EncryptionPlan,
    LedgerPlan,
    ModelPlan,
    PartyPlan,
    Plan,
    PrivacyPlan,
    RequirementsPlan,
    TrainingPlan,
)
from cipherlane.federation.plan_fields import Section
from cipherlane.paillier.pem import PASSWORD_VARIABLE
from cipherlane.vertical.logistic_settings import (
    CLASS_WEIGHTS,
    FEWEST_TERMS,
    MOST_TERMS,
    SCHEDULES,
    LogisticSettings,
)
from cipherlane.vertical.messages import (
    ARBITER,
    COORDINATOR,
    GUEST,
    HOST,
    MAXIMUM_COMPONENTS,
    MAXIMUM_ROWS,
    NAME_PATTERN,
)
from cipherlane.vertical.mixture_party import COVARIANCE_TYPES
from cipherlane.vertical.responsibility_table import MAXIMUM_DECIMALS, ROUNDING_OFF
from cipherlane.vertical.seal_keys import parse_seal_key
from cipherlane.vertical.starts import STARTS
from cipherlane.vertical.tables import IMPUTATIONS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_SCHEMES = ("djn", "classic")
_SHARING = ("end", "every_round", "never")
_CLASSES = 2
# Residuals are multiplied twice, so their numbers are kept shorter than those that are only added.
_LOGISTIC_FRACTION_BITS = 16
_MAXIMUM_PARTIES = 256


def load_plan(path: Path | str) -> Plan:
    """Return the plan in a TOML file; relative paths in it are taken from the file's directory.

    Raises
    ------
    ValueError
        The file, section and field at fault, what was expected, and what came.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; give the path of a plan (TOML)") from None
    except (IsADirectoryError, PermissionError) as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}); give the path of a plan (TOML)") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not UTF-8 text; a plan is a TOML file") from None
    return parse_plan(text, source=str(path), base=path.parent)


def parse_plan(text: str, *, source: str = "plan", base: Path | str = ".") -> Plan:
    """Return the plan in TOML text; relative paths in it are taken from `base`.

    Examples
    --------
    >>> plan = parse_plan('''
    ... [model]
    ... components = 2
    ... [parties.clinic]
    ... role = "guest"
    ... data = "clinic.csv"
    ... [parties.laboratory]
    ... role = "host"
    ... data = "laboratory.csv"
    ... ''')
    >>> plan.guest.name, plan.encryption.key_bits, plan.privacy.responsibility_decimals
    ('clinic', 2048, 2)
    """
    try:
        top = Section(source, "", tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{source}: not valid TOML: {error}") from None
    binning_section = top.optional_section("binning")
    if binning_section is not None or _names_binning(top):
        return _binning(top, binning_section or Section(source, "binning", {}), source, text, Path(base))
    model = _model(top.section("model", required=True))
    horizontal, logistic = model.algorithm == HORIZONTAL, model.algorithm == LOGISTIC
    settings = top.optional_section("logistic")
    if settings is not None and not logistic:
        raise ValueError(f'{source}: [logistic]: expected only with algorithm = "{LOGISTIC}" in [model]; leave it out')
    plan = Plan(
        name=top.text("name", default=Path(source).stem),
        model=model,
        parties=_parties(top, source, Path(base), horizontal),
        training=_training(top.section("training"), 1e-4 if logistic else 1e-3),
        encryption=_encryption(top.section("encryption"), _LOGISTIC_FRACTION_BITS if logistic else 40),
        privacy=_privacy(top.section("privacy"), horizontal or logistic),
        requirements=_requirements(top.section("requirements")),
        ledger=_ledger(top.optional_section("ledger"), {COORDINATOR, ARBITER, *top.sections("parties")}),
        arbiter=_arbiter(top.optional_section("arbiter"), Path(base)),
        logistic=_logistic(settings or top.section("logistic")) if logistic else None,
        text=text,
        base=Path(base),
    )
    return _closed(top, plan, source)


def _closed(top: Section, plan: Plan, source: str) -> Plan:
    top.close()
    if plan.logistic is not None and plan.guest.label_column is None:
        raise ValueError(
            f"{source}: [parties.{plan.guest.name}]: label_column is missing; it names what is to be predicted"
        )
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}", plan.name) is None:
        raise top.error("name", "1 to 64 letters, digits, spaces, dots, dashes or underscores")
    return plan


def _names_binning(top: Section) -> bool:
    return top.section("model").choice("algorithm", (*ALGORITHMS, BINNING), default=ALGORITHM) == BINNING


def _binning(top: Section, section: Section, source: str, text: str, base: Path) -> Plan:
    """Return a plan that bins columns; what belongs to training is unknown in it."""
    model = top.section("model")
    model.choice("algorithm", (BINNING,), default=BINNING)
    model.close()
    plan = Plan(
        name=top.text("name", default=Path(source).stem),
        model=ModelPlan(components=0, algorithm=BINNING),
        parties=_parties(top, source, base, False, binning=True),
        encryption=_key(top.section("encryption")),
        requirements=_requirements(top.section("requirements")),
        ledger=_ledger(top.optional_section("ledger"), {COORDINATOR, *top.sections("parties")}),
        binning=read_binning(section, top.section("privacy")),
        text=text,
        base=base,
    )
    if plan.guest.label_column is None:
        raise ValueError(
            f"{source}: [parties.{plan.guest.name}] label_column: expected the column with the guest's labels, it is "
            "missing; bins are judged by them"
        )
    return _closed(top, plan, source)


def _key(section: Section) -> EncryptionPlan:
    plan = EncryptionPlan(
        key_bits=section.whole("key_bits", 1024, 4096, default=2048),
        scheme=section.choice("scheme", _SCHEMES, default="djn"),
    )
    _check_key_bits(section, plan)
    section.close()
    return plan


def _check_key_bits(section: Section, plan: EncryptionPlan) -> None:
    if plan.key_bits % 256:
        raise section.error("key_bits", "a multiple of 256 from 1024 to 4096", "2048 is the usual choice")


def _model(section: Section) -> ModelPlan:
    algorithm = section.choice("algorithm", ALGORITHMS, default=ALGORITHM)
    if algorithm == LOGISTIC:
        section.close()
        return ModelPlan(_CLASSES, algorithm)
    plan = ModelPlan(
        components=section.whole("components", 2, MAXIMUM_COMPONENTS),
        algorithm=algorithm,
        covariance_type=section.choice("covariance_type", COVARIANCE_TYPES, default="full"),
        regularisation=section.real("regularisation", 0.0, 1e6, default=1e-6),
        start=section.choice("start", STARTS, default="kmeans"),
        seed=section.whole("seed", 0, (1 << 32) - 1, default=0),
    )
    section.close()
    return plan


def _logistic(section: Section) -> LogisticSettings:
    defaults = LogisticSettings()
    settings = LogisticSettings(
        learning_rate=section.real("learning_rate", 1e-9, 1e6, default=defaults.learning_rate),
        schedule=section.choice("schedule", SCHEDULES, default=defaults.schedule),
        decay=section.real("decay", 0.0, 1e3, default=defaults.decay),
        l1=section.real("l1", 0.0, 1e6, default=defaults.l1),
        l2=section.real("l2", 0.0, 1e6, default=defaults.l2),
        batch_rows=section.whole("batch_rows", 0, MAXIMUM_ROWS, default=defaults.batch_rows),
        class_weight=section.choice("class_weight", CLASS_WEIGHTS, default=defaults.class_weight),
        positive_weight=section.real("positive_weight", 1e-6, 1e3, default=defaults.positive_weight),
        positive=section.optional_text("positive"),
        patience=section.whole("patience", 0, 1000, default=defaults.patience),
        validation=section.real("validation", 0.0, 0.9, default=defaults.validation),
        terms=section.whole("terms", FEWEST_TERMS, MOST_TERMS, default=defaults.terms),
        reach=section.real("reach", 1.0, 100.0, default=defaults.reach),
        seed=section.whole("seed", 0, (1 << 32) - 1, default=defaults.seed),
    )
    section.close()
    if settings.patience and not settings.validation:
        raise section.error("validation", "a share of the rows above 0 with patience", "0.2 is a usual choice")
    if (settings.schedule == "constant") != (settings.decay == 0.0):
        raise section.error("decay", 'a number above 0 with schedule "inverse" or "exponential", and with no other')
    return settings


def _training(section: Section, tolerance: float) -> TrainingPlan:
    plan = TrainingPlan(
        max_iterations=section.whole("max_iterations", 1, 100_000, default=100),
        tolerance=section.real("tolerance", 0.0, 1e6, default=tolerance),
        checkpoint_every=section.whole("checkpoint_every", 0, 100_000, default=1),
    )
    section.close()
    return plan


def _encryption(section: Section, fraction_bits: int) -> EncryptionPlan:
    plan = EncryptionPlan(
        key_bits=section.whole("key_bits", 1024, 4096, default=2048),
        scheme=section.choice("scheme", _SCHEMES, default="djn"),
        packing=section.flag("packing", default=True),
        fraction_bits=section.whole("fraction_bits", 8, 64, default=fraction_bits),
        integer_bits=section.whole("integer_bits", 8, 60, default=20),
    )
    _check_key_bits(section, plan)
    section.close()
    return plan


def _privacy(section: Section, no_choice: bool) -> PrivacyPlan:
    if no_choice:
        # Horizontally responsibilities stay where they are made, and every role but the coordinator has the model. In a
        # logistic regression there are none, and coefficients stay with their party.
        section.close()
        return PrivacyPlan()
    plan = PrivacyPlan(
        responsibility_decimals=section.whole("responsibility_decimals", ROUNDING_OFF, MAXIMUM_DECIMALS, default=2),
        share_parameters=section.choice("share_parameters", _SHARING, default="end"),
    )
    if plan.responsibility_decimals == 0:
        raise section.error("responsibility_decimals", "-1 (off) or 1 to 9", "2 is the usual choice")
    section.close()
    return plan


def _requirements(section: Section) -> RequirementsPlan:
    plan = RequirementsPlan(
        rows=section.optional_whole("rows", 2, MAXIMUM_ROWS),
        memory_mb=section.optional_whole("memory_mb", 1, 1 << 30),
        seconds_per_iteration=section.optional_real("seconds_per_iteration", 0.0, 1e9),
        backend=section.optional_text("backend"),
    )
    section.close()
    return plan


def _ledger(section: Section | None, members: set[str]) -> LedgerPlan | None:
    if section is None:
        return None
    enabled = section.flag("enabled", default=True)
    named = section.optional_names("validators")
    accounts = section.section("accounts").texts()
    plan = LedgerPlan(
        url=section.optional_text("url"),
        validators=named or (),
        access_hours=section.real("access_hours", 0.0, 1e6, default=168.0),
        accounts={name: _address(section, name, text) for name, text in accounts.items()},
    )
    section.close()
    if plan.url is not None and re.match(r"https?://", plan.url) is None:
        raise section.error("url", "the JSON-RPC address of a node, http://... or https://...")
    if plan.url is not None and named is not None:
        raise section.error("validators", "none beside `url`", "a network has its own; leave it out")
    for name, members_named in (("validators", plan.validators), ("accounts", plan.accounts)):
        if not set(members_named) <= members:
            raise section.error(name, f"names among {sorted(members)}")
    return plan if enabled else None


def _arbiter(section: Section | None, base: Path) -> ArbiterPlan | None:
    if section is None:
        return None
    fingerprint = section.text("public_key_fingerprint")
    if re.fullmatch(r"[0-9a-f]{64}", fingerprint) is None:
        raise section.error(
            "public_key_fingerprint", "64 lower-case hexadecimal digits", "`cipherlane keygen` prints it"
        )
    private_key = base / section.text("private_key")
    where = section.text("password", default=f"env:{PASSWORD_VARIABLE}")
    try:
        password = parse_seal_key(where, base, field="password")
    except ValueError:
        expected = "a file, env:NAME or keyring:SERVICE/NAME"
        raise section.error("password", expected, "never the password itself: plans are shared") from None
    section.close()
    return ArbiterPlan(fingerprint, private_key, password)


def _address(section: Section, name: str, text: str) -> bytes:
    if re.fullmatch(r"0x[0-9a-fA-F]{40}", text) is None:
        raise section.error("accounts", f"0x and 40 hexadecimal digits as the account of {name!r}")
    return bytes.fromhex(text[2:])


def _parties(
    top: Section, source: str, base: Path, horizontal: bool, *, binning: bool = False
) -> tuple[PartyPlan, ...]:
    sections = top.sections("parties")
    parties = tuple(
        _party(name, section, source, base, horizontal, binning=binning) for name, section in sections.items()
    )
    guests = [party.name for party in parties if party.role == GUEST]
    if len(guests) != 1:
        raise ValueError(f'{source}: [parties]: expected exactly one party with role = "guest", got {len(guests)}')
    if not 2 <= len(parties) <= _MAXIMUM_PARTIES:
        raise ValueError(
            f"{source}: [parties]: expected a guest and 1 to {_MAXIMUM_PARTIES - 1} hosts, "
            f"got {len(parties)} parties in all"
        )
    if horizontal and len({(party.standardise, party.impute) for party in parties}) > 1:
        raise ValueError(
            f"{source}: [parties]: expected the same standardise and impute at every party, as they have the same "
            f"columns; set them alike for {', '.join(party.name for party in parties)}"
        )
    return parties


def _party(
    name: str, section: Section, source: str, base: Path, horizontal: bool, *, binning: bool = False
) -> PartyPlan:
    if re.fullmatch(NAME_PATTERN, name) is None or name in (COORDINATOR, ARBITER):
        raise ValueError(
            f"{source}: [parties.{name}]: expected a name of 1 to 32 lower-case letters, digits, dashes or "
            f'underscores that starts with a letter and is not "{COORDINATOR}" or "{ARBITER}"'
        )
    role = section.choice("role", (GUEST, HOST), default=name)
    directory = section.optional_text("directory")
    seal_key_text = section.optional_text("seal_key")
    try:
        seal_key = None if seal_key_text is None else parse_seal_key(seal_key_text, base)
    except ValueError as error:
        raise ValueError(f"{source}: [parties.{name}] {error}") from None
    plan = PartyPlan(
        name=name,
        role=role,
        data=base / section.text("data"),
        id_column=section.text("id_column", default="id"),
        label_column=section.optional_text("label_column"),
        columns=section.optional_names("columns"),
        standardise=binning or section.flag("standardise", default=True),
        impute="none" if binning else section.choice("impute", IMPUTATIONS, default="none"),
        declines=section.optional_text("declines"),
        directory=None if directory is None else base / directory,
        seal_key=seal_key,
        categories=(section.optional_names("categories") or ()) if binning else (),
        cuts=_optional_path(section, "cuts", base) if binning else None,
    )
    section.close()
    if role == HOST and plan.label_column is not None and not horizontal:
        raise section.error("label_column", "no label at a host", "labels belong to the guest")
    if horizontal and plan.impute == "median":
        raise section.error("impute", '"none" or "mean"', "a median over parties cannot be had from sums")
    reserved = {plan.id_column, plan.label_column} & {*(plan.columns or ()), *plan.categories}
    if reserved:
        raise section.error("columns", "feature columns only", f"leave {sorted(map(str, reserved))} out of the list")
    return plan


def _optional_path(section: Section, field: str, base: Path) -> Path | None:
    named = section.optional_text(field)
    return None if named is None else base / named
