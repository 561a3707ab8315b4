"""The filter through which a client's weights leave it: encrypted, or not at all."""

from __future__ import annotations

from collections.abc import Mapping

from nvflare.apis.dxo import DXO, DataKind, MetaKey, from_shareable
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply

from cipherlane.integrations.averaging import encrypt_weights
from cipherlane.integrations.nvflare.client_filter import ClientFilter
from cipherlane.integrations.nvflare.encrypted_dxo import encrypted_dxo
from cipherlane.integrations.nvflare.round_model import whole_weights
from cipherlane.integrations.nvflare.site_keys import KEY_NAME, PASSWORD


class PaillierModelEncryptor(ClientFilter):
    """Encrypts the weights of a task's result, times the client's own weight: a task result filter.

    A difference (`DataKind.WEIGHT_DIFF`, an `FLModel` of type DIFF) is added to the model of the round, which
    `PaillierModelDecryptor` passed on, and the sum is sent, so that the average is a whole model again.
    The client's weight is NUM_STEPS_CURRENT_ROUND of the result's meta data, as in FLARE's own averaging; it is
    encrypted too. Nothing else of the meta data leaves the client. A result that holds no weights, or cannot be
    encrypted, is not sent: FLARE reports a filter's error to the server in its place.

    Parameters
    ----------
    terms : mapping of str to int
        The arguments of `AveragingTerms`, the same at every site.
    key : str, default "averaging"
        The key's name: the file ``<key>.private.pem`` in the site's directory.
    password : str, default "env:CIPHERLANE_PASSWORD"
        Where its password comes from: a file, ``env:NAME`` or ``keyring:SERVICE/NAME``.
    clip : bool, default False
        Bring weights that are too large for the terms to the largest allowed, instead of refusing them.
    """

    def __init__(
        self, terms: Mapping[str, int], key: str = KEY_NAME, password: str = PASSWORD, clip: bool = False
    ) -> None:
        super().__init__(terms, key, password)
        self.clip = clip

    def process(self, shareable: Shareable, fl_ctx: FLContext) -> Shareable:
        """Return the encrypted result; of a failed task, its return code alone.

        Raises
        ------
        ValueError
            The result holds no weights, or something else.
        """
        code = shareable.get_return_code()
        if code != ReturnCode.OK:
            return make_reply(code)
        try:
            dxo = from_shareable(shareable)
        except ValueError as error:
            raise ValueError(f"result: expected weights in a DXO, got none ({error}); nothing was sent") from None
        if dxo.data_kind not in (DataKind.WEIGHTS, DataKind.WEIGHT_DIFF):
            raise ValueError(
                f"result: expected kind WEIGHTS or WEIGHT_DIFF, got {dxo.data_kind}; nothing was sent: have the client "
                "send other results by tasks of their own"
            )
        if not dxo.data:
            raise ValueError("result: expected weights in a DXO, got an empty one; nothing was sent")
        # Made anew, for whatever else the executor put beside the weights.
        return from_shareable(super().process(shareable, fl_ctx)).to_shareable()

    def process_dxo(self, dxo: DXO, shareable: Shareable, fl_ctx: FLContext) -> DXO:
        """Return a DXO with the encrypted weights.

        Raises
        ------
        ValueError
            It has no NUM_STEPS_CURRENT_ROUND, or is a difference to a model that is not known.
        TypeError, ValueError, PlaintextOverflowError
            As for `encrypt_weights`.
        """
        weight = dxo.get_meta_prop(MetaKey.NUM_STEPS_CURRENT_ROUND)
        if weight is None:
            raise ValueError(
                "result: expected the client's weight as NUM_STEPS_CURRENT_ROUND in the meta data, got none; set it "
                "to the number of rows or steps"
            )
        weights = dxo.data if dxo.data_kind == DataKind.WEIGHTS else whole_weights(dxo.data, fl_ctx)
        message = encrypt_weights(self._key(fl_ctx), self._terms, weights, weight, clip=self.clip)
        self.log_info(fl_ctx, f"encrypted {len(weights)} layers in {len(message)} bytes")
        return encrypted_dxo(message)
