"""What a member holds the others to: the agreement, the contract and the plan are those that it expects."""

from __future__ import annotations

from cipherlane.errors import LedgerError
from cipherlane.files import PRIVATE, make_directory, write_whole
from cipherlane.ledger.agreement import Agreement
from cipherlane.ledger.contract import ACTIVE, PROPOSED, ROLE_BITS, Contract, interface
from cipherlane.ledger.part import Part
from cipherlane.ledger.run_files import AGREEMENT_FILE


def check_agreement(part: Part, agreement: Agreement) -> None:
    """Make sure that the agreement names the members that this one expects, under the accounts that it knows."""
    roles = {name: member.role for name, member in agreement.members.items()}
    if roles != dict(part.roles):
        raise LedgerError(f"{part.name!r}: expected the members {dict(part.roles)} on the ledger, got {roles}")
    if agreement.members[part.name].account != part.account.address:
        raise LedgerError(f"{part.name!r}: the agreement names another account for it; start the run anew")
    for name, account in part.accounts.items():
        if name not in agreement.members or agreement.members[name].account != account:
            got = agreement.members[name].account.hex() if name in agreement.members else "no such member"
            raise LedgerError(
                f"{part.name!r}: the plan gives {name!r} the account 0x{account.hex()}, got {got}; "
                "ask that member which account is its own"
            )


def keep_agreement(part: Part, text: str) -> None:
    """Keep the agreement, and hold the coordinator to it: another salt, say, would be another plan."""
    make_directory(part.directory, 0o700)
    path = part.directory / AGREEMENT_FILE
    if path.is_file():
        if path.read_text(encoding="utf-8") != text:
            raise LedgerError(f"{part.name!r}: the agreement was changed since the run began; start the run anew")
        return
    write_whole(path, text, mode=PRIVATE)


def check_contract(name: str, agreement: Agreement, contract: Contract) -> None:
    """Make sure that the contract is the shipped one, with the members of the agreement and no others."""
    if contract.chain.code(contract.address) != interface().runtime:
        raise LedgerError(f"{name!r}: the contract on the ledger is not the shipped one; start the run anew")
    count = contract.read("memberCount")
    for other, member in agreement.members.items():
        roles, _, active = contract.read("members", "0x" + member.account.hex())
        if not active or roles != ROLE_BITS[member.role] or count != len(agreement.members):
            raise LedgerError(f"{name!r}: {other!r} is not the {member.role} on the ledger; start the run anew")


def check_plan(part: Part, agreement: Agreement, contract: Contract) -> None:
    """Make sure that the plan which stands on the ledger is open, of these members, and the one that this was given."""
    _, digest, parties, _, _, status, _ = contract.read("plans", agreement.plan_id)
    if status not in (PROPOSED, ACTIVE) or parties != len(agreement.members):
        raise LedgerError(f"{part.name!r}: no open plan of these members stands on the ledger; start the run anew")
    if digest != agreement.plan_hash(part.plan):
        raise LedgerError(
            f"{part.name!r}: the plan on the ledger is not the one it was given; give every party the same plan"
        )


def plan_status(agreement: Agreement, contract: Contract) -> int:
    """Return how far the plan is."""
    return int(contract.read("plans", agreement.plan_id)[5])


def key_on_ledger(agreement: Agreement, contract: Contract) -> bytes:
    """Return the digest of the key that its holder has on the ledger."""
    holder = agreement.members[agreement.key_holder].account
    return bytes(contract.read("members", "0x" + holder.hex())[1])
