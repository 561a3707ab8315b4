"""The configuration that docs/ledger.md gives for Besu, against the names that Besu's documentation has."""

from __future__ import annotations

import json
import re
from pathlib import Path

from cipherlane.ledger.accounts import GAS
from cipherlane.ledger.genesis import GAS_LIMIT

PAGE = (Path(__file__).parents[2] / "docs" / "ledger.md").read_text(encoding="utf-8")
# besu.hyperledger.org: the QBFT tutorial, "Genesis file items", "Configure free gas networks", and the options.
CONFIG = {"chainId", "berlinBlock", "londonBlock", "zeroBaseFee", "contractSizeLimit", "qbft"}
QBFT = {"blockperiodseconds", "epochlength", "requesttimeoutseconds"}
GENESIS = {"config", "nonce", "timestamp", "gasLimit", "difficulty", "mixHash", "coinbase", "alloc"}
# "ctical byzantine fault tolerance" in ASCII, by which Besu knows a genesis of its proof of authority.
MIX_HASH = "0x63746963616c2062797a616e74696e65206661756c7420746f6c6572616e6365"
OPTIONS = {
    *("--data-path", "--genesis-file", "--p2p-port", "--rpc-http-enabled", "--rpc-http-port", "--rpc-http-api"),
    *("--host-allowlist", "--min-gas-price", "--profile", "--sync-mode", "--data-storage-format", "--bootnodes"),
}


def _genesis() -> dict[str, object]:
    (text,) = re.findall(r"> qbft.json <<'END'\n(.*?)\nEND\n", PAGE, re.DOTALL)
    whole = json.loads(text)
    assert set(whole) == {"genesis", "blockchain"}
    assert whole["blockchain"] == {"nodes": {"generate": True, "count": 4}}
    return whole["genesis"]


def test_the_genesis_is_json_with_the_fields_that_besu_reads() -> None:
    genesis = _genesis()
    assert set(genesis) == GENESIS
    assert set(genesis["config"]) == CONFIG and set(genesis["config"]["qbft"]) == QBFT
    assert genesis["mixHash"] == MIX_HASH
    # Besu writes the validators it makes keys for into `extraData` itself.
    assert "extraData" not in genesis
    assert int(genesis["gasLimit"], 16) == GAS_LIMIT >= 4 * GAS
    # From London on, transactions are free only with both.
    assert genesis["config"]["zeroBaseFee"] is True and "--min-gas-price=0" in PAGE


def test_the_commands_use_options_that_besu_has() -> None:
    commands = [
        command.replace("\\\n", " ") for command in re.findall(r"^\$ besu ((?:.*\\\n)*.*)$", PAGE, re.MULTILINE)
    ]
    starting = [command for command in commands if not command.startswith("operator")]
    assert len(starting) == 2 and len(commands) == 3
    for command in starting:
        options = set(re.findall(r"--[a-z0-9-]+", command))
        assert options <= OPTIONS
        assert {"--genesis-file", "--min-gas-price", "--rpc-http-enabled", "--profile"} <= options
        assert {"ETH", "NET"} <= set(re.search(r"--rpc-http-api=(\S+)", command)[1].split(","))
