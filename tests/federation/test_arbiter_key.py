"""A key pair that the plan names by its fingerprint: the arbiter uses it, and nobody takes another."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from cipherlane.errors import ProtocolError
from cipherlane.federation import Progress, load_plan, predict_run, score_run, train
from cipherlane.federation.engine import LocalEngine
from cipherlane.federation.flare.calls import RoleOrder
from cipherlane.federation.flare.role_host import RoleHost
from cipherlane.federation.horizontal_arbiter import HorizontalArbiter
from cipherlane.federation.plan import ArbiterPlan, Plan
from cipherlane.ledger import missing_packages
from cipherlane.paillier import PublicKey, WeakKeyWarning, keygen
from cipherlane.vertical.messages import pack, unpack
from cipherlane.vertical.seal_keys import FileKey, KeyringKey, VariableKey
from cipherlane.vertical.sealed_files import SealedStore

from sites_in_process import Line, train_over

WritePlan = Callable[..., Path]
PASSWORD = "correct horse"
FILE = "keys/arbiter.private.pem"


@pytest.fixture(scope="module")
def pair() -> tuple[PublicKey, str]:
    """A public key, and the private one as a PEM text."""
    with pytest.warns(WeakKeyWarning):
        public_key, private_key = keygen(bits=1024)
    return public_key, private_key.to_pem(PASSWORD)


@pytest.fixture
def plan(tmp_path: Path, write_plan: WritePlan, pair: tuple[PublicKey, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plan that names the key, which the arbiter has."""
    monkeypatch.setenv("CIPHERLANE_PASSWORD", PASSWORD)
    public_key, pem = pair
    (tmp_path / "keys").mkdir()
    (tmp_path / FILE).write_text(pem)
    return write_plan(arbiter__public_key_fingerprint=public_key.fingerprint, arbiter__private_key=FILE)


def _trajectory(directory: Path) -> list[float]:
    from cipherlane.report import read_json

    return [record["log_likelihood"] for record in read_json(directory / "metrics.json")["iterations"]]


def test_the_arbiters_own_key_is_used_and_named(
    tmp_path: Path, plan: Path, pair: tuple[PublicKey, str], overlapping_clusters: object
) -> None:
    run = train(plan, tmp_path / "run")
    assert run.metrics["totals"]["ciphertexts"]["key_fingerprint"] == pair[0].fingerprint
    plan.write_text(plan.read_text().partition("[arbiter]")[0] + "[parties" + plan.read_text().partition("[parties")[2])
    assert load_plan(plan).arbiter is None
    other = train(plan, tmp_path / "other")
    assert other.metrics["totals"]["ciphertexts"]["key_fingerprint"] != pair[0].fingerprint
    assert _trajectory(run.directory) == _trajectory(other.directory)
    # Scoring needs no key of the arbiter's: all roles are in one process.
    (tmp_path / FILE).unlink()
    scores = score_run(run.directory, {name: tmp_path / f"{name}.csv" for name in ("guest", "host1")})
    with (tmp_path / "guest.csv").open() as stream:
        assert len(scores.ids) == sum(1 for _ in csv.reader(stream)) - 1


def test_a_logistic_regression_of_the_arbiters_own_key_predicts_without_it(tmp_path: Path, plan: Path) -> None:
    text = plan.read_text().replace("[privacy]\nresponsibility_decimals = -1\n", "")
    text = text.replace("components = 3\nseed = 1\n", 'algorithm = "logistic-regression"\n')
    plan.write_text(text.replace("max_iterations = 6", "max_iterations = 1"))
    run = train(plan, tmp_path / "run")
    (tmp_path / FILE).unlink()
    found = predict_run(run.directory, {name: tmp_path / f"{name}.csv" for name in ("guest", "host1")})
    with (run.directory / "predictions.csv").open(newline="") as stream:
        trained = [float(row["predict_score"]) for row in csv.DictReader(stream)]
    assert found.probabilities == pytest.approx(trained, abs=1e-5)


