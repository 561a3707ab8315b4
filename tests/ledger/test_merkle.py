from __future__ import annotations

import pytest

from cipherlane.ledger.digests import Crossing, roots_of
from cipherlane.ledger.merkle import leaf_hash, proof_of, root_of, verify

# Entries and roots of the reference implementation of Certificate Transparency (RFC 6962).
ENTRIES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_the_reference(size: int) -> None:
    assert root_of([leaf_hash(entry) for entry in ENTRIES[:size]]).hex() == ROOTS[size]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31])
def test_a_proof_shows_its_own_leaf_in_its_own_place_only(size: int) -> None:
    leaves = [leaf_hash(bytes([i])) for i in range(size)]
    root = root_of(leaves)
    for index in range(size):
        proof = proof_of(leaves, index)
        shown = {place for place in range(size) if verify(root, size, leaves[index], place, proof)}
        assert shown == {index}
        assert not verify(root, size, leaf_hash(b"other"), index, proof)
        assert not verify(root, size, leaves[index], index, [*proof, bytes(32)])
        assert not proof or not verify(root, size, leaves[index], index, proof[:-1])
        assert not verify(root, size, leaves[index], size, proof)
    with pytest.raises(ValueError, match=f"index: expected 0 to {size - 1}, got {size}"):
        proof_of(leaves, size)


def test_any_change_of_a_message_changes_the_roots_of_both_ends() -> None:
    digest = "ab" * 32
    message = Crossing("a", "b", "update", 3, digest, 10)
    salt = b"s" * 32
    ends = [roots_of(name, [message], salt) for name in "ab"]
    assert [roots.count for roots in ends] == [1, 0]
    for changed in (
        Crossing("a", "b", "update", 3, "cd" * 32, 10),
        Crossing("a", "b", "finish", 3, digest, 10),
        Crossing("a", "b", "update", 4, digest, 10),
        Crossing("a", "b", "update", 3, digest, 11),
    ):
        assert all(roots_of(name, [changed], salt) != roots for name, roots in zip("ab", ends, strict=True))
    assert roots_of("a", [message], b"t" * 32) != ends[0]
    other = Crossing("a", "b", "finish", 3, digest, 10)
    assert roots_of("a", [message, other], salt) != roots_of("a", [other, message], salt)
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        Crossing("a", "b", "update", 3, digest.upper(), 10).leaf(salt)
