"""The filter through which the average reaches a client."""

from __future__ import annotations

from nvflare.apis.dxo import DXO, DataKind
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable

from cipherlane.integrations.averaging import decrypt_average
from cipherlane.integrations.nvflare.client_filter import ClientFilter
from cipherlane.integrations.nvflare.encrypted_dxo import is_encrypted, message_in
from cipherlane.integrations.nvflare.round_model import keep_round_model


class PaillierModelDecryptor(ClientFilter):
    """Decrypts the average of the round before in a task's data: a task data filter.

    What is not encrypted, such as the first round's model, passes as it is. `PaillierModelEncryptor` adds differences
    to what passed.

    Parameters
    ----------
    terms, key, password
        As for `PaillierModelEncryptor`.
    """

    def process_dxo(self, dxo: DXO, shareable: Shareable, fl_ctx: FLContext) -> DXO | None:
        """Return a DXO with the averaged weights, or None if they came unencrypted.

        Raises
        ------
        ProtocolError, KeyMismatchError
            As for `decrypt_average`.
        """
        if not is_encrypted(dxo):
            if dxo.data_kind == DataKind.WEIGHTS:
                keep_round_model(dxo.data, fl_ctx)
            return None
        average = decrypt_average(self._key(fl_ctx), self._terms, message_in(dxo))
        self.log_info(fl_ctx, f"decrypted the average of {average.parties} clients")
        keep_round_model(average.weights, fl_ctx)
        return DXO(DataKind.WEIGHTS, data=average.weights)
