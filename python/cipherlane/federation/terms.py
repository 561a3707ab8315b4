"""The terms on which a data party takes part, kept sealed so that no later session can change them."""

from __future__ import annotations

import json

from cipherlane.vertical.messages import SCHEMAS, pack, unpack
from cipherlane.vertical.sealed_files import SealedStore
from cipherlane.vertical.wire import Message

TERMS_FILE = "accepted.sealed"
# The coordinator's software may be brought up to date between sessions; it is compared by itself.
_DIGEST = "plan_sha256"
_NO_TERMS = frozenset({"software"})
_KINDS = ("requirements", "binning_requirements")


def seal_terms(store: SealedStore, requirements: Message) -> None:
    """Keep the requirements that a party has been asked to accept."""
    store.write(TERMS_FILE, pack(requirements.kind, 0, **requirements.fields))


def unseal_terms(store: SealedStore) -> Message:
    """Return the requirements that were kept."""
    return unpack(store.read(TERMS_FILE), *_KINDS)


def changed_terms(accepted: Message, asked: Message) -> list[str]:
    """Return in words what is asked for otherwise than was accepted.

    The digest of the plan counts where nothing else tells a difference: it covers what concerns other roles.
    """
    changed = [
        f"{name} was {json.dumps(accepted.fields.get(name))}, is {json.dumps(asked[name])}"
        for name in SCHEMAS[asked.kind]
        if name not in _NO_TERMS and accepted.fields.get(name) != asked[name]
    ]
    named = [text for text in changed if not text.startswith(_DIGEST)]
    return named or [text.replace(_DIGEST, "the plan's text (SHA-256)", 1) for text in changed]
