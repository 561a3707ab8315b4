"""A site's side of a session: it opens one role when told to, and answers calls in their order, each once."""

from __future__ import annotations

import hashlib
import logging
import threading
from pathlib import Path
from typing import Any

from cipherlane.errors import CipherlaneError, ProtocolError, StorageError
from cipherlane.federation.algorithms import arbiter_of, party_type_of
from cipherlane.federation.binning_transform import keep_section
from cipherlane.federation.flare.applying import scoring_role
from cipherlane.federation.flare.calls import SCORES, ModelOrder, RoleOrder, model_directory, run_directory
from cipherlane.federation.ledger_part import witness_of
from cipherlane.federation.party import Party
from cipherlane.federation.plan import BINNING, PartyPlan
from cipherlane.federation.plan_reader import parse_plan
from cipherlane.federation.registry import check_block_continues, trained_model
from cipherlane.federation.responder import Responder
from cipherlane.federation.run_store import JOINT_MODEL, files_of, model_file, sealed_store_of, use_of
from cipherlane.files import told
from cipherlane.vertical.exchange import needed
from cipherlane.vertical.messages import pack, pack_failure
from cipherlane.vertical.sealed_files import InUse, SealedStore

SERVER = "server"
_log = logging.getLogger("cipherlane.federation")


class RoleHost:
    """What holds a site's role for the length of a session.

    Calls are numbered, and numbers follow each other. One that comes again, because its reply was lost or took long,
    gets the reply that was made for it: nothing is computed, and nothing random drawn, a second time.

    Parameters
    ----------
    name
        The site's name, which FLARE has authenticated.
    directory
        Where its data lie; no plan reads anything outside.
    """

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self._directory = directory
        self._lock = threading.Lock()
        self._role: Responder | None = None
        self._use: InUse | None = None
        self._session = b""
        self._number = 0
        self._reply = b""
        self._told = 0

    def open_role(self, caller: str, order: bytes) -> bytes:
        """Take a role; the reply is a ``noted`` message, or a ``failure`` with the reason."""
        with self._lock:
            try:
                self._check_caller(caller)
                self._open(RoleOrder.from_bytes(order, self._directory))
            except (StorageError, OSError) as error:
                # Where its files lie is for its own operator.
                _log.warning("%s", error)
                return self._refuse(StorageError(f"{self.name!r} cannot read or write its files; see that site's log"))
            except (CipherlaneError, ValueError, TypeError) as error:
                return self._refuse(error)
            return pack("noted", 0, rows=0)

    def answer(self, caller: str, session: bytes, number: int, method: str, data: bytes) -> bytes:
        """Answer call `number` of a session: the message `data` of kind `method`."""
        with self._lock:
            try:
                role = self._checked_role(caller, session, number, method, data)
            except ProtocolError as error:
                return self._refuse(error)
            if number > self._number:
                self._reply = role.call(method, data)
                self._number = number
                for notice in role.notices[self._told :]:
                    _log.warning("%s", notice)
                self._told = len(role.notices)
            return self._reply

    def _refuse(self, error: Exception) -> bytes:
        _log.warning("%r refuses a call: %s", self.name, error)
        return pack_failure(0, error)

    def _check_caller(self, caller: str) -> None:
        if caller != SERVER:
            raise ProtocolError(f"site {self.name!r}: only the server may call it, got a call of {caller!r}")

    def _open(self, order: RoleOrder) -> None:
        if order.name != self.name:
            raise ProtocolError(
                f"site {self.name!r} was told to be {order.name!r}; name the sites as the plan names the parties"
            )
        if order.session == self._session:
            return
        if self._role is not None:
            # Before another opens the same files.
            self._role.close()
            self._role = None
        if self._use is not None:
            self._use.close()
            self._use = None
        self._role = self._trained_role(order) if order.training else self._scoring_role(order)
        self._session, self._number, self._reply, self._told = order.session, 0, b"", 0

    def _trained_role(self, order: RoleOrder) -> Responder:
        """Return the role of an order, with its part in the ledger before it if the run has one."""
        directory = run_directory(self._directory, order.run, order.run_id)
        named, key = (None, None) if order.party is None else (order.party.directory, order.party.seal_key)
        self._use = use_of(directory, order.name, order.run_id, named)
        store = sealed_store_of(directory, order.name, order.run_id, named, key)
        role: Responder
        if order.party is None:
            joint = model_file(directory, JOINT_MODEL) if order.joint_model else None
            role = arbiter_of(order.algorithm, store, joint, order.arbiter)
        else:
            role = self._party(order, order.party, directory, store)
        return role if order.plan is None else witness_of(role, parse_plan(order.plan), store, directory)

    def _party(self, order: RoleOrder, party: PartyPlan, directory: Path, store: SealedStore) -> Party[Any, Any]:
        files = files_of(party, directory, order.algorithm)
        party_type = party_type_of(order.algorithm, party.role)
        if order.resume:
            made = party_type.reopen(party, store, files)
        elif order.model is None:
            made = party_type.prepare(party, store, files)
        else:
            # Of the kind that the algorithm's parties take.
            block: Any = trained_model(self._own_model(order.model), self.name, order.algorithm)
            check_block_continues(block, party)
            made = party_type.prepare(party, store, files, block)
        if order.algorithm == BINNING:
            keep_section(directory, party, order.run_id)
        made.expected_key = None if order.arbiter is None else order.arbiter.public_key_fingerprint
        return made

    def _scoring_role(self, order: RoleOrder) -> Responder:
        return scoring_role(
            order,
            lambda: self._own_model(needed(order.model, "rows are to be scored without a model")),
            lambda: run_directory(self._directory, order.run, order.run_id, SCORES),
        )

    def _own_model(self, order: ModelOrder) -> Path:
        path = model_file(model_directory(self._directory, order.run, order.run_id), self.name)
        with told(path):
            digest = hashlib.sha256(path.read_bytes()).digest()
        if digest != order.sha256:
            raise ProtocolError(
                f"{self.name!r}: its model file of the run {order.run!r} is not the one that the version speaks of; "
                "put it back from a copy"
            )
        return path

    def _checked_role(self, caller: str, session: bytes, number: int, method: str, data: bytes) -> Responder:
        self._check_caller(caller)
        if not (isinstance(session, bytes) and isinstance(method, str) and isinstance(data, bytes)):
            raise ProtocolError(f"site {self.name!r}: expected a session, a number, a kind and the bytes of a message")
        if isinstance(number, bool) or not isinstance(number, int):
            raise ProtocolError(f"site {self.name!r}: expected a whole number, got {type(number).__name__}")
        if self._role is None or session != self._session:
            raise ProtocolError(f"site {self.name!r}: the call is of another session than the one opened here")
        if number < 1 or number not in (self._number, self._number + 1):
            raise ProtocolError(
                f"site {self.name!r}: expected call {self._number + 1}, got {number}; a message was replayed, lost or "
                "overtaken; go on with the run by --resume"
            )
        return self._role
