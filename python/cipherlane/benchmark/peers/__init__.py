"""Other libraries to compare with, one a file."""

from __future__ import annotations

from cipherlane.benchmark.peers.gmpy2_peer import Gmpy2Peer
from cipherlane.benchmark.peers.heu_peer import HeuPeer
from cipherlane.benchmark.peers.peer import Peer, PeerSession
from cipherlane.benchmark.peers.phe_peer import PhePeer

PEERS: dict[str, Peer] = {peer.name: peer for peer in (PhePeer(), Gmpy2Peer(), HeuPeer())}

__all__ = ["PEERS", "Peer", "PeerSession", "installed_peers"]


def installed_peers() -> list[str]:
    """Return the names of the peers that can be imported."""
    return [name for name, peer in PEERS.items() if peer.version() is not None]