@pytest.mark.skipif(bool(missing_packages()), reason=f"not installed: {', '.join(missing_packages())}")
def test_with_a_ledger_the_key_stands_there_over_sessions(
    tmp_path: Path, plan: Path, pair: tuple[PublicKey, str]
) -> None:
    from cipherlane.ledger.audit import audit

    plan.write_text(plan.read_text().replace("checkpoint_every = 0", "checkpoint_every = 1") + "[ledger]\n")

    def stop(event: Progress) -> None:
        if event.record is not None and event.record.round == 2:
            raise RuntimeError("stands for a crash")

    with pytest.raises(RuntimeError, match="stands for a crash"):
        train(plan, tmp_path / "run", progress=stop)
    run = train(plan, tmp_path / "run", resume=True)
    report = audit(run.directory)
    assert report.failure is None
    (told,) = [text for text in report.held if "the arbiter's key" in text]
    assert pair[0].fingerprint[:16] in told and told.endswith("which the plan names")


def test_another_key_in_the_file_is_refused_with_both_fingerprints(
    tmp_path: Path, plan: Path, pair: tuple[PublicKey, str]
) -> None:
    named = "ab" * 32
    plan.write_text(plan.read_text().replace(pair[0].fingerprint, named))
    expected = f"'arbiter': the arbiter's public key has the fingerprint {pair[0].fingerprint}, the plan names {named}"
    with pytest.raises(ProtocolError, match=expected):
        train(plan, tmp_path / "run")


@pytest.mark.parametrize("victim", ["guest", "host1"])
def test_a_key_that_is_exchanged_on_the_way_is_refused_by_whoever_gets_it(
    tmp_path: Path, plan: Path, pair: tuple[PublicKey, str], monkeypatch: pytest.MonkeyPatch, victim: str
) -> None:
    other, _ = keygen(bits=1024)
    call_all = LocalEngine.call_all
    kinds: list[str] = []

    def exchange(self: object, method: str, requests: dict[str, bytes]) -> dict[str, bytes]:
        kinds.append(method)
        if method == "key":
            fields = {**unpack(requests[victim], "key").fields, "public_key": other.to_json()}
            requests = {**requests, victim: pack("key", 0, **fields)}
        return call_all(self, method, requests)

    monkeypatch.setattr(LocalEngine, "call_all", exchange)
    with pytest.raises(ProtocolError) as caught:
        train(plan, tmp_path / "run")
    assert f"{victim!r}: the arbiter's public key has the fingerprint {other.fingerprint}" in str(caught.value)
    assert f"the plan names {pair[0].fingerprint}" in str(caught.value)
    assert kinds[-1] == "key"


