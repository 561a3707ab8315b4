"""The plan of a training run: what is computed, by whom, on which columns, and what may leak."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cipherlane.federation.binning_plan import BinningPlan
from cipherlane.vertical.logistic_settings import LogisticSettings
from cipherlane.vertical.messages import ARBITER, GUEST, HOST
from cipherlane.vertical.seal_keys import SealKey

ALGORITHM = "vertical-gaussian-mixture"
HORIZONTAL = "horizontal-gaussian-mixture"
LOGISTIC = "logistic-regression"
ALGORITHMS = (ALGORITHM, HORIZONTAL, LOGISTIC)
# Run by `bin` and not by `train`.
BINNING = "binning"


@dataclass(frozen=True)
class ModelPlan:
    """Section ``[model]``: the mixture and where EM starts; with algorithm "binning" there is none (0 components)."""

    components: int
    algorithm: str = ALGORITHM
    covariance_type: str = "full"
    regularisation: float = 1e-6
    start: str = "kmeans"
    seed: int = 0


@dataclass(frozen=True)
class TrainingPlan:
    """Section ``[training]``: when to stop, and how often to keep a checkpoint (0: never)."""

    max_iterations: int = 100
    tolerance: float = 1e-3
    checkpoint_every: int = 1


@dataclass(frozen=True)
class EncryptionPlan:
    """Section ``[encryption]``: the key and how numbers are put into plaintexts."""

    key_bits: int = 2048
    scheme: str = "djn"
    packing: bool = True
    fraction_bits: int = 40
    integer_bits: int = 20


@dataclass(frozen=True)
class PrivacyPlan:
    """Section ``[privacy]``: what the parties and the arbiter may learn."""

    responsibility_decimals: int = 2
    share_parameters: str = "end"


@dataclass(frozen=True)
class RequirementsPlan:
    """Section ``[requirements]``: what every party must have; None asks for nothing."""

    rows: int | None = None
    memory_mb: int | None = None
    seconds_per_iteration: float | None = None
    backend: str | None = None


@dataclass(frozen=True)
class LedgerPlan:
    """Section ``[ledger]``: where what happens is put on record, and who seals it."""

    url: str | None = None
    validators: tuple[str, ...] = ()
    access_hours: float = 168.0
    accounts: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class ArbiterPlan:
    """Section ``[arbiter]``: the one key pair that the run is to use, in place of one made for it.

    Attributes
    ----------
    public_key_fingerprint
        64 hexadecimal digits; every role refuses any other key.
    private_key
        The arbiter's PEM file; None at every other role.
    password
        Where the arbiter finds its password; None at every other role.
    """

    public_key_fingerprint: str
    private_key: Path | None = None
    password: SealKey | None = None


@dataclass(frozen=True)
class PartyPlan:
    """Section ``[parties.NAME]``: one data party, its file and how it prepares it."""

    name: str
    role: str
    data: Path
    id_column: str = "id"
    label_column: str | None = None
    columns: tuple[str, ...] | None = None
    standardise: bool = True
    impute: str = "none"
    declines: str | None = None
    directory: Path | None = None
    seal_key: SealKey | None = None
    categories: tuple[str, ...] = ()
    cuts: Path | None = None


@dataclass(frozen=True)
class Plan:
    """A whole plan; `text` is the TOML it was read from, `base` what relative paths in it are taken from.

    Build one with `load_plan` or `parse_plan`, which check it.
    """

    name: str
    model: ModelPlan
    parties: tuple[PartyPlan, ...]
    training: TrainingPlan = field(default_factory=TrainingPlan)
    encryption: EncryptionPlan = field(default_factory=EncryptionPlan)
    privacy: PrivacyPlan = field(default_factory=PrivacyPlan)
    requirements: RequirementsPlan = field(default_factory=RequirementsPlan)
    ledger: LedgerPlan | None = None
    arbiter: ArbiterPlan | None = None
    binning: BinningPlan | None = None
    logistic: LogisticSettings | None = None
    text: str = ""
    base: Path = Path()

    @property
    def is_horizontal(self) -> bool:
        """Whether parties hold different rows of the same columns, and not different columns of the same rows."""
        return self.model.algorithm == HORIZONTAL

    @property
    def roles(self) -> dict[str, str]:
        """Every role's kind by its name; in binning the guest holds the key, and there is no arbiter."""
        parties = {party.name: party.role for party in self.parties}
        return parties if self.binning is not None else {ARBITER: ARBITER} | parties

    @property
    def writes_joint_model(self) -> bool:
        """Whether parties hold blocks of one model, and the arbiter may join them."""
        return self.model.algorithm == ALGORITHM and self.privacy.share_parameters != "never"

    @property
    def expected_key(self) -> str | None:
        """The fingerprint that the arbiter's key must have; None where it makes one for the run."""
        return None if self.arbiter is None else self.arbiter.public_key_fingerprint

    @property
    def guest(self) -> PartyPlan:
        """The one party that wants the result."""
        return next(party for party in self.parties if party.role == GUEST)

    @property
    def hosts(self) -> tuple[PartyPlan, ...]:
        """The other data parties."""
        return tuple(party for party in self.parties if party.role == HOST)
