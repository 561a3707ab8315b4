"""What runs at a data party or the arbiter: FLARE's way to a `RoleHost`."""

from __future__ import annotations

import threading
from pathlib import Path

from nvflare.collab import collab

from cipherlane.federation.flare.role_host import RoleHost
from cipherlane.files import site_directory


class FlareSite:
    """A site of the federation, called by the server alone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._host: RoleHost | None = None

    @collab.publish
    def open_role(self, order: bytes) -> bytes:
        """Take a role, as `RoleHost.open_role`."""
        return self._role_host().open_role(collab.caller, order)

    @collab.publish
    def answer(self, session: bytes, number: int, method: str, data: bytes) -> bytes:
        """Answer a call, as `RoleHost.answer`."""
        return self._role_host().answer(collab.caller, session, number, method, data)

    def _role_host(self) -> RoleHost:
        with self._lock:
            if self._host is None:
                local = Path(collab.workspace.get_site_config_dir())
                self._host = RoleHost(collab.site_name, site_directory(local))
            return self._host
