"""The coordinator: plans, relays boxes it cannot open, adds ciphertexts it cannot decrypt."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

import cipherlane
from cipherlane.errors import ProtocolError
from cipherlane.federation.engine import Engine
from cipherlane.federation.plan import Plan
from cipherlane.paillier import PublicKey
from cipherlane.vertical.exchange import check_key, needed, read_ciphertexts
from cipherlane.vertical.messages import ARBITER, COORDINATOR, EDGES, failure_of, pack, unpack
from cipherlane.vertical.score_encoding import NumberEncoding, parameter_encoding
from cipherlane.vertical.wire import Message

# Seconds that a role's clock may be off.
CLOCK_TOLERANCE = 300.0
_REPLIES: Mapping[str, str] = {
    "requirements": "capability",
    "match_open": "match_offer",
    "match_check": "match_result",
    "match_differs": "noted",
    "binning_requirements": "capability",
    "make_binning_key": "binning_key",
    "form_bins": "formed_bins",
    "encrypt_labels": "encrypted_labels",
    "add_labels": "added_labels",
    "send_bin_sums": "bin_sums",
    "evaluate_bins": "bin_verdicts",
    "keep_bins": "noted",
    "arbiter_task": "public_key",
    "key": "noted",
    "initialise": "initial_responsibilities",
    "start": "weights",
    "update": "encrypted_scores",
    "evaluate": "encrypted_scores",
    "score_sums": "responsibilities",
    "send_parameters": "encrypted_parameters",
    "joint_parameters": "noted",
    "column_sums": "encrypted_statistics",
    "added_column_sums": "column_moments",
    "column_spreads": "encrypted_statistics",
    "added_column_spreads": "column_moments",
    "standardise": "noted",
    "begin": "encrypted_statistics",
    "expect": "encrypted_statistics",
    "added_statistics": "mixture",
    "join": "noted",
    "forward": "partial_scores",
    "residuals": "encrypted_residuals",
    "gradient": "masked_gradient",
    "masked_sums": "unmasked_sums",
    "apply": "applied",
    "settle": "noted",
    "checkpoint": "noted",
    "finish": "finished",
    "ledger_join": "ledger_account",
    "ledger_open": "ledger_head",
    "ledger_act": "ledger_transactions",
    "ledger_seal": "ledger_blocks",
    "ledger_append": "ledger_head",
    "ledger_fetch": "ledger_blocks",
}


@dataclass(frozen=True)
class RoundRecord:
    """What is public of one round.

    Attributes
    ----------
    round
        From 1.
    log_likelihood
        Mean a row, under the parameters fitted in this round.
    change
        By how much it rose; None in the first round.
    counts
        N_k of the responsibilities this round made.
    weights
        pi that this round's E-step used.
    converged
        Whether the arbiter said to stop.
    seconds
        "em" and "encrypt" by party; "add", "decrypt", "e_step", "relay" and "total".
    """

    round: int
    log_likelihood: float
    change: float | None
    counts: list[float]
    weights: list[float]
    converged: bool
    seconds: dict[str, Any]


def party_seconds(seconds: Mapping[str, Any], concurrent: bool) -> float:
    """Return how long a round waited for its data parties: for the slowest, or for each in turn."""
    each = [em + seconds["encrypt"][name] for name, em in seconds["em"].items()]
    return float(max(each) if concurrent else sum(each))


@dataclass
class Traffic:
    """Ciphertexts that crossed, by what they held and where they went."""

    scores_from_parties: int = 0
    sums_to_arbiter: int = 0
    parameters_from_parties: int = 0
    parameters_to_arbiter: int = 0

    def total(self) -> int:
        """Return how many ciphertexts crossed in all."""
        return (
            self.scores_from_parties + self.sums_to_arbiter + self.parameters_from_parties + self.parameters_to_arbiter
        )


@dataclass
class Coordinator:
    """Drives one run over an engine; holds no private key and reads no one's numbers.

    Parameters
    ----------
    plan
        What to do.
    engine
        What carries its calls to the roles.

    Attributes
    ----------
    models
        After `finish`, the SHA-256 of each role's model file, by role; roles without one are left out.
    """

    plan: Plan
    engine: Engine
    traffic: Traffic = field(default_factory=Traffic)
    capabilities: dict[str, Message] = field(default_factory=dict)
    _requirements_kind: ClassVar[str] = "requirements"

    def __post_init__(self) -> None:
        """Check that the engine runs the roles the plan names."""
        roles = self.engine.roles
        wanted = self.plan.roles
        if dict(roles) != wanted:
            raise ProtocolError(f"engine: expected the roles {wanted}, got {dict(roles)}")
        self._parties = [party.name for party in self.plan.parties]
        self._guest = self.plan.guest.name
        self._hosts = [party.name for party in self.plan.hosts]
        self.rows = 0
        self._public_key: PublicKey | None = None
        self._arbiter_box_key: bytes | None = None
        self._boxes: Mapping[str, bytes] = {}
        self._next: Message | None = None
        self._made_in = 0
        self.used_weights: list[float] = []
        self.models: dict[str, str] = {}

    @property
    def public_key(self) -> PublicKey:
        """The run's public key."""
        return needed(self._public_key, "the key is asked for before the arbiter made one")

    def open(self, *, training: bool = True) -> dict[str, Message]:
        """Send every party the plan's requirements and return what they have (steps 4 and 5).

        Parameters
        ----------
        training
            False to score rows: there may then be fewer rows than components.

        Raises
        ------
        ProtocolError
            A party declines; the message gives every reason.
        """
        requests = {party.name: self._requirements(party.columns, training) for party in self.plan.parties}
        asked = time.time()
        self.capabilities = self._ask(self._requirements_kind, 0, requests)
        self._check_clocks(asked, self.capabilities)
        declined = [
            f"party {name!r} declines: {answer['reason']}"
            for name, answer in self.capabilities.items()
            if not answer["accepts"]
        ]
        if declined:
            raise ProtocolError(
                "; ".join(declined) + "; the coordinator ended the run: no key was made, and nothing that was computed "
                "from anyone's rows has crossed"
            )
        self.rows = self._count_rows()
        return self.capabilities

    @staticmethod
    def _check_clocks(asked: float, answers: Mapping[str, Message]) -> None:
        """Refuse roles whose clocks did not stand, when they answered, between asking and now."""
        answered = time.time()
        apart = []
        for name, answer in answers.items():
            ahead, behind = answer["clock"] - answered, asked - answer["clock"]
            if max(ahead, behind) > CLOCK_TOLERANCE:
                apart.append(f"{name!r} {max(ahead, behind):.0f} s {'ahead' if ahead > behind else 'behind'}")
        if apart:
            raise ProtocolError(
                f"clocks apart: of the coordinator's, that of {', '.join(apart)}; set both by a time server, as "
                f"certificates and logs rely on them (at most {CLOCK_TOLERANCE:.0f} s are allowed)"
            )

    def _count_rows(self) -> int:
        """Return the rows of the model's table: every party has all of them."""
        rows: int = self.capabilities[self._guest]["rows"]
        return rows

    def match(self) -> None:
        """Check that every host holds the same ids as the guest.

        Raises
        ------
        ProtocolError
            They differ; the message says how many, the parties' own notices say which.
        """
        keys = {name: self.capabilities[name]["box_key"] for name in self._parties}
        hosts = {name: keys[name] for name in self._hosts}
        offer = self._ask("match_open", 0, {self._guest: {"box_keys": hosts}})[self._guest]
        requests = {name: {"sealed": offer["sealed"][name], "guest_box_key": keys[self._guest]} for name in self._hosts}
        results = self._ask("match_check", 0, requests)
        problems = []
        for name, result in results.items():
            if result["matched"]:
                continue
            problems.append(
                f"rows of {name!r} and {self._guest!r} do not match: {result['only_here']} ids are only at "
                f"{name!r} ({result['rows']} rows), {result['only_there']} only at {self._guest!r} "
                f"({offer['rows']} rows); keep the same ids in both files"
            )
            if result["sealed"] is not None:
                notice = {"party": name, "sealed": result["sealed"]}
                self._ask("match_differs", 0, {self._guest: notice})
        if problems:
            raise ProtocolError("; ".join(problems))

    def make_key(self) -> None:
        """Let the arbiter make the key pair and give every party the public half (step 6)."""
        box_keys = {name: self.capabilities[name]["box_key"] for name in self._parties}
        task = {
            **self._training_fields(),
            "rows": self.rows,
            "tolerance": self.plan.training.tolerance,
            "box_keys": box_keys,
        }
        asked = time.time()
        reply = self._ask("arbiter_task", 0, {ARBITER: task})[ARBITER]
        self._check_clocks(asked, {ARBITER: reply})
        public_key = PublicKey.from_json(reply["public_key"])
        check_key(public_key, self.plan.expected_key, COORDINATOR)
        self._public_key = public_key
        self._arbiter_box_key = reply["box_key"]
        fields = {"public_key": reply["public_key"], "arbiter_box_key": reply["box_key"], "rows": self.rows}
        self._ask("key", 0, dict.fromkeys(self._parties, fields))

    def start(self) -> None:
        """Let the guest make initial responsibilities and the arbiter their weights (step 6)."""
        box_keys = {name: self.capabilities[name]["box_key"] for name in self._hosts}
        box_keys[ARBITER] = needed(self._arbiter_box_key, "a start before the arbiter's key")
        model = self.plan.model
        request = {"start": model.start, "seed": model.seed, "box_keys": box_keys}
        boxes = self._ask("initialise", 0, {self._guest: request})[self._guest]["sealed"]
        self._next = self._ask("start", 0, {ARBITER: {"sealed": boxes[ARBITER]}})[ARBITER]
        self._boxes = {name: boxes[name] for name in self._hosts}
        self._made_in = 0

    def continue_from(self, weights: list[float]) -> None:
        """Let initial responsibilities be those of a trained model, whose blocks the parties have."""
        scores = self._ask("evaluate", 0, {name: {} for name in self._parties})
        self._e_step(0, scores, time.perf_counter(), np.array(weights), self._parties)

    def restore(self, round_number: int, used_weights: list[float]) -> bool:
        """Let every role go back to its checkpoint after a round; return whether that had converged."""
        self._ask("restore", round_number, {name: {} for name in self._parties}, "noted")
        answer = self._ask("restore", round_number, {ARBITER: {}}, "responsibilities")[ARBITER]
        self._take(answer)
        self.used_weights = used_weights
        return bool(answer["converged"])

    def rounds(self, first: int) -> Iterator[RoundRecord]:
        """Run rounds (steps 7 to 10) from number `first` until the arbiter or the plan says stop."""
        for number in range(first, self.plan.training.max_iterations + 1):
            record = self._round(number)
            yield record
            if record.converged:
                return

    def collect_parameters(self) -> None:
        """Relay every party's encrypted parameters to the arbiter, re-randomised."""
        number = self._made_in
        answers = self._ask("send_parameters", number, {name: {} for name in self._parties})
        encoding = parameter_encoding(self.plan.encryption.packing)
        ciphertexts = {}
        for name, answer in answers.items():
            width = answer["columns"]
            diagonal = self.plan.model.covariance_type == "diag"
            triangle = width if diagonal else width * (width + 1) // 2
            values = self.plan.model.components * (width + triangle) + 3 * width
            array = read_ciphertexts(self.public_key, answer["ciphertexts"], values, encoding, name)
            ciphertexts[name] = array.rerandomize().to_bytes()
            count = encoding.ciphertexts(values, self.public_key.bits)
            self.traffic.parameters_from_parties += count
            self.traffic.parameters_to_arbiter += count
        joint = {
            "columns": {name: answer["columns"] for name, answer in answers.items()},
            "ciphertexts": ciphertexts,
            "names": {name: answer["names"] for name, answer in answers.items()},
            "weights": np.array(self.used_weights),
        }
        self._ask("joint_parameters", number, {ARBITER: joint})

    def checkpoint(self) -> None:
        """Let every role keep its state after the last round."""
        self._ask("checkpoint", self._made_in, {name: {} for name in self.engine.roles})

    def finish(self) -> None:
        """Let every role write its result; the guest alone gets the final responsibilities."""
        weights = np.array(self.used_weights)
        requests: dict[str, dict[str, Any]] = {name: {"sealed": None, "weights": weights} for name in self.engine.roles}
        requests[self._guest]["sealed"] = self._boxes[self._guest]
        self._finish(requests)

    def score(self, weights: list[float]) -> RoundRecord:
        """Run one E-step over trained blocks with `weights`, and give the guest its responsibilities."""
        self.used_weights = weights
        starting = time.perf_counter()
        scores = self._ask("evaluate", 1, {name: {} for name in self._parties})
        record = self._e_step(1, scores, starting, np.array(weights), [self._guest])
        requests = {self._guest: {"sealed": self._boxes[self._guest], "weights": None}}
        self._ask("finish", 1, requests)
        return record

    def _finish(self, requests: Mapping[str, Mapping[str, Any]]) -> None:
        answers = self._ask("finish", self._made_in, requests)
        digests = {name: answer["model_sha256"] for name, answer in answers.items()}
        self.models = {name: digest.hex() for name, digest in digests.items() if digest is not None}

    def _round(self, number: int) -> RoundRecord:
        starting = time.perf_counter()
        before = needed(self._next, "a round before a start")
        public = {"weights": before["weights"], "counts": before["counts"]}
        requests = {name: {"sealed": self._boxes.get(name), **public} for name in self._parties}
        scores = self._ask("update", number, requests)
        self.used_weights = before["weights"].tolist()
        return self._e_step(number, scores, starting, None, self._parties)

    def _e_step(
        self,
        number: int,
        scores: Mapping[str, Message],
        starting: float,
        weights: np.ndarray[Any, np.dtype[np.float64]] | None,
        receivers: list[str],
    ) -> RoundRecord:
        adding = time.perf_counter()
        values = self.rows * (self.plan.model.components - 1) + 1
        ciphertexts = self._add(scores, values, self._encoding())
        added = time.perf_counter()
        request = {"ciphertexts": ciphertexts, "weights": weights, "receivers": receivers}
        answer = self._ask("score_sums", number, {ARBITER: request})[ARBITER]
        self._take(answer)
        return self._record(answer, scores, starting, added - adding)

    def _record(
        self, answer: Message, replies: Mapping[str, Message], starting: float, adding_seconds: float
    ) -> RoundRecord:
        total = time.perf_counter() - starting
        seconds: dict[str, Any] = {
            "em": {name: reply["em_seconds"] for name, reply in replies.items()},
            "encrypt": {name: reply["encrypt_seconds"] for name, reply in replies.items()},
            "add": adding_seconds,
            "decrypt": answer["decrypt_seconds"],
            "e_step": answer["e_step_seconds"],
        }
        computing = party_seconds(seconds, self.engine.concurrent)
        computing += seconds["add"] + seconds["decrypt"] + seconds["e_step"]
        return RoundRecord(
            round=answer.round,
            log_likelihood=answer["log_likelihood"],
            change=answer["change"],
            counts=answer["counts"].tolist(),
            weights=self.used_weights,
            converged=answer["converged"],
            seconds={**seconds, "relay": max(total - computing, 0.0), "total": total},
        )

    def _add(self, replies: Mapping[str, Message], values: int, encoding: NumberEncoding) -> bytes:
        """Return the sum of the parties' ciphertexts of `values` numbers, re-randomised."""
        count = encoding.ciphertexts(values, self.public_key.bits)
        arrays = [
            read_ciphertexts(self.public_key, reply["ciphertexts"], values, encoding, name)
            for name, reply in replies.items()
        ]
        total = arrays[0]
        for array in arrays[1:]:
            total = total + array
        self.traffic.scores_from_parties += count * len(arrays)
        self.traffic.sums_to_arbiter += count
        # Fresh randomness, so that the sum cannot be traced back to the ciphertexts it was made of.
        return total.rerandomize().to_bytes()

    def _take(self, answer: Message) -> None:
        self._next = answer
        self._boxes = answer["sealed"]
        self._made_in = answer.round

    def ask(self, method: str, round_number: int, requests: Mapping[str, Mapping[str, Any]]) -> dict[str, Message]:
        """Send one message to each role named and return the checked replies, or raise their refusal."""
        return self._ask(method, round_number, requests)

    def _ask(
        self,
        method: str,
        round_number: int,
        requests: Mapping[str, Mapping[str, Any]],
        expected: str | None = None,
    ) -> dict[str, Message]:
        """Send one message to each role named and return the checked replies, or raise their refusal."""
        data = {name: pack(method, round_number, **fields) for name, fields in requests.items()}
        replies = self.engine.call_all(method, data)
        if set(replies) != set(requests):
            raise ProtocolError(f"{method}: expected replies of {sorted(requests)}, got {sorted(replies)}")
        kind = expected or _REPLIES[method]
        answers = {}
        for name in requests:
            try:
                answers[name] = unpack(replies[name], kind, "failure")
            except ProtocolError as error:
                raise ProtocolError(f"{name!r} answered {method!r} with what is no answer to it: {error}") from error
        for name, answer in answers.items():
            if answer.kind == "failure":
                raise failure_of(answer, name)
            if answer.round != round_number:
                raise ProtocolError(
                    f"{name!r} answered {method!r} out of turn: expected an answer for round {round_number}, got "
                    f"one for round {answer.round}, which is late, replayed or another's; nothing of it was used"
                )
            if self.engine.roles[name] not in EDGES[kind][0]:
                raise ProtocolError(f"{name!r} answered {method!r} out of turn: it is no role that may")
        return answers

    def _requirements(self, columns: tuple[str, ...] | None, training: bool) -> dict[str, Any]:
        wanted = self.plan.requirements
        memory = wanted.memory_mb
        return {
            **self._training_fields(),
            "logistic": None,
            "training": training,
            "share_parameters": self.plan.privacy.share_parameters,
            "max_iterations": self.plan.training.max_iterations,
            "columns": None if columns is None else list(columns),
            "rows": wanted.rows,
            "memory_bytes": None if memory is None else memory << 20,
            "seconds_per_iteration": wanted.seconds_per_iteration,
            "backend": wanted.backend,
            "software": cipherlane.__version__,
        }

    def _training_fields(self) -> dict[str, Any]:
        encoding = self._encoding()
        return {
            "components": self.plan.model.components,
            "key_bits": self.plan.encryption.key_bits,
            "scheme": self.plan.encryption.scheme,
            "plan_sha256": hashlib.sha256(self.plan.text.encode()).hexdigest(),
            "algorithm": self.plan.model.algorithm,
            "covariance_type": self.plan.model.covariance_type,
            "regularisation": self.plan.model.regularisation,
            "decimals": self.plan.privacy.responsibility_decimals,
            "parties": encoding.parties,
            "fraction_bits": encoding.fraction_bits,
            "integer_bits": encoding.integer_bits,
            "packing": encoding.packing,
        }

    def _encoding(self) -> NumberEncoding:
        encryption = self.plan.encryption
        return NumberEncoding(
            len(self.plan.parties), encryption.fraction_bits, encryption.integer_bits, encryption.packing
        )
