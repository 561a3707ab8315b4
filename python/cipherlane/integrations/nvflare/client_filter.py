"""What the two filters of a client have in common: the terms, and the private key once it is needed."""

from __future__ import annotations

from collections.abc import Mapping

from nvflare.apis.dxo_filter import DXOFilter
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_context import FLContext

from cipherlane.errors import CipherlaneError
from cipherlane.integrations.averaging import AveragingTerms
from cipherlane.integrations.nvflare.site_keys import KEY_NAME, PASSWORD, read_private_key
from cipherlane.paillier import PrivateKey


class ClientFilter(DXOFilter):  # type: ignore[misc]
    """A filter that uses the federation's private key.

    FLARE writes arguments into a job by the names of the attributes that hold them, as plain values.
    """

    def __init__(self, terms: Mapping[str, int], key: str = KEY_NAME, password: str = PASSWORD) -> None:
        # Of every kind: a kind that were not filtered would leave unencrypted.
        super().__init__(supported_data_kinds=None, data_kinds_to_filter=None)
        self.terms = dict(terms)
        self.key = key
        self.password = password
        self._terms = AveragingTerms(**self.terms)
        self._private_key: PrivateKey | None = None

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Read the key when a job starts, so that a wrong password ends it at once; forget it at the end."""
        if event_type == EventType.START_RUN:
            try:
                self._key(fl_ctx)
            except (ValueError, CipherlaneError) as error:
                self.system_panic(str(error), fl_ctx)
        elif event_type == EventType.END_RUN:
            self._private_key = None

    def _key(self, fl_ctx: FLContext) -> PrivateKey:
        if self._private_key is None:
            self._private_key = read_private_key(self.key, self.password, fl_ctx)
        return self._private_key
