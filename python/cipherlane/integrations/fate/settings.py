"""What `install` was told, for this process."""

from __future__ import annotations

from dataclasses import dataclass

from cipherlane.paillier.codec import FixedPoint

# The significand of a double has 53 bits, which is what FATE encodes of each number.
SCALE_BITS = 53
INTEGER_BITS = 64


@dataclass
class Settings:
    """What this process does when FATE asks for less than it should.

    Attributes
    ----------
    force_obfuscation : bool
        Encrypt with randomness also where FATE passes ``obfuscate=False``, and give results fresh randomness before
        they are pickled.
    pickle_private_keys : bool
        Let private keys be pickled, in the clear.
    """

    force_obfuscation: bool = True
    pickle_private_keys: bool = False


CURRENT = Settings()

# States the fixed point of every vector that is not packed, whatever its scale is at the time.
NUMBERS = FixedPoint(scale_bits=SCALE_BITS, integer_bits=INTEGER_BITS)
