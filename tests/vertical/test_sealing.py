from __future__ import annotations

import os
from pathlib import Path

import pytest

from cipherlane.errors import ProtocolError
from cipherlane.vertical.sealing import BoxKey, SealedStore, seal


def test_a_box_opens_for_its_receiver_and_context_only() -> None:
    receiver = BoxKey()
    box = seal(receiver.public, b"secret", b"round 1")
    assert receiver.open(box, b"round 1") == b"secret"
    with pytest.raises(ProtocolError, match="another key"):
        BoxKey().open(box, b"round 1")
    with pytest.raises(ProtocolError, match="another round"):
        receiver.open(box, b"round 2")
    for position in (0, 31, 32, len(box) - 1):
        changed = bytearray(box)
        changed[position] ^= 1
        with pytest.raises(ProtocolError, match="sealed box"):
            receiver.open(bytes(changed), b"round 1")
    with pytest.raises(ProtocolError, match="at least 32 bytes"):
        receiver.open(box[:10], b"round 1")


def test_two_boxes_of_the_same_content_differ_and_hide_it() -> None:
    receiver = BoxKey()
    first, second = (seal(receiver.public, b"0123456789abcdef", b"") for _ in range(2))
    assert first != second
    assert b"0123456789abcdef" not in first


def test_a_public_key_of_low_order_is_refused() -> None:
    with pytest.raises(ProtocolError, match="box key"):
        seal(bytes(32), b"secret", b"")


def test_sealed_files_come_back_and_hide_their_content(tmp_path: Path) -> None:
    store = SealedStore(tmp_path / "party")
    path = store.write("table.sealed", b"features of patients")
    assert b"patients" not in path.read_bytes()
    assert SealedStore(tmp_path / "party").read("table.sealed") == b"features of patients"
    assert (tmp_path / "party" / "seal.key").stat().st_mode & 0o777 == 0o600
    assert path.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "party").stat().st_mode & 0o777 == 0o700
    assert store.names("table") == ["table.sealed"]
    store.remove("table.sealed")
    assert store.names("table") == []


def test_a_sealed_file_that_was_changed_moved_or_lost_is_refused(tmp_path: Path) -> None:
    store = SealedStore(tmp_path)
    path = store.write("a.sealed", b"content")
    with pytest.raises(ValueError, match=r"b\.sealed: expected a sealed file, found none"):
        store.read("b.sealed")
    path.rename(tmp_path / "b.sealed")
    with pytest.raises(ValueError, match=r"b\.sealed: changed since it was sealed"):
        store.read("b.sealed")
    sealed = bytearray(store.write("a.sealed", b"content").read_bytes())
    sealed[-1] ^= 1
    path.write_bytes(bytes(sealed))
    with pytest.raises(ValueError, match="changed since it was sealed"):
        store.read("a.sealed")
    path.write_bytes(b"plain text")
    with pytest.raises(ValueError, match="not a sealed file"):
        store.read("a.sealed")


def test_a_key_file_can_lie_elsewhere_and_must_be_private_and_whole(tmp_path: Path) -> None:
    key = tmp_path / "key"
    SealedStore(tmp_path / "party", key).write("a.sealed", b"content")
    assert not (tmp_path / "party" / "seal.key").exists()
    with pytest.raises(ValueError, match="sealed with another key"):
        SealedStore(tmp_path / "party").read("a.sealed")
    os.chmod(key, 0o644)
    with pytest.raises(ValueError, match="others may read this key; run: chmod 600"):
        SealedStore(tmp_path / "party", key)
    os.chmod(key, 0o600)
    key.write_bytes(b"short")
    with pytest.raises(ValueError, match="expected a key of 32 bytes, got 5"):
        SealedStore(tmp_path / "party", key)
