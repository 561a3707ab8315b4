"""The interface of python-paillier (``phe``) 1.5.0 on Cipherlane's core, with helpers for whole lists.

Keys, ciphertexts and exponents are python-paillier's: what one makes the other reads.

>>> from cipherlane.integrations import phe
>>> public_key, private_key = phe.generate_paillier_keypair(n_length=2048)
>>> numbers = public_key.encrypt_batch([1.5, -2, 1000])
>>> private_key.decrypt(phe.dot_batch([2, 1, 0.5], numbers) + 1)
502.0
"""

from __future__ import annotations

from cipherlane.integrations.phe import command_line, encoding, paillier, util
from cipherlane.integrations.phe.batch import (
    add_batch,
    dot_batch,
    from_cipher_array,
    multiply_batch,
    obfuscate_batch,
    sum_batch,
    to_cipher_array,
)
from cipherlane.integrations.phe.encoding import EncodedNumber
from cipherlane.integrations.phe.paillier import (
    EncryptedNumber,
    PaillierPrivateKey,
    PaillierPrivateKeyring,
    PaillierPublicKey,
    generate_paillier_keypair,
)
from cipherlane.integrations.phe.replacement import stand_in

# Of the interface that is offered; programs ask for it.
__version__ = "1.5.0"

__all__ = [
    "EncodedNumber",
    "EncryptedNumber",
    "PaillierPrivateKey",
    "PaillierPrivateKeyring",
    "PaillierPublicKey",
    "__version__",
    "add_batch",
    "command_line",
    "dot_batch",
    "encoding",
    "from_cipher_array",
    "generate_paillier_keypair",
    "multiply_batch",
    "obfuscate_batch",
    "paillier",
    "stand_in",
    "sum_batch",
    "to_cipher_array",
    "util",
]
