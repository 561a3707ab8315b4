"""How ciphertexts get their randomness, and when two ways are alike enough to compare."""

from __future__ import annotations

from dataclasses import dataclass

# "exact" draws from the distribution of r^n by another way, so those two are one kind.
_KINDS = {"djn": "djn", "classic": "classic", "exact": "classic", "short": "short"}


@dataclass(frozen=True)
class Randomisation:
    """Where an obfuscator comes from.

    Attributes
    ----------
    noise : {"djn", "classic", "exact", "short"}
        h_s^α; r^n; the distribution of r^n from a generator's powers; a power of an element of known short order.
    exponent_bits : int
        Length of the random exponent; of n for r^n.
    holder : bool
        Whether who encrypts has the private key, and works mod p² and q².
    """

    noise: str
    exponent_bits: int
    holder: bool = False

    def __post_init__(self) -> None:
        """Check the kind."""
        if self.noise not in _KINDS:
            raise ValueError(f"noise: expected one of {', '.join(_KINDS)}, got {self.noise!r}")

    @property
    def label(self) -> str:
        """Text for tables.

        Examples
        --------
        >>> Randomisation("djn", 1024).label
        'DJN, alpha 1024 bits'
        """
        return {
            "djn": f"DJN, alpha {self.exponent_bits} bits",
            "classic": "classic r^n",
            "exact": "exact noise",
            "short": f"short, {self.exponent_bits} bits",
        }[self.noise]

    def difference(self, other: Randomisation) -> str | None:
        """Return in what ``other`` is unlike this one, or None if the two may be compared.

        Alike are the same kind of noise, by someone with the same knowledge, with exponents of the same length.

        Examples
        --------
        >>> djn = Randomisation("djn", 1024)
        >>> djn.difference(Randomisation("djn", 1024))
        >>> djn.difference(Randomisation("classic", 2048))
        'classic r^n'
        >>> Randomisation("djn", 1024, holder=True).difference(djn)
        'DJN, alpha 1024 bits, by the public key'
        >>> Randomisation("exact", 1024, holder=True).difference(Randomisation("classic", 1024, holder=True))
        """
        same_kind = _KINDS[self.noise] == _KINDS[other.noise]
        same_length = _KINDS[self.noise] == "classic" or self.exponent_bits == other.exponent_bits
        if same_kind and same_length and self.holder == other.holder:
            return None
        if self.holder == other.holder:
            return other.label
        return f"{other.label}, by the {'private' if other.holder else 'public'} key"
