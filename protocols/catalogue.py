"""Which protocols there are, by name."""

from difflib import get_close_matches

from protocols.protocol import Protocol
from protocols.quick import QUICK
from protocols.reality_check import REALITY_CHECK
from protocols.reality_check_small import REALITY_CHECK_SMALL, REALITY_CHECK_SMALL_HANDWRITING
from protocols.traditional_mean_field import TRADITIONAL_MEAN_FIELD
from protocols.traditional_mpa import TRADITIONAL_MPA
from protocols.traditional_proxy_nca_pp import TRADITIONAL_PROXY_NCA_PP

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        REALITY_CHECK,
        REALITY_CHECK_SMALL,
        REALITY_CHECK_SMALL_HANDWRITING,
        QUICK,
        TRADITIONAL_MPA,
        TRADITIONAL_MEAN_FIELD,
        TRADITIONAL_PROXY_NCA_PP,
    )
}


def find(name: str) -> Protocol:
    """Give the protocol of that name; raises `LookupError` where there is none."""
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    close = get_close_matches(name, PROTOCOLS, n=1, cutoff=0.5)
    hint = f"Did you mean {close[0]!r}?" if close else f"There are {', '.join(PROTOCOLS)}."
    raise LookupError(f"No protocol named {name!r}. {hint}")
