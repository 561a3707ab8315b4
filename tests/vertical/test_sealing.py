from __future__ import annotations

import base64
import os
import sys
import threading
import types
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from cipherlane.errors import MissingExtraError, ProtocolError
from cipherlane.vertical import sealed_files
from cipherlane.vertical.seal_keys import FileKey, parse_seal_key
from cipherlane.vertical.sealed_files import SealedStore, rotate
from cipherlane.vertical.sealing import BoxKey, seal


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


def test_keys_come_from_variables_and_from_the_keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = _keyring(monkeypatch)
    text = base64.b64encode(bytes(range(32))).decode()
    monkeypatch.setenv("CLINIC_KEY", text)
    for name in ("env:CLINIC_KEY", "keyring:cipherlane/clinic"):
        directory = tmp_path / name[:3]
        SealedStore(directory, parse_seal_key(name)).write("a.sealed", b"content")
        assert SealedStore(directory, parse_seal_key(name)).read("a.sealed") == b"content"
        assert not (directory / "seal.key").exists()
        assert text not in repr(parse_seal_key(name))
    assert list(kept) == [("cipherlane", "clinic")]
    monkeypatch.setenv("CLINIC_KEY", "bm90IGEga2V5")
    with pytest.raises(ValueError, match="variable CLINIC_KEY: expected a key of 32 bytes in base64") as caught:
        SealedStore(tmp_path / "x", parse_seal_key("env:CLINIC_KEY"))
    assert "bm90" not in str(caught.value)
    monkeypatch.delenv("CLINIC_KEY")
    with pytest.raises(ValueError, match=r"CLINIC_KEY: this environment variable is not set; .*openssl rand"):
        SealedStore(tmp_path / "x", parse_seal_key("env:CLINIC_KEY"))
    for wrong in ("env:a-b", "env:", "keyring:clinic", "keyring:/x"):
        with pytest.raises(ValueError, match=r"seal_key: expected (env:NAME|keyring:SERVICE/NAME)"):
            parse_seal_key(wrong)


def test_a_keyring_that_cannot_be_used_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    _keyring(monkeypatch, locked=True)
    with pytest.raises(ValueError, match="keyring:a/b: the system's keyring cannot be used"):
        parse_seal_key("keyring:a/b").load_or_make()
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(
        MissingExtraError, match=r"`keyring` is not installed; run: pip install 'cipherlane\[keyring\]'"
    ):
        parse_seal_key("keyring:a/b").load()


def test_of_several_that_make_a_key_in_the_keyring_at_once_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    _keyring(monkeypatch)
    both, made = threading.Barrier(2), []
    module = sys.modules["keyring"]
    get_password, set_password = module.get_password, module.set_password

    def get(service: str, name: str) -> str | None:
        found = get_password(service, name)
        if found is None:
            # Where nothing holds one back, both have found no key before either makes one.
            with suppress(threading.BrokenBarrierError):
                both.wait(0.2)
        return found

    def keep(service: str, name: str, password: str) -> None:
        made.append(password)
        set_password(service, name, password)

    monkeypatch.setattr(module, "get_password", get)
    monkeypatch.setattr(module, "set_password", keep)
    key = parse_seal_key("keyring:cipherlane/clinic")
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda make: make(), [key.load_or_make] * 2)
    assert first == second and [base64.b64decode(text) for text in made] == [first]


def _keyring(monkeypatch: pytest.MonkeyPatch, locked: bool = False) -> dict[tuple[str, str], str]:
    """Put a keyring in memory, with the interface of the package, in the place of the system's."""
    kept: dict[tuple[str, str], str] = {}
    module, errors = types.ModuleType("keyring"), types.ModuleType("keyring.errors")
    errors.KeyringError = type("KeyringError", (Exception,), {})
    module.errors = errors

    def get_password(service: str, name: str) -> str | None:
        if locked:
            raise errors.KeyringError
        return kept.get((service, name))

    module.get_password = get_password
    module.set_password = lambda service, name, text: kept.__setitem__((service, name), text)
    module.delete_password = lambda service, name: kept.__delitem__((service, name))
    monkeypatch.setitem(sys.modules, "keyring", module)
    monkeypatch.setitem(sys.modules, "keyring.errors", errors)
    return kept


@pytest.mark.parametrize("name", ["file", "keyring:cipherlane/clinic"])
def test_a_key_is_replaced_and_a_change_that_was_killed_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    _keyring(monkeypatch)
    key = parse_seal_key(name, tmp_path)
    stores = [SealedStore(tmp_path / run, key, run) for run in ("one", "two")]
    for store in stores:
        store.write("a.sealed", store.directory.name.encode())
    before = key.load()
    write_whole = sealed_files.write_whole
    written: list[Path] = []

    def killed(path: Path, content: bytes, *, mode: int) -> None:
        if written:
            raise KeyboardInterrupt
        written.append(path)
        write_whole(path, content, mode=mode)

    with monkeypatch.context() as patch:
        patch.setattr(sealed_files, "write_whole", killed)
        with pytest.raises(KeyboardInterrupt):
            rotate(tmp_path, key)
    with pytest.raises(ValueError, match="a change of keys was interrupted; finish it with `cipherlane rotate-key`"):
        SealedStore(tmp_path / "one", key, "one")
    assert rotate(tmp_path, key) == 2
    assert key.load() != before
    for run in ("one", "two"):
        assert SealedStore(tmp_path / run, key, run).read("a.sealed") == run.encode()
    with pytest.raises(ValueError, match="changed since it was sealed, or sealed with another key"):
        stores[0].read("a.sealed")


def test_another_key_takes_over_and_a_file_of_neither_stops_the_change(tmp_path: Path) -> None:
    old, new = FileKey(tmp_path / "old"), FileKey(tmp_path / "new")
    good = SealedStore(tmp_path / "party", old).write("b.sealed", b"content")
    stray = SealedStore(tmp_path / "party", tmp_path / "stray").write("z.sealed", b"content")
    before = good.read_bytes()
    with pytest.raises(ValueError, match=r"z\.sealed: changed since it was sealed"):
        rotate(tmp_path / "party", old, new)
    assert good.read_bytes() == before
    stray.unlink()
    assert rotate(tmp_path / "party", old, new) == 1
    assert SealedStore(tmp_path / "party", new).read("b.sealed") == b"content"
    with pytest.raises(ValueError, match="none: expected the file of a key, found none"):
        rotate(tmp_path / "party", FileKey(tmp_path / "none"))