def test_an_arbiter_that_uses_another_key_is_refused_by_the_coordinator(
    tmp_path: Path, plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cipherlane.federation.arbiter.arbiter_keys", lambda bits, scheme, given: keygen(bits=bits))
    with pytest.raises(
        ProtocolError, match=r"'coordinator': the arbiter's public key has the fingerprint .*, the plan"
    ):
        train(plan, tmp_path / "run")


def test_an_arbiter_without_its_key_says_what_is_missing(
    tmp_path: Path, plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = tmp_path / FILE
    text = pem.read_text()

    def refusal() -> str:
        with pytest.raises(ValueError) as caught:
            train(plan, tmp_path / "run")
        return str(caught.value)

    pem.unlink()
    assert "arbiter.private.pem: no such file; put the PEM file there that `cipherlane keygen` made" in refusal()
    pem.write_text(text[:-100])
    assert "arbiter.private.pem: " in refusal()
    pem.write_text(text)
    monkeypatch.setenv("CIPHERLANE_PASSWORD", "wrong")
    assert "password" in refusal() and "wrong horse" not in refusal()
    monkeypatch.delenv("CIPHERLANE_PASSWORD")
    assert "CIPHERLANE_PASSWORD: this environment variable is not set; set it to the password" in refusal()
    monkeypatch.setenv("CIPHERLANE_PASSWORD", PASSWORD)
    plan.write_text(plan.read_text().replace("key_bits = 1024", 'key_bits = 1024\nscheme = "classic"'))
    assert "asks for a 1024-bit classic key, this is a 1024-bit djn key; set key_bits and scheme" in refusal()
    assert not (tmp_path / "run").exists()


def test_over_sites_only_the_arbiters_site_is_told_where_its_key_lies(
    tmp_path: Path, plan: Path, pair: tuple[PublicKey, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: dict[str, RoleOrder] = {}
    to_bytes = RoleOrder.to_bytes

    def spy(self: RoleOrder) -> bytes:
        data = to_bytes(self)
        sent[self.name] = RoleOrder.from_bytes(data, tmp_path)
        return data

    monkeypatch.setattr(RoleOrder, "to_bytes", spy)
    run = train_over(
        plan, tmp_path / "run", {name: Line(RoleHost(name, tmp_path)) for name in ("arbiter", "guest", "host1")}
    )
    fingerprint = pair[0].fingerprint
    assert run.metrics["totals"]["ciphertexts"]["key_fingerprint"] == fingerprint
    for name in ("guest", "host1"):
        assert sent[name].arbiter == ArbiterPlan(fingerprint)
    assert sent["arbiter"].arbiter == ArbiterPlan(
        fingerprint, (tmp_path / FILE).resolve(), VariableKey("CIPHERLANE_PASSWORD")
    )
    outside = plan.read_text().replace(FILE, "../elsewhere.pem")
    plan.write_text(outside)
    with pytest.raises(ProtocolError, match=r"'\.\./elsewhere.pem' leads out of the site's directory"):
        train_over(
            plan, tmp_path / "b", {name: Line(RoleHost(name, tmp_path)) for name in ("arbiter", "guest", "host1")}
        )


def test_the_horizontal_arbiter_uses_it_too(tmp_path: Path, plan: Path, pair: tuple[PublicKey, str]) -> None:
    section = load_plan(plan).arbiter
    task = {"key_bits": 1024, "scheme": "djn"}
    arbiter = HorizontalArbiter(SealedStore(tmp_path / "sealed"), section)
    from cipherlane.vertical.wire import Message

    reply = unpack(arbiter._on_task(Message("arbiter_task", 0, task)), "public_key")
    assert PublicKey.from_json(reply["public_key"]) == pair[0]


def _section(lines: str, plan: Path) -> Plan:
    text = plan.read_text()
    plan.with_name("other.toml").write_text(
        text.partition("[arbiter]")[0] + lines + "\n[parties" + text.partition("[parties")[2]
    )
    return load_plan(plan.with_name("other.toml"))


def test_the_section_is_read_strictly(plan: Path) -> None:
    whole = f'[arbiter]\npublic_key_fingerprint = "{"0" * 64}"\nprivate_key = "a.pem"\n'
    assert _section(whole, plan).arbiter == ArbiterPlan(
        "0" * 64, plan.parent / "a.pem", VariableKey("CIPHERLANE_PASSWORD")
    )
    for text, password in (
        ("secret.txt", FileKey(plan.parent / "secret.txt")),
        ("keyring:cipherlane/arbiter", KeyringKey("cipherlane", "arbiter")),
    ):
        assert _section(f'{whole}password = "{text}"\n', plan).arbiter.password == password
    for lines, expected in (
        (whole.replace("0" * 64, "0" * 63), r"\[arbiter\] public_key_fingerprint: expected 64 lower-case hexadecimal"),
        (whole.replace("0" * 64, "A" * 64), r"public_key_fingerprint: expected 64 .*`cipherlane keygen` prints it"),
        ('[arbiter]\nprivate_key = "a.pem"\n', r"\[arbiter\] public_key_fingerprint: expected a value"),
        (f'[arbiter]\npublic_key_fingerprint = "{"0" * 64}"\n', r"\[arbiter\] private_key: expected a value"),
        (f'{whole}password = "env:1"\n', r"\[arbiter\] password: expected a file, env:NAME or keyring:SERVICE/NAME"),
        (f'{whole}pasword = "x"\n', "unknown field 'pasword'; did you mean 'password'"),
    ):
        with pytest.raises(ValueError, match=expected):
            _section(lines, plan)


def test_a_password_comes_from_a_private_file_or_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "password"
    with pytest.raises(ValueError, match=r"password: expected the file of a key, found none"):
        FileKey(file).load_password()
    file.write_text("first line\nsecond\n")
    file.chmod(0o644)
    with pytest.raises(ValueError, match="others may read this key; run: chmod 600"):
        FileKey(file).load_password()
    file.chmod(0o600)
    assert FileKey(file).load_password() == "first line"
    for content, expected in ((b"\n", "the password is empty"), (b"\xff\xfe", "expected a password as UTF-8 text")):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=expected):
            FileKey(file).load_password()
    monkeypatch.setenv("A_PASSWORD", "")
    with pytest.raises(ValueError, match="A_PASSWORD: the password is empty"):
        VariableKey("A_PASSWORD").load_password()
