"""The mod of a client's app: averages come in decrypted, weights go out encrypted, or not at all."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from flwr.app import Array, ArrayRecord, Context, Message, MessageType, RecordDict

from cipherlane.files import told
from cipherlane.integrations.averaging import AveragingTerms, decrypt_average, encrypt_weights
from cipherlane.integrations.flower.encrypted_arrays import encrypted_record, is_encrypted, message_in
from cipherlane.paillier import PrivateKey
from cipherlane.vertical.seal_keys import parse_seal_key

# In the node's own configuration, so that it overrules what the app says: where its operator keeps the key.
KEY_FILE = "cipherlane-key-file"
PASSWORD = "cipherlane-password"


class PaillierMod:
    """Decrypts the model in what the server sends, and encrypts that in the reply to a message of type "train".

    The client's weight is the metric ``weighted_by_key`` of the reply, as in Flower's own averaging. It is encrypted
    too, and nothing else of the reply leaves the client. Replies to other messages pass as they are unless they hold
    arrays, which are refused.

    Parameters
    ----------
    terms : AveragingTerms
        The same as the server's.
    key_file : str or Path, optional
        The federation's private key, as `cipherlane keygen` wrote it. The node's configuration overrules it by
        "cipherlane-key-file".
    password : str, default "env:CIPHERLANE_PASSWORD"
        Where its password comes from: a file, ``env:NAME`` or ``keyring:SERVICE/NAME``. The node's configuration
        overrules it by "cipherlane-password".
    weighted_by_key : str, default "num-examples"
        The metric that is the client's weight.
    clip : bool, default False
        Bring weights that are too large for the terms to the largest allowed, instead of refusing them.
    """

    def __init__(
        self,
        terms: AveragingTerms,
        key_file: str | Path | None = None,
        password: str = "env:CIPHERLANE_PASSWORD",
        *,
        weighted_by_key: str = "num-examples",
        clip: bool = False,
    ) -> None:
        self._terms = terms
        self._key_file = key_file
        self._password = password
        self._weighted_by_key = weighted_by_key
        self._clip = clip

    def __call__(self, message: Message, context: Context, call_next: Callable[[Message, Context], Message]) -> Message:
        """Return the client's reply, its weights encrypted.

        Raises
        ------
        ValueError
            There is no key, or the reply holds other things than one model and its weight.
        TypeError, ValueError, PlaintextOverflowError, ProtocolError, KeyMismatchError
            As for `encrypt_weights` and `decrypt_average`.
        """
        key = self._key(context)
        for name, record in list(message.content.array_records.items()):
            if is_encrypted(record):
                average = decrypt_average(key, self._terms, message_in(record))
                message.content[name] = ArrayRecord({layer: Array(values) for layer, values in average.weights.items()})
        reply = call_next(message, context)
        if reply.has_error():
            return reply
        if message.metadata.message_type.split(".")[0] == MessageType.TRAIN:
            reply.content = self._encrypted(key, reply.content)
        elif len(reply.content.array_records) > 0:
            raise ValueError(
                f"reply: expected no arrays in answer to a message of type {message.metadata.message_type!r}, got "
                "some; nothing was sent: only weights from training are encrypted"
            )
        return reply

    def _encrypted(self, key: PrivateKey, content: RecordDict) -> RecordDict:
        weights = [
            record[self._weighted_by_key]
            for record in content.metric_records.values()
            if self._weighted_by_key in record
        ]
        if len(content.array_records) != 1 or len(weights) != 1:
            raise ValueError(
                f"reply: expected one ArrayRecord and one metric {self._weighted_by_key!r}, got "
                f"{len(content.array_records)} and {len(weights)}; nothing was sent"
            )
        ((name, record),) = content.array_records.items()
        model = {layer: array.numpy() for layer, array in record.items()}
        sent = encrypt_weights(key, self._terms, model, weights[0], clip=self._clip)
        return RecordDict({name: encrypted_record(sent)})

    def _key(self, context: Context) -> PrivateKey:
        path = context.node_config.get(KEY_FILE, self._key_file)
        if path is None:
            raise ValueError(
                f"key: none is named; start the node with --node-config '{KEY_FILE}=\"...\"', or name it in PaillierMod"
            )
        return _read(Path(str(path)), str(context.node_config.get(PASSWORD, self._password)))


@functools.lru_cache(maxsize=8)
def _read(path: Path, password: str) -> PrivateKey:
    with told(path):
        text = path.read_text(encoding="utf-8", errors="replace")
    try:
        return PrivateKey.from_pem(text, parse_seal_key(password, path.parent, field="password").load_password())
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
