"""A network's chain over JSON-RPC (Besu, anvil, ...), through web3.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

import requests
from web3 import HTTPProvider, Web3
from web3.exceptions import ContractLogicError, TimeExhausted, TransactionNotFound, Web3Exception
from web3.middleware import ExtraDataToPOAMiddleware

from cipherlane.errors import LedgerError
from cipherlane.ledger import keep_recursion_limit
from cipherlane.ledger.chain import Head, Log, Reverted

keep_recursion_limit()

_TIMEOUT_SECONDS = 30
_RECEIPT_SECONDS = 180
# Nodes limit how many blocks one request for logs may span.
_LOG_SPAN = 5_000
# What web3.py and the reading of its answers raise where a node answers something else than it should.
_NO_ANSWER = (
    *(requests.RequestException, Web3Exception, RecursionError),
    *(AttributeError, KeyError, OverflowError, TypeError, ValueError),
)

T = TypeVar("T")


class JsonRpcChain:
    """The chain behind a node's JSON-RPC address.

    Parameters
    ----------
    url
        Of the node.
    first_block
        Where to begin to look for events.

    Raises
    ------
    LedgerError
        The node does not answer.
    """

    def __init__(self, url: str, first_block: int = 0) -> None:
        self.url = url
        self._first_block = first_block
        self._web3 = Web3(HTTPProvider(url, request_kwargs={"timeout": _TIMEOUT_SECONDS}))
        # Blocks of QBFT and Clique have their seals in `extraData`, which web3.py otherwise takes for damaged.
        self._web3.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)
        self.chain_id = self._asked(lambda: int(self._web3.eth.chain_id))

    def call(self, to: bytes, data: bytes, sender: bytes = bytes(20)) -> bytes:
        """Return what a contract answers, or raise `Reverted`."""
        request: Any = {"to": self._address(to), "from": self._address(sender), "data": data}
        return self._asked(lambda: bytes(self._web3.eth.call(request)))

    def code(self, address: bytes) -> bytes:
        """Return the code at an address."""
        return self._asked(lambda: bytes(self._web3.eth.get_code(self._address(address))))

    def nonce(self, address: bytes) -> int:
        """Return how many transactions an account has made, those on their way among them."""
        return self._asked(lambda: int(self._web3.eth.get_transaction_count(self._address(address), "pending")))

    def height(self) -> int:
        """Return the number of the last block."""
        return self._asked(lambda: int(self._web3.eth.block_number))

    def head(self) -> Head:
        """Return the last block."""

        def latest() -> Head:
            block = self._web3.eth.get_block("latest")
            return Head(int(block["number"]), bytes(block["hash"]))

        return self._asked(latest)

    def logs(self, contract: bytes) -> Iterator[Log]:
        """Return every event of a contract, in order."""
        times: dict[int, int] = {}
        last = self.height()
        for first in range(self._first_block, last + 1, _LOG_SPAN):
            yield from self._asked(
                partial(self._logs_between, contract, first, min(first + _LOG_SPAN - 1, last), times)
            )

    def send(self, transaction: bytes) -> bytes:
        """Send a signed transaction and return its hash."""
        return self._asked(lambda: bytes(self._web3.eth.send_raw_transaction(transaction)))

    def knows(self, transaction: bytes) -> bool:
        """Return whether the node has the transaction with this hash, in a block or on its way into one."""

        def found() -> bool:
            try:
                return bool(self._web3.eth.get_transaction(transaction))
            except TransactionNotFound:
                return False

        return self._asked(found)

    def wait(self, transaction: bytes) -> bool:
        """Wait until the transaction with this hash is in a block; return whether it succeeded."""

        def succeeded() -> bool:
            found = self._web3.eth.wait_for_transaction_receipt(transaction, timeout=_RECEIPT_SECONDS)
            return int(found["status"]) == 1

        return self._asked(succeeded)

    def _logs_between(self, contract: bytes, first: int, last: int, times: dict[int, int]) -> list[Log]:
        """Return a contract's events in some blocks; `times` keeps what is known of blocks."""
        wanted: Any = {"address": self._address(contract), "fromBlock": first, "toBlock": last}
        logs = []
        for log in self._web3.eth.get_logs(wanted):
            number = int(log["blockNumber"])
            if number not in times:
                times[number] = int(self._web3.eth.get_block(number)["timestamp"])
            topics = tuple(bytes(topic) for topic in log["topics"])
            logs.append(Log(number, times[number], contract, topics, bytes(log["data"])))
        return logs

    def _asked(self, question: Callable[[], T]) -> T:
        try:
            return question()
        except ContractLogicError as error:
            text = str(error.message or error)
            raise Reverted(text.removeprefix("execution reverted").lstrip(": ") or "it gives no reason") from error
        except TimeExhausted as error:
            raise LedgerError(
                f"ledger {self.url}: a transaction is in no block after {_RECEIPT_SECONDS} s; "
                "check that the network's validators are up, then resume the run"
            ) from error
        except _NO_ANSWER as error:
            raise LedgerError(
                f"ledger {self.url}: {type(error).__name__}: {error}; check ledger.url in the plan and the node"
            ) from error

    @staticmethod
    def _address(raw: bytes) -> Any:
        return Web3.to_checksum_address("0x" + raw.hex())
