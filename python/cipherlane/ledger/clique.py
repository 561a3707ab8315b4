"""Proof of authority (Clique, EIP-225) as py-evm has it, with what it leaves out.

Added here: a validator may seal only one in floor(N/2)+1 blocks, without which one member could write on alone;
blocks that follow each other within one second, as EIP-225 with period 0 allows.
"""

from __future__ import annotations

import time
from typing import Any

from eth.abc import BlockHeaderAPI, VirtualMachineAPI
from eth.chains.base import MiningChain
from eth.consensus.clique import CliqueApplier, CliqueConsensus, CliqueConsensusContext
from eth.consensus.clique import _utils as clique_utils
from eth.db.chain import ChainDB
from eth.vm.forks import BerlinVM
from eth_utils import ValidationError

from cipherlane.ledger import keep_recursion_limit

keep_recursion_limit()


def sealer_of(header: BlockHeaderAPI) -> bytes:
    """Return the address whose key sealed a block."""
    return bytes(clique_utils.get_block_signer(header))


def sealed_lately(header: BlockHeaderAPI, signer: bytes, validators: int, chain: ChainDB) -> bool:
    """Return whether `signer` sealed one of the floor(N/2) blocks before the one `header` is of."""
    before = header
    for _ in range(validators // 2):
        if before.block_number <= 1:
            return False
        before = chain.get_block_header_by_hash(before.parent_hash)
        if sealer_of(before) == signer:
            return True
    return False


class StrictClique(CliqueConsensus):
    """EIP-225 with its rule on how often one validator may seal."""

    def __init__(self, context: CliqueConsensusContext) -> None:
        super().__init__(context)
        self._chain = ChainDB(context.db)

    def validate_seal_extension(self, header: BlockHeaderAPI, parents: Any) -> None:
        """Check a block's seal against the blocks before it."""
        super().validate_seal_extension(header, parents)
        if header.block_number == 0:
            return
        snapshot = self._snapshot_manager.get_or_create_snapshot(header.block_number - 1, header.parent_hash, parents)
        if sealed_lately(header, sealer_of(header), len(snapshot.signers), self._chain):
            raise ValidationError("its validator sealed too recently to seal again")


class _WithinOneSecond:
    @classmethod
    def validate_header(cls, header: BlockHeaderAPI, parent_header: BlockHeaderAPI) -> None:
        # The check below wants a later second than the parent's; the same one is as good.
        if parent_header is not None and header.timestamp == parent_header.timestamp:
            parent_header = parent_header.copy(timestamp=parent_header.timestamp - 1)
        super().validate_header(header, parent_header)  # type: ignore[misc]


def _virtual_machine() -> type[VirtualMachineAPI]:
    # Berlin, the last set of rules without a fee that has to be paid in coins.
    machine = type("LedgerVM", (_WithinOneSecond, BerlinVM), {})
    ((_, amended),) = CliqueApplier().amend_vm_configuration(((0, machine),))
    configured: type[VirtualMachineAPI] = amended.configure(consensus_class=StrictClique)
    return configured


class LedgerChain(MiningChain):
    """The chain's rules from its first block on."""

    vm_configuration = ((0, _virtual_machine()),)
    consensus_context_class = CliqueConsensusContext

    def create_header_from_parent(self, parent_header: BlockHeaderAPI, **fields: Any) -> BlockHeaderAPI:
        """Return the header of a block to come: as large as its parent, and not older."""
        fields.setdefault("gas_limit", parent_header.gas_limit)
        fields.setdefault("timestamp", max(parent_header.timestamp, int(time.time())))
        fields.setdefault("difficulty", 1)
        return super().create_header_from_parent(parent_header, **fields)


def chain_class(chain_id: int) -> type[LedgerChain]:
    """Return the rules of the chain with this id."""
    return type("LedgerChain", (LedgerChain,), {"chain_id": chain_id})
