"""A provisioned federation on this machine, with mutual TLS: a foreign certificate, a site that dies, bins.

It starts a server and three sites and takes minutes, so it runs by ``make flare-poc`` alone.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from cipherlane.errors import ProtocolError
from cipherlane.federation import Plan, Progress, bin_columns, bins_of, load_plan, train
from cipherlane.federation.flare import submission
from cipherlane.federation.flare.certificates import try_connection

VARIABLE = "CIPHERLANE_TEST_PROVISIONED"
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

pytestmark = pytest.mark.skipif(VARIABLE not in os.environ, reason=f"minutes; set {VARIABLE} to run it")


@pytest.fixture
def federation() -> Iterator[ModuleType]:
    """Return the example's module, which provisions and starts federations."""
    pytest.importorskip("nvflare", minversion="2.9", reason="the extra `nvflare` is not installed")
    spec = importlib.util.spec_from_file_location("federation", EXAMPLES / "flare" / "federation.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Its annotations are looked up there.
    sys.modules["federation"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["federation"]


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Return the example's plan with rounds enough to be interrupted in."""
    folder = tmp_path / "plan"
    shutil.copytree(EXAMPLES / "breast_cancer", folder)
    text = (folder / "plan.toml").read_text()
    text = re.sub(r"max_iterations = \d+", "max_iterations = 60", text)
    # Exact responsibilities, as rounded ones soon come to rest.
    text = re.sub(r"responsibility_decimals = \S+", "responsibility_decimals = -1", text)
    (folder / "plan.toml").write_text(re.sub(r"tolerance = \S+", "tolerance = 0.0", text))
    return load_plan(folder / "plan.toml")


def test_a_foreign_certificate_is_refused_and_a_site_that_dies_is_named_and_comes_back(
    tmp_path: Path, federation: ModuleType, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("own", "foreign"):
        (tmp_path / name).mkdir()
    foreign = federation.provision(tmp_path / "foreign", 8002)
    with federation.Federation(tmp_path / "own") as running:
        for name in (federation.SERVER, *federation.SITES):
            running.set_up(name)
        for party in plan.parties:
            shutil.copy(party.data, running.data(party.name))
        kit = running.kits / federation.ADMINISTRATOR
        own = tmp_path / "kept"
        shutil.copytree(running.kits / "host" / "startup", own / "startup")
        federation.take_certificate(running.kits / "host", foreign / "host")
        for name in (federation.SERVER, *federation.SITES):
            running.start(name)
        with monkeypatch.context() as shorter:
            # Of a site that is to stay away; one that is to come may need longer on a busy machine.
            shorter.setattr(submission, "ARRIVAL_SECONDS", 60.0)
            with pytest.raises(
                ProtocolError, match=r"^'host' did not come within 60 s: .* certificate of another federation"
            ):
                train(plan, tmp_path / "run", engine="nvflare", kit=kit)
        with pytest.raises(ProtocolError, match="the server refuses the certificate of this kit"):
            try_connection(running.kits / "host")
        running.kill("host")
        federation.take_certificate(running.kits / "host", own)
        assert try_connection(running.kits / "host") == f"localhost:{running.port}"
        running.start("host")

        seen: list[int] = []

        def kill(event: Progress) -> None:
            if event.record is not None:
                if not seen:
                    running.kill("host")
                seen.append(event.record.round)

        with pytest.raises(ProtocolError, match=r"'host'.*--resume"):
            train(plan, tmp_path / "run", engine="nvflare", kit=kit, progress=kill, patience=60.0)
        running.start("host")
        rounds: list[int] = []

        def note(event: Progress) -> None:
            if event.record is not None:
                rounds.append(event.record.round)

        run = train(plan, tmp_path / "run", engine="nvflare", kit=kit, resume=True, progress=note)
        local = train(plan, tmp_path / "local")
        assert 1 < rounds[0] <= seen[-1] + 1 and rounds[-1] == local.iterations > len(seen)
        assert run.metrics["model"] == local.metrics["model"], "the same files of models, bit for bit"
        for name in federation.SITES:
            file = f"{'joint' if name == 'arbiter' else name}.npz"
            kept = running.data(name) / "runs" / "run" / "models" / file
            assert kept.read_bytes() == (local.directory / "models" / file).read_bytes()

        # With the same kits, for another algorithm: its parties are all, the arbiter has no part.
        binning = load_plan(EXAMPLES / "breast_cancer" / "binning.toml")
        binned = bin_columns(binning, tmp_path / "binned", engine="nvflare", kit=kit)
        alone = bin_columns(binning, tmp_path / "alone")
        assert binned.result is None, "it is at the guest's site"
        assert not (running.data("arbiter") / "runs" / "binned").exists()
        files = {"guest": ("binning.csv", "binning.json", "selected-guest.csv"), "host": ("selected-host.csv",)}
        for name, kept_files in files.items():
            own = running.data(name) / "runs" / "binned"
            for file in kept_files:
                assert (own / file).read_bytes() == (alone.directory / file).read_bytes(), file
            assert bins_of(own, name) == bins_of(alone.directory, name)
