"""What a site allows, and what a wrong startup kit is told."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import threading
import time
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from cipherlane.cli import main
from cipherlane.errors import ProtocolError
from cipherlane.federation import train
from cipherlane.federation.flare.certificates import try_connection
from cipherlane.federation.flare.kits import ALLOWED_CLASSES, prepare_kit
from cipherlane.federation.flare.submission import await_sites
from cipherlane.files import SITE_VARIABLE

from own_authority import Authority

WritePlan = Callable[..., Path]
FLARES_OWN = "nvflare.app_common.workflows.fedavg.FedAvg"


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    """Return a client's kit as `nvflare provision` makes it, as far as it matters."""
    (tmp_path / "kit" / "local").mkdir(parents=True)
    Authority().write_kit(tmp_path / "kit", "guest")
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


def test_a_certificate_that_would_be_refused_is_told_before_the_site_is_started(kit: Path, tmp_path: Path) -> None:
    startup = kit / "startup"
    whole = {path.name: path.read_bytes() for path in startup.iterdir()}

    def refused(expected: str) -> None:
        with pytest.raises(ValueError, match=expected):
            prepare_kit(kit)
        assert not (kit / "local" / "cipherlane").exists()
        for name, content in whole.items():
            (startup / name).write_bytes(content)

    Authority().write_kit(tmp_path / "other", "guest")
    for name in ("client.crt", "client.key"):
        shutil.copy(tmp_path / "other" / "startup" / name, startup)
    refused(r"client\.crt: this certificate is not signed by the federation's root")
    shutil.copy(tmp_path / "other" / "startup" / "client.key", startup)
    refused(r"client\.key: this private key is not that of the certificate client\.crt")
    shutil.copy(tmp_path / "other" / "startup" / "rootCA.pem", startup)
    refused("is not signed by the federation's root")
    Authority().write_kit(kit, "host")
    (startup / "fed_client.json").write_bytes(whole["fed_client.json"])
    refused("this certificate is of 'host', the kit is of 'guest'")
    for begin, end_in in ((-2.0, -1.0), (0.5, 1.0)):
        Authority().write_kit(kit, "guest", begin=begin, end_in=end_in)
        refused(r"valid from .* UTC, and the clock says .*; set the clock, or have the federation provisioned anew")
    (startup / "client.crt").write_text("no certificate")
    refused(r"client\.crt: not a certificate \(PEM\)")
    (startup / "rootCA.pem").unlink()
    refused(r"rootCA\.pem: no such file")
    assert prepare_kit(kit) == kit / "local" / "cipherlane"


def test_a_server_keeps_jobs_in_its_kit_and_an_administrator_shows_a_certificate_too(
    tmp_path: Path, write_plan: WritePlan
) -> None:
    kit = tmp_path / "kit"
    Authority().write_kit(kit, "localhost", "server")
    (kit / "local").mkdir()
    settings = {
        "snapshot_persistor": {"args": {"storage": {"args": {"root_dir": "/tmp/nvflare/snapshot-storage"}}}},
        "components": [
            {"id": "job_scheduler"},
            {"id": "job_manager", "args": {"uri_root": "/tmp/nvflare/jobs-storage"}},
        ],
    }
    (kit / "local" / "resources.json.default").write_text(json.dumps(settings))
    prepare_kit(kit)
    written = (kit / "local" / "resources.json").read_text()
    assert "/tmp/nvflare" not in written
    assert str(kit.resolve() / "jobs") in written and str(kit.resolve() / "snapshots") in written
    admin = tmp_path / "admin"
    Authority().write_kit(admin, "admin@coordinator.org")
    (admin / "startup" / "fed_admin.json").write_text("{}")
    shutil.copy(kit / "startup" / "rootCA.pem", admin / "startup")
    with pytest.raises(ValueError, match="is not signed by the federation's root"):
        train(write_plan(), tmp_path / "out", engine="nvflare", kit=admin)


@contextmanager
def _serving(kit: Path) -> Iterator[int]:
    """Listen with a server's kit as FLARE does, for clients with certificates of its root, and give the port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(kit / "startup" / "rootCA.pem"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(kit / "startup" / "server.crt", kit / "startup" / "server.key")

    def serve() -> None:
        with suppress(OSError):
            while True:
                plain, _ = listener.accept()
                with suppress(OSError), context.wrap_socket(plain, server_side=True) as secured:
                    secured.recv(1)

    with socket.create_server(("localhost", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_a_kit_tries_whether_the_server_lets_it_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own, foreign = Authority(), Authority()
    own.write_kit(tmp_path / "server", "localhost", "server")
    kit = tmp_path / "kit"
    (kit / "local").mkdir(parents=True)
    (kit / "local" / "resources.json.default").write_text("{}")
    with _serving(tmp_path / "server") as port:
        address = f"localhost:{port}"
        own.write_kit(kit, "guest", server=address)
        assert main(["site", str(kit), "--connect"]) == 0
        assert f"{address}: the server lets this kit in" in capsys.readouterr().out
        # The root is that of the federation, so that the client trusts the server, which does not trust the client.
        root = (kit / "startup" / "rootCA.pem").read_bytes()
        foreign.write_kit(kit, "guest", server=address)
        with pytest.raises(
            ProtocolError, match=f"^{address}: the server's certificate is not of this kit's federation"
        ):
            try_connection(kit)
        (kit / "startup" / "rootCA.pem").write_bytes(root)
        with pytest.raises(ProtocolError, match=f"^{address}: the server refuses the certificate of this kit"):
            try_connection(kit)
    with pytest.raises(ProtocolError, match=f"^{address}: the server is not reached"):
        try_connection(kit)
    for content in ("{}", '{"servers": [{"service": {"target": "localhost"}}]}'):
        (kit / "startup" / "fed_client.json").write_text(content)
        with pytest.raises(ValueError, match=r"fed_client\.json: names no server"):
            try_connection(kit)
    with pytest.raises(ValueError, match="only the kit of a site has a server to connect to"):
        try_connection(tmp_path / "server")


def test_a_site_that_does_not_come_is_waited_for_and_named() -> None:
    class Seen:
        """Stands in for FLARE's session: who is there, as time goes by."""

        def __init__(self, *arrivals: dict[str, float]) -> None:
            self._arrivals = list(arrivals)

        def get_connected_client_list(self) -> list[types.SimpleNamespace]:
            now = self._arrivals.pop(0) if len(self._arrivals) > 1 else self._arrivals[0]
            since = {name: time.time() - ago for name, ago in now.items()}
            return [types.SimpleNamespace(name=name, last_connect_time=at) for name, at in since.items()]

    await_sites(Seen({"guest": 1.0}, {"guest": 1.0, "host": 0.0}), ["guest", "host"], 60.0)
    # One whose connection broke a while ago is still in the server's list.
    with pytest.raises(ProtocolError, match=r"'host' did not come within 0 s: .* a certificate of another federation"):
        await_sites(Seen({"guest": 1.0, "host": 600.0}), ["guest", "host"], 0.0)


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
