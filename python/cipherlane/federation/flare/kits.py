"""What an institution does with its FLARE startup kit before it takes part: what the site allows, where data lie."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cipherlane.federation.flare.certificates import check_certificate
from cipherlane.files import site_directory
from cipherlane.report import read_json

# What a site must let a job build, beside what FLARE allows by default.
ALLOWED_CLASSES = (
    "cipherlane.federation.flare.server.FlareCoordinator",
    "cipherlane.federation.flare.server.FlareScorer",
    "cipherlane.federation.flare.site.FlareSite",
    "cipherlane.integrations.nvflare.aggregator.PaillierAggregator",
    "cipherlane.integrations.nvflare.model_decryptor.PaillierModelDecryptor",
    "cipherlane.integrations.nvflare.model_encryptor.PaillierModelEncryptor",
    "cipherlane.integrations.nvflare.persistor.EncryptedModelPersistor",
    "nvflare.collab.runtime.controller.CollabController",
    "nvflare.collab.runtime.executor.CollabExecutor",
)
# FLARE's own default lets a project's administrator do anything anywhere: run code that a job brings, read logs.
_RIGHTS = {
    "submit_job": "any",
    "clone_job": "none",
    "manage_job": "any",
    "download_job": "any",
    "view": "any",
    "operate": "any",
    # Of a running job of ours: how far it has come.
    "app_command": "any",
    "shell_commands": "none",
    "byoc": "none",
}


def prepare_kit(kit: Path) -> Path:
    """Set a startup kit up for federated training and return the directory for the site's data.

    The site then runs installed software only (no code that comes with a job), answers no shell commands of an
    administrator elsewhere, and sends no logs. Settings that were made in the kit's ``local`` folder before are kept.

    Parameters
    ----------
    kit
        The folder of a server or client kit, as `nvflare provision` made it.

    Raises
    ------
    ValueError
        It is no such kit, or its certificate is not one that the federation lets in.
    """
    local = kit / "local"
    settings_file = local / "resources.json"
    default_file = local / "resources.json.default"
    source = settings_file if settings_file.is_file() else default_file
    if not source.is_file() or not any((kit / "startup" / f"fed_{end}.json").is_file() for end in ("client", "server")):
        raise ValueError(f"{kit}: not the startup kit of a site or server; give the folder with `startup` and `local`")
    check_certificate(kit, _site_name(kit))
    settings = read_json(source)
    allowed = settings.get("class_allow_list", [])
    settings["class_allow_list"] = [*allowed, *(name for name in ALLOWED_CLASSES if name not in allowed)]
    settings["class_list_enforcement_mode"] = "enforce"
    settings["allow_log_streaming"] = False
    _keep_within(kit.resolve(), settings)
    _write(settings_file, settings)
    _write(local / "authorization.json", {"format_version": "1.0", "permissions": {"project_admin": _RIGHTS}})
    data = site_directory(local)
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    return data


def _site_name(kit: Path) -> str | None:
    """Return the name under which a client's kit enters the federation; None for a server's."""
    client = kit / "startup" / "fed_client.json"
    name = read_json(client).get("client", {}).get("fqsn") if client.is_file() else None
    return name if isinstance(name, str) else None


def _keep_within(kit: Path, settings: dict[str, Any]) -> None:
    """Let a server keep jobs in its kit, and not where FLARE does by default: beside those of others in /tmp."""
    for component in settings.get("components", ()):
        if component.get("id") == "job_manager":
            component["args"]["uri_root"] = str(kit / "jobs")
    snapshots = settings.get("snapshot_persistor", {}).get("args", {}).get("storage", {}).get("args")
    if snapshots is not None:
        snapshots["root_dir"] = str(kit / "snapshots")


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
