"""Nodes of the tries that hold a chain's state, kept in both their forms: as bytes and as lists."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, wraps
from typing import Any

from trie import hexary
from trie.utils import nibbles, nodes

# A kilobyte or two each, of the last few blocks many times over.
_KEPT = 4_096


def keep_nodes() -> None:
    """Let tries keep what they made of bytes lately, in all of this process."""
    _keep_paths()
    _keep_decoded()
    _keep_encoded()


def _keep_paths() -> None:
    """Keep the ways through a trie, which are the hashes of its keys in steps of four bits."""
    steps = lru_cache(_KEPT)(nibbles.bytes_to_nibbles)
    decoded = lru_cache(_KEPT)(nibbles.decode_nibbles)
    encoded = lru_cache(_KEPT)(nibbles.encode_nibbles)
    without_end = lru_cache(_KEPT)(nibbles.remove_nibbles_terminator)

    def encode_nibbles(path: Sequence[int]) -> Any:
        return encoded(tuple(path))

    extract = nodes.extract_key

    @wraps(extract)
    def extract_key(node: Any) -> Any:
        return without_end(decoded(node[0])) if isinstance(node, list) else extract(node)

    for module in (nibbles, nodes, hexary):
        module.decode_nibbles = decoded
        module.encode_nibbles = encode_nibbles
    for module in (nibbles, hexary):
        module.bytes_to_nibbles = steps
    for module in (nodes, hexary):
        module.extract_key = extract_key


def _keep_decoded() -> None:
    decode = nodes.decode_node
    decoded = lru_cache(_KEPT)(lambda encoded: _frozen(decode(encoded)))

    @wraps(decode)
    def decode_node(encoded_node_or_hash: Any) -> Any:
        if not isinstance(encoded_node_or_hash, bytes):
            return decode(encoded_node_or_hash)
        # Tries change nodes in place, so each gets lists of its own.
        return _thawed(decoded(encoded_node_or_hash))

    hexary.decode_node = decode_node


def _keep_encoded() -> None:
    create = hexary.HexaryTrie._create_node_to_db_mapping
    # The trie's own cache of these is for one trie alone, and there is a new one for every block.
    created = lru_cache(_KEPT)(lambda frozen: create(None, _thawed(frozen)))

    def mapping(self: Any, node: Any) -> Any:
        if not isinstance(node, list):
            return create(self, node)
        key, encoded = created(_frozen(node))
        # A short node stands in its parent as it is.
        return (key, encoded) if encoded is not None else (node, None)

    hexary.HexaryTrie._node_to_db_mapping = mapping


def _frozen(item: Any) -> Any:
    return tuple([_frozen(part) if type(part) is list else part for part in item]) if type(item) is list else item


def _thawed(item: Any) -> Any:
    return [_thawed(part) if type(part) is tuple else part for part in item] if type(item) is tuple else item
