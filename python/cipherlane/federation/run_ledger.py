"""The ledger of one run, as training sees it: begun, opened, committed to every round, closed; or none at all."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cipherlane.federation.coordinator import Coordinator
from cipherlane.federation.engine import Transcript, TranscriptEntry
from cipherlane.federation.ledger_part import ledger_roles, part_of, witness_of
from cipherlane.federation.ledger_peers import LedgerPeers
from cipherlane.federation.plan import LedgerPlan, Plan
from cipherlane.federation.responder import Responder
from cipherlane.federation.run_store import RunStore
from cipherlane.files import PRIVATE, make_directory, write_whole
from cipherlane.ledger import require_packages
from cipherlane.ledger.digests import Crossing
from cipherlane.ledger.lineage import Lineage
from cipherlane.ledger.run_files import agreement_file
from cipherlane.report import LedgerNote, write_ledger_note
from cipherlane.vertical.messages import ARBITER, COORDINATOR

if TYPE_CHECKING:
    from cipherlane.ledger.agreement import Agreement
    from cipherlane.ledger.member import Member
    from cipherlane.ledger.session import LedgerSession


class NoLedger:
    """Training without a ledger: nothing is noted and nothing asked."""

    enabled = False

    @property
    def closed(self) -> bool:
        """Whether a session that was interrupted has recorded all that the run ends with."""
        return False

    def witnessed(self, roles: Sequence[Responder]) -> list[Responder]:
        """Return the roles that the engine is to run."""
        return list(roles)

    def note(self, entry: TranscriptEntry) -> None:
        """Take in a message that the coordinator sent or saw."""

    def begin(self, coordinator: Coordinator, transcript: Transcript) -> None:
        """Begin a session, before its first message."""

    def open(self) -> None:
        """Agree on the plan, before the first number is asked for."""

    def agree_on_key(self, fingerprint: str) -> None:
        """Agree on the arbiter's key, before anything is encrypted with it."""

    def commit(self) -> None:
        """Commit to the messages since the last time."""

    def check(self) -> None:
        """Make sure that a round may begin."""

    def stop(self) -> None:
        """Put on record why no further round may begin."""

    def close(self) -> None:
        """Record what the run ends with."""

    def release(self) -> None:
        """Close the files of this machine's copies."""

    def metrics(self) -> dict[str, Any]:
        """Return what the run's metrics say of its ledger."""
        return {}


