"""What a site allows, and what a wrong startup kit is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cipherlane.cli import main
from cipherlane.federation import train
from cipherlane.federation.flare.calls import SITE_VARIABLE
from cipherlane.federation.flare.kits import ALLOWED_CLASSES, prepare_kit

WritePlan = Callable[..., Path]
FLARES_OWN = "nvflare.app_common.workflows.fedavg.FedAvg"


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    """Return a client's kit as `nvflare provision` makes it, as far as it matters."""
    for folder in ("startup", "local"):
        (tmp_path / "kit" / folder).mkdir(parents=True)
    (tmp_path / "kit" / "startup" / "fed_client.json").write_text("{}")
    settings = {"class_allow_list": [FLARES_OWN], "allow_log_streaming": True, "client": {"retry_timeout": 30}}
    (tmp_path / "kit" / "local" / "resources.json.default").write_text(json.dumps(settings))
    return tmp_path / "kit"


def test_a_site_runs_installed_software_only_and_shows_nothing(kit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert main(["site", str(kit)]) == 0
    data = kit / "local" / "cipherlane"
    assert str(data) in capsys.readouterr().out
    assert data.stat().st_mode & 0o777 == 0o700
    settings = json.loads((kit / "local" / "resources.json").read_text())
    assert settings["class_allow_list"] == [FLARES_OWN, *ALLOWED_CLASSES]
    assert settings["class_list_enforcement_mode"] == "enforce"
    assert settings["allow_log_streaming"] is False
    assert settings["client"] == {"retry_timeout": 30}
    rights = json.loads((kit / "local" / "authorization.json").read_text())["permissions"]
    assert set(rights) == {"project_admin"}
    assert rights["project_admin"]["byoc"] == rights["project_admin"]["shell_commands"] == "none"


def test_settings_and_the_place_of_data_are_kept(kit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (kit / "local" / "resources.json").write_text(json.dumps({"class_allow_list": [], "mine": 1}))
    monkeypatch.setenv(SITE_VARIABLE, str(tmp_path / "elsewhere"))
    assert prepare_kit(kit) == tmp_path / "elsewhere"
    settings = json.loads((kit / "local" / "resources.json").read_text())
    assert settings["mine"] == 1
    assert settings["class_allow_list"] == list(ALLOWED_CLASSES)


def test_what_is_no_kit_is_refused(tmp_path: Path, kit: Path, write_plan: WritePlan) -> None:
    with pytest.raises(ValueError, match="not the startup kit of a site or server"):
        prepare_kit(tmp_path)
    (kit / "startup" / "fed_client.json").unlink()
    with pytest.raises(ValueError, match="not the startup kit of a site or server"):
        prepare_kit(kit)
    plan = write_plan()
    with pytest.raises(ValueError, match="not an administrator's startup kit"):
        train(plan, tmp_path / "out", engine="nvflare", kit=kit)
    with pytest.raises(ValueError, match="kit: expected with engine 'nvflare'"):
        train(plan, tmp_path / "out", kit=kit)
    (tmp_path / "out").mkdir()
    with pytest.raises(ValueError, match="exists already"):
        train(plan, tmp_path / "out", engine="nvflare", kit=kit)
