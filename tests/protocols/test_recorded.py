"""A protocol comes back from its record as it was."""

import json

import pytest

from mlrc.harness.plugins import PROTOCOLS
from mlrc.protocols.quick import QUICK
from mlrc.protocols.recorded import from_fields


@pytest.mark.parametrize("name", PROTOCOLS.names())
def test_every_protocol_comes_back_from_its_fields_with_its_digest(name: str) -> None:
    protocol = PROTOCOLS.find(name)
    again = from_fields(json.loads(json.dumps(protocol.to_json())))
    assert again == protocol
    assert again.digest == protocol.digest


def test_a_variant_keeps_its_name_and_digest() -> None:
    variant = QUICK.set(["lr=0.5", "patience.glyphs=3"])
    assert from_fields(variant.to_json()).digest == variant.digest


def test_fields_of_no_protocol_are_refused() -> None:
    with pytest.raises(ValueError, match="must have the fields of a protocol"):
        from_fields({"name": "quick"})
