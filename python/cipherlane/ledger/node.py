"""A member's copy of the embedded chain: it executes every block again and takes nothing on trust."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import rlp
from eth.abc import BlockAPI, BlockHeaderAPI, LogAPI, ReceiptAPI, SignedTransactionAPI, StateAPI
from eth.consensus.clique._utils import is_in_turn, sign_block_header
from eth.consensus.clique.constants import EPOCH_LENGTH, NONCE_DROP
from eth.constants import ZERO_ADDRESS, ZERO_HASH32
from eth.exceptions import CanonicalHeadNotFound, PyEVMError
from eth.vm.forks.berlin.transactions import BerlinTransactionBuilder
from eth.vm.spoof import SpoofTransaction
from eth_abi import decode
from eth_abi.exceptions import DecodingError
from eth_keys.exceptions import BadSignature
from eth_utils import ValidationError
from rlp.exceptions import DecodingError as RlpDecodingError
from rlp.exceptions import DeserializationError

from cipherlane.errors import LedgerError
from cipherlane.ledger import keep_recursion_limit
from cipherlane.ledger.accounts import Account
from cipherlane.ledger.chain import Head, Log, Reverted
from cipherlane.ledger.clique import LedgerChain, chain_class, sealed_lately, sealer_of
from cipherlane.ledger.genesis import SEAL_BYTES, VANITY_BYTES, Genesis
from cipherlane.ledger.kept_results import keep_results
from cipherlane.ledger.store import AtomicRecordStore, RecordStore

keep_recursion_limit()
keep_results()

_CALL_GAS = 30_000_000
_REVERT_SELECTOR = bytes.fromhex("08c379a0")
# A validator's clock may be ahead of ours by this much; we wait until ours has caught up.
MAXIMUM_SECONDS_AHEAD = 10
# PyEVMError: a transaction of an unknown type. RecursionError: lists within lists.
_MALFORMED = (
    *(RlpDecodingError, DeserializationError, ValidationError, BadSignature),
    *(PyEVMError, RecursionError, ValueError, TypeError),
)


@dataclass(frozen=True)
class Executed:
    """A transaction in a block, whether the contract took it, and its events."""

    hash: bytes
    sender: bytes
    to: bytes
    data: bytes
    succeeded: bool
    logs: tuple[Log, ...]


class Node:
    """One copy of the chain.

    Parameters
    ----------
    path
        Its file; None keeps it in memory.
    genesis
        What the chain begins with.
    account
        The validator's account, to seal with; None only follows.
    records
        Its records, where they are open already; `path` is then not used.

    Raises
    ------
    LedgerError
        The file holds another chain, or was changed.
    """

    def __init__(
        self,
        path: Path | None,
        genesis: Genesis,
        account: Account | None = None,
        *,
        records: RecordStore | None = None,
    ) -> None:
        self.genesis = genesis
        self.chain_id = genesis.chain_id
        self._account = account
        self._records = RecordStore(path) if records is None else records
        database = AtomicRecordStore(self._records)
        rules = chain_class(genesis.chain_id)
        try:
            self._chain: LedgerChain = rules(database)
        except CanonicalHeadNotFound:
            with self._records.transaction():
                self._chain = rules.from_genesis(database, genesis.fields(), {})
        first = self._header(0)
        if first.extra_data != genesis.fields()["extra_data"] or first.timestamp != genesis.time:
            raise LedgerError(f"{self.path}: holds another chain; give the run's own directory")

    @property
    def path(self) -> Path | None:
        """The copy's file."""
        return self._records.path

    @property
    def head(self) -> Head:
        """The last block."""
        header = self._chain.get_canonical_head()
        return Head(header.block_number, bytes(header.hash))

    @property
    def next_sealer(self) -> bytes:
        """The address whose turn it is to seal."""
        return self.genesis.in_turn(self.head.number + 1)

    def close(self) -> None:
        """Close the file."""
        self._records.close()

    # Writing.

    def seal(self, transactions: Sequence[bytes]) -> bytes:
        """Execute transactions in a new block, seal it, append it to this copy, and return it.

        Raises
        ------
        LedgerError
            This account is no validator or sealed too recently, or a transaction is malformed.
        """
        if self._account is None:
            raise LedgerError("seal: this copy has no account to seal with")
        with self._records.transaction():
            parent = self._chain.get_canonical_head()
            signed = [self._transaction(raw) for raw in transactions]
            header = self._header_to_seal(parent, self._account.address)
            machine = self._chain.get_vm(header)
            try:
                executed, receipts, _ = machine.apply_all_transactions(signed, header)
            except ValidationError as error:
                raise LedgerError(
                    f"block {header.block_number}: a transaction does not follow the rules: {error}"
                ) from error
            block = machine.set_block_transactions_and_withdrawals(machine.get_block(), executed, signed, receipts)
            block = machine.finalize_block(block).block
            empty = block.header.copy(extra_data=self._extra_data(block.header.block_number))
            block = block.copy(header=sign_block_header(empty, self._account.private_key))
            self._check_seal(block.header, parent)
            self._chain.persist_block(block)
            self._chain.header = self._chain.ensure_header()
        return bytes(rlp.encode(block))

    def append(self, raw: bytes) -> Head:
        """Check a block that another member sealed, execute it again and append it.

        Raises
        ------
        LedgerError
            The block, by its number, and what does not hold.
        """
        block = self._decoded(raw)
        number = block.header.block_number
        self._wait_for(block.header)
        with self._records.transaction():
            parent = self._chain.get_canonical_head()
            self._check_place(block.header, parent)
            self._check_seal(block.header, parent)
            for index, transaction in enumerate(block.transactions):
                try:
                    transaction.check_signature_validity()
                except (ValidationError, BadSignature) as error:
                    raise LedgerError(f"block {number}: transaction {index} has a forged signature") from error
                self._check_chain(transaction)
            try:
                self._chain.import_block(block)
            except ValidationError as error:
                raise LedgerError(f"block {number}: does not follow from the blocks before it: {error}") from error
        return self.head

    # Reading.

    def block(self, number: int) -> bytes:
        """Return a block as bytes."""
        return bytes(rlp.encode(self._block(number)))

    def blocks(self, first: int) -> list[bytes]:
        """Return every block from number `first` on."""
        return [self.block(number) for number in range(first, self.head.number + 1)]

    def hash_of(self, number: int) -> bytes:
        """Return the hash of a block."""
        return bytes(self._header(number).hash)

    def sealer(self, number: int) -> bytes:
        """Return who sealed a block."""
        return sealer_of(self._header(number))

    def call(self, to: bytes, data: bytes, sender: bytes = bytes(20), *, at: int | None = None) -> bytes:
        """Return a contract's answer now, or as of after block `at`; or raise `Reverted`."""
        parent = self._chain.get_canonical_head() if at is None else self._header(at)
        machine = self._chain.get_vm(self._chain.create_header_from_parent(parent))
        with machine.in_costless_state() as state:
            bare = machine.create_unsigned_transaction(
                nonce=state.get_nonce(sender), gas_price=0, gas=_CALL_GAS, to=to, value=0, data=data
            )
            computation = state.costless_execute_transaction(SpoofTransaction(bare, from_=sender))
        if computation.is_error:
            raise Reverted(_reason(bytes(computation.output)))
        return bytes(computation.output)

    def code(self, address: bytes) -> bytes:
        """Return the code at an address."""
        return bytes(self._state().get_code(address))

    def nonce(self, address: bytes) -> int:
        """Return how many transactions an account has made."""
        return int(self._state().get_nonce(address))

    def logs(self, contract: bytes) -> Iterator[Log]:
        """Return every event of a contract, in order."""
        for number in range(1, self.head.number + 1):
            for executed in self.transactions(number):
                yield from (log for log in executed.logs if log.contract == contract)

    def transactions(self, number: int) -> list[Executed]:
        """Return the transactions of a block and what became of them."""
        block = self._block(number)
        return [
            Executed(
                bytes(transaction.hash),
                bytes(transaction.sender),
                bytes(transaction.to),
                bytes(transaction.data),
                receipt.state_root == b"\x01",
                tuple(_log(block.header, log) for log in receipt.logs),
            )
            for transaction, receipt in zip(block.transactions, self._receipts(block), strict=True)
        ]

    def check_records(self) -> int:
        """Check every record of the file and return how many there are."""
        return self._records.check_all()

    # Parts.

    def _header(self, number: int) -> BlockHeaderAPI:
        return self._chain.get_canonical_block_header_by_number(number)

    def _block(self, number: int) -> BlockAPI:
        return self._chain.get_canonical_block_by_number(number)

    def _receipts(self, block: BlockAPI) -> Sequence[ReceiptAPI]:
        receipts: Sequence[ReceiptAPI] = block.get_receipts(self._chain.chaindb)
        return receipts

    def _state(self) -> StateAPI:
        header = self._chain.create_header_from_parent(self._chain.get_canonical_head())
        return self._chain.get_vm(header).state

    def _transaction(self, raw: bytes) -> SignedTransactionAPI:
        try:
            transaction = BerlinTransactionBuilder.decode(raw)
            transaction.validate()
            transaction.check_signature_validity()
        except _MALFORMED as error:
            raise LedgerError(f"a transaction of {len(raw)} bytes is malformed or not signed by its sender") from error
        self._check_chain(transaction)
        return transaction

    def _check_chain(self, transaction: SignedTransactionAPI) -> None:
        # py-evm takes a transaction signed for any chain, or for none.
        if transaction.chain_id != self.chain_id:
            raise LedgerError(
                f"transaction {transaction.hash.hex()[:16]}...: signed for chain {transaction.chain_id}, this is "
                f"{self.chain_id}"
            )

    def _decoded(self, raw: bytes) -> BlockAPI:
        try:
            return rlp.decode(raw, self._chain.get_vm_class_for_block_number(1).get_block_class())
        except _MALFORMED as error:
            raise LedgerError(f"block of {len(raw)} bytes: malformed") from error

    def _header_to_seal(self, parent: BlockHeaderAPI, me: bytes) -> BlockHeaderAPI:
        header = self._chain.create_header_from_parent(parent)
        snapshot = self._chain.get_vm(parent)._consensus.get_snapshot(parent)
        return header.copy(
            coinbase=ZERO_ADDRESS,
            nonce=NONCE_DROP,
            mix_hash=ZERO_HASH32,
            difficulty=2 if is_in_turn(me, snapshot, header) else 1,
        )

    def _extra_data(self, number: int) -> bytes:
        named = b"".join(self.genesis.sealers) if number % EPOCH_LENGTH == 0 else b""
        return bytes(VANITY_BYTES) + named + bytes(SEAL_BYTES)

    def _wait_for(self, header: BlockHeaderAPI) -> None:
        ahead = header.timestamp - time.time()
        if ahead > MAXIMUM_SECONDS_AHEAD:
            raise LedgerError(
                f"block {header.block_number}: sealed by a clock {ahead:.0f} s ahead of ours; set the members' clocks"
            )
        while header.timestamp > int(time.time()):
            time.sleep(0.05)

    @staticmethod
    def _check_place(header: BlockHeaderAPI, parent: BlockHeaderAPI) -> None:
        expected, got = parent.block_number + 1, header.block_number
        if got > expected:
            raise LedgerError(f"block {got}: this copy of the ledger is behind, it needs block {expected} first")
        if got < expected:
            raise LedgerError(f"block {got}: this copy of the ledger has blocks up to {expected - 1} already")
        if header.parent_hash != parent.hash:
            raise LedgerError(f"block {got}: follows another block {expected - 1} than this copy of the ledger has")

    def _check_seal(self, header: BlockHeaderAPI, parent: BlockHeaderAPI) -> None:
        number = header.block_number
        if header.coinbase != ZERO_ADDRESS or header.nonce != NONCE_DROP:
            raise LedgerError(f"block {number}: votes on the validators, which are fixed for a chain")
        try:
            signer = sealer_of(header)
        except (ValidationError, BadSignature, ValueError) as error:
            raise LedgerError(f"block {number}: its seal is no signature") from error
        if signer not in self.genesis.validators:
            raise LedgerError(f"block {number}: sealed by 0x{signer.hex()}, which is no validator")
        if sealed_lately(header, signer, len(self.genesis.validators), self._chain.chaindb):
            raise LedgerError(
                f"block {number}: 0x{signer.hex()} sealed it, and one of the {len(self.genesis.validators) // 2} "
                "blocks before it; one validator may not write on alone"
            )


def _log(header: BlockHeaderAPI, log: LogAPI) -> Log:
    topics = tuple(topic.to_bytes(32, "big") for topic in log.topics)
    return Log(header.block_number, header.timestamp, bytes(log.address), topics, bytes(log.data))


def _reason(output: bytes) -> str:
    if output[:4] != _REVERT_SELECTOR:
        return "it gives no reason"
    try:
        (text,) = decode(["string"], output[4:])
    except DecodingError:
        return "it gives no reason"
    return str(text)
