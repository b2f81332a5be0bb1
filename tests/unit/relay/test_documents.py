"""A leader's signed documents: believed by his key, for his name, as their kind, and in no other form."""

from __future__ import annotations

import pytest

from relay.protocol.documents import open_document, sign_document
from relay.protocol.errors import BadSignature
from tests.unit.relay import feed_samples as samples

KIND = b"test"


def test_a_document_opens_as_what_it_was_signed_as() -> None:
    document = sign_document(samples.KEY, KIND, "alice", b"line\nline")
    assert open_document(document, samples.PUBLIC, KIND, "alice") == b"line\nline"


def test_nothing_else_opens() -> None:
    document = sign_document(samples.KEY, KIND, "alice", b"payload")
    other = bytes(samples.OTHER_KEY.verify_key).hex()
    for bad, key, kind, name in (
        (document, other, KIND, "alice"),
        (document, samples.PUBLIC, b"tes", "alice"),
        (document, samples.PUBLIC, KIND, "carol"),
        (document + b" ", samples.PUBLIC, KIND, "alice"),
        (document.upper(), samples.PUBLIC, KIND, "alice"),
        (document[1:], samples.PUBLIC, KIND, "alice"),
        (b"", samples.PUBLIC, KIND, "alice"),
        (samples.chain_of(1).wires[0], samples.PUBLIC, KIND, "alice"),
    ):
        with pytest.raises(BadSignature):
            open_document(bad, key, kind, name)
