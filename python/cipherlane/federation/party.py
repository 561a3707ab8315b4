"""What every data party is: rows of its own, a sealed directory, and the terms on which it takes part."""

from __future__ import annotations

import time
from abc import abstractmethod
from typing import Any, Generic, Protocol, TypeVar

from cipherlane.errors import ProtocolError
from cipherlane.federation import capability
from cipherlane.federation.plan import PartyPlan
from cipherlane.federation.row_matching import RowMatcher
from cipherlane.federation.terms import TERMS_FILE, changed_terms, seal_terms, unseal_terms
from cipherlane.paillier import current_backend
from cipherlane.vertical.exchange import needed
from cipherlane.vertical.messages import pack
from cipherlane.vertical.sealed_files import SealedStore
from cipherlane.vertical.wire import Message


class Rows(Protocol):
    """A party's table, as far as every algorithm needs it."""

    @property
    def ids(self) -> tuple[str, ...]:
        """One id a row."""

    @property
    def source(self) -> str:
        """The file that the rows came from."""


TableT = TypeVar("TableT", bound=Rows)
FilesT = TypeVar("FilesT")
PartyT = TypeVar("PartyT", bound="Party[Any, Any]")


class Party(RowMatcher, Generic[TableT, FilesT]):
    """A guest or host: says what it has, takes part or declines, and holds all later sessions to what it accepted.

    Parameters
    ----------
    name, role
        Who it is; role is "guest" or "host".
    table
        Its rows.
    id_column
        The column its ids stand in.
    columns
        The names of its other columns.
    store
        Its sealed directory; None where nothing is to be kept.
    files
        Where it writes its results.
    declines
        Why its operator does not want to take part; None to take part if it can.

    Attributes
    ----------
    algorithm
        What it is set up for.
    expected_key
        The fingerprint that the run's key must have; None takes any.
    """

    algorithm: str

    def __init__(
        self,
        name: str,
        role: str,
        table: TableT,
        *,
        id_column: str,
        columns: tuple[str, ...],
        store: SealedStore | None,
        files: FilesT,
        declines: str | None,
    ) -> None:
        super().__init__(name, role)
        self._declines = declines
        self._table = table
        self._id_column = id_column
        self.schema = "\n".join([id_column, *columns]).encode()
        self._store = store
        self._files = files
        self._task: Message | None = None
        self._accepted: Message | None = None
        self.expected_key: str | None = None

    @classmethod
    @abstractmethod
    def prepare(cls: type[PartyT], plan: PartyPlan, store: SealedStore, files: Any, model: Any = None) -> PartyT:
        """Read the party's file as its section of the plan says, and seal what it begins with in its store."""

    @classmethod
    def reopen(cls: type[PartyT], plan: PartyPlan, store: SealedStore, files: Any) -> PartyT:
        """Go on from what an interrupted run sealed."""
        table, own = cls._kept_rows(store)
        party = cls._of(plan, table, store, files, **own)
        # Without what it accepted, a plan that changed would pass for a new one.
        party._accepted = unseal_terms(store)
        return party

    @classmethod
    @abstractmethod
    def _kept_rows(cls, store: SealedStore) -> tuple[Rows, dict[str, Any]]:
        """Return the rows that `prepare` sealed, and what its algorithm sealed beside."""

    @classmethod
    def _of(
        cls: type[PartyT], plan: PartyPlan, table: Rows, store: SealedStore | None, files: object, **own: Any
    ) -> PartyT:
        """Return the party of a section of the plan; `own` is what its algorithm takes beside."""
        settings = {"id_column": plan.id_column, "store": store, "files": files, "declines": plan.declines, **own}
        return cls(plan.name, plan.role, table, **settings)

    @property
    def row_ids(self) -> tuple[str, ...]:
        """The ids of its rows."""
        return self._table.ids

    @property
    def row_source(self) -> str:
        """The file that its rows came from."""
        return self._table.source

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """The names of its columns, as they are now."""

    @property
    def sealed_store(self) -> SealedStore:
        """Its sealed directory."""
        return needed(self._store, "a checkpoint without a directory to keep it in")

    # What it has, and whether it takes part.

    def _on_requirements(self, message: Message) -> bytes:
        self._keep_to_what_was_accepted(message)
        reasons = self._reasons_to_decline(message)
        seconds = None if reasons else self._seconds_of_a_round(message, reasons)
        if not reasons and self._store is not None:
            seal_terms(self._store, message)
        return pack(
            "capability",
            message.round,
            accepts=not reasons,
            reason="; ".join(reasons),
            rows=len(self.row_ids),
            columns=len(self.columns),
            memory_needed=self._memory_needed(message),
            memory_available=capability.available_memory(),
            seconds_per_iteration=seconds,
            backend=current_backend(),
            threads=capability.threads(),
            software=capability.software(),
            clock=time.time(),
            box_key=self._box.public,
        )

    def _keep_to_what_was_accepted(self, message: Message) -> None:
        """Take the plan's terms, or refuse others than this party accepted before, in this session or another."""
        accepted = self._task or self._accepted
        if accepted is None and self._store is not None and TERMS_FILE in self._store.names("accepted"):
            accepted = unseal_terms(self._store)
        changed = [] if accepted is None else changed_terms(accepted, message)
        if changed:
            raise ProtocolError(
                f"the plan changed after this party accepted it: {'; '.join(changed)}; go on with the accepted plan, "
                "or start a new run"
            )
        if self._task is not None:
            raise ProtocolError(f"replayed message: {message.kind!r} have been answered already")
        self._task = message

    def _reasons_to_decline(self, task: Message) -> list[str]:
        """Return why it does not take part; a subclass adds its own."""
        rows = len(self.row_ids)
        reasons = [] if self._declines is None else [self._declines]
        # In whatever order: parties may have agreed on one since.
        if task["columns"] is not None and sorted(task["columns"]) != sorted(self.columns):
            reasons.append("its columns are not those the plan names")
        if task["rows"] is not None and task["rows"] != rows:
            reasons.append(f"the plan requires {task['rows']} rows, it has {rows}")
        return reasons + capability.machine_reasons(task, self._memory_needed(task))

    @abstractmethod
    def _memory_needed(self, task: Message) -> int:
        """Return the bytes that it expects to take."""

    def _seconds_of_a_round(self, task: Message, reasons: list[str]) -> float | None:
        """Return the seconds that it expects of a round, and add to `reasons` if they are too many; None: not known."""
        return None

    # Small parts.

    def _current_task(self) -> Message:
        return needed(self._task, "work is asked for before the plan's requirements")