class RunLedger(NoLedger):
    """The ledger of a run with a section ``[ledger]`` in its plan.

    Parameters
    ----------
    plan, section
        The plan and its section.
    store
        The run's files.
    lineage
        Of the model that the run ends with.
    """

    enabled = True

    def __init__(self, plan: Plan, section: LedgerPlan, store: RunStore, lineage: Lineage) -> None:
        require_packages()
        from cipherlane.ledger.member import Member

        self._plan = plan
        self._section = section
        self._store = store
        self._lineage = lineage
        part = part_of(COORDINATOR, COORDINATOR, plan, store.coordinator_store(), store.directory, lineage=lineage)
        self._own: Member = Member(part)
        self._members = [self._own]
        self._coordinator: Coordinator | None = None
        self._transcript: Transcript | None = None
        self._accounts: dict[str, bytes] = {}
        self._session: LedgerSession | None = None

    def witnessed(self, roles: Sequence[Responder]) -> list[Responder]:
        """Return the roles, each with its part in the ledger before it."""
        stores = {party.name: self._store.party_store(party) for party in self._plan.parties}
        if ARBITER in self._plan.roles:
            stores[ARBITER] = self._store.arbiter_store()
        witnesses = [
            witness_of(role, self._plan, stores[role.name], self._store.directory, self._lineage) for role in roles
        ]
        self._members += [witness.member for witness in witnesses]
        return list(witnesses)

    def note(self, entry: TranscriptEntry) -> None:
        """Take in a message that the coordinator sent or saw."""
        self._own.note(Crossing(entry.sender, entry.receiver, entry.kind, entry.round, entry.sha256, entry.bytes))

    def begin(self, coordinator: Coordinator, transcript: Transcript) -> None:
        """Ask every role for its account; messages before this are of a session that was interrupted."""
        self._coordinator = coordinator
        self._transcript = transcript
        self._own.begin_session()
        replies = coordinator.ask("ledger_join", 0, {name: {} for name in coordinator.engine.roles})
        self._accounts = {name: reply["account"] for name, reply in replies.items()}
        transcript.commitment = 0
        if agreement_file(self._store.directory).is_file():
            # Before any other message of this session, whose commitment's number the ledger knows.
            self.open()

    def open(self) -> None:
        """Open every role's copy and let all accept the plan."""
        from cipherlane.ledger.session import LedgerSession

        if self._session is not None:
            return
        assert self._coordinator is not None, "a ledger is opened after it was begun"
        assert self._transcript is not None, "a ledger is opened after it was begun"
        self._session = LedgerSession(self._agreement(), LedgerPeers(self._coordinator, self._own))
        # Messages were given this number once the commitments before it were on the ledger.
        self._session.open(commitments=self._transcript.last_commitment or 0)
        self._number_messages()

    @property
    def closed(self) -> bool:
        """Whether a session that was interrupted has recorded all that the run ends with."""
        return self._session is not None and self._own.plan_is_closed

    def agree_on_key(self, fingerprint: str) -> None:
        """Let the arbiter put its key on the ledger, and all who were given it vote for it."""
        self._own.learn_key(bytes.fromhex(fingerprint))
        self._opened.agree_on_key()

    def commit(self) -> None:
        """Let every role commit to the messages it sent and saw since the last time."""
        self._opened.commit()
        self._number_messages()

    def check(self) -> None:
        """Let every role make sure that the plan may use all data sets.

        Raises
        ------
        LedgerError
            It may not.
        """
        self._opened.do("check")

    def stop(self) -> None:
        """Put on the ledger that access was revoked, where that is why the run stops."""
        self._opened.do("access")

    def close(self) -> None:
        """Commit to the last messages and record the models."""
        self._opened.close()
        write_ledger_note(self._store.directory, self._told())
        self.release()

    def release(self) -> None:
        """Close the files of this machine's copies."""
        for member in self._members:
            member.close()

    def metrics(self) -> dict[str, Any]:
        """Return what the run's metrics say of its ledger."""
        agreement = self._agreement()
        assert self._transcript is not None, "a ledger's metrics are asked for after it was begun"
        return {
            "ledger": {
                "chain_id": agreement.chain_id,
                "contract": "0x" + agreement.contract.hex(),
                "url": agreement.url,
                "validators": list(agreement.validators),
                "commitments": self._own.next_commitment,
                "messages": len(self._transcript.ledger_entries),
                "bytes": sum(entry.bytes for entry in self._transcript.ledger_entries),
            }
        }

    def _told(self) -> LedgerNote:
        agreement, head = self._agreement(), self._own.noted_head()
        return LedgerNote(
            engine="embedded" if agreement.url is None else "json-rpc",
            chain=f"chain id {agreement.chain_id}",
            contract="0x" + agreement.contract.hex(),
            height=head.number,
            head="0x" + head.hash.hex(),
            commits=self._own.next_commitment,
            audit=None,
        )

    def _number_messages(self) -> None:
        assert self._transcript is not None, "messages are numbered after the ledger was begun"
        self._transcript.commitment = self._own.next_commitment

    @property
    def _opened(self) -> LedgerSession:
        assert self._session is not None, "a ledger is used after it was opened"
        return self._session

    @property
    def _roles(self) -> dict[str, str]:
        return ledger_roles(self._plan)

    def _agreement(self) -> Agreement:
        from cipherlane.ledger.agreement import Agreement

        path = agreement_file(self._store.directory)
        if path.is_file():
            return Agreement.from_json(path.read_text(encoding="utf-8"))
        made = self._new_agreement()
        make_directory(path.parent, 0o700)
        write_whole(path, made.to_json(), mode=PRIVATE)
        return made

    def _new_agreement(self) -> Agreement:
        from cipherlane.ledger.accounts import contract_address
        from cipherlane.ledger.agreement import Agreement, Identity
        from cipherlane.ledger.digests import SALT_BYTES

        own = self._own.address
        accounts = {COORDINATOR: own, **self._accounts}
        members = {name: Identity(role, accounts[name]) for name, role in self._roles.items()}
        salt = secrets.token_bytes(SALT_BYTES)
        url = self._section.url
        if url is not None:
            from cipherlane.ledger.json_rpc import JsonRpcChain

            network = JsonRpcChain(url)
            return Agreement(salt, members, contract_address(own, network.nonce(own)), network.chain_id, url)
        # A chain id of its own for each run, so that no signature of one counts in another.
        chain_id = 1 << 32 | secrets.randbits(31)
        validators = self._section.validators or tuple(members)
        return Agreement(salt, members, contract_address(own, 0), chain_id, None, int(time.time()), validators)


def ledger_for(plan: Plan, store: RunStore, lineage: Lineage) -> NoLedger:
    """Return the ledger that a plan asks for, of a run that ends with a model of this lineage."""
    return NoLedger() if plan.ledger is None else RunLedger(plan, plan.ledger, store, lineage)
