"""Which protocols there are, by name."""

from mlrc.protocols.protocol import Protocol
from mlrc.protocols.quick import QUICK
from mlrc.protocols.reality_check import REALITY_CHECK
from mlrc.protocols.reality_check_small import REALITY_CHECK_SMALL, REALITY_CHECK_SMALL_HANDWRITING
from mlrc.protocols.suggestion import did_you_mean
from mlrc.protocols.traditional_mean_field import TRADITIONAL_MEAN_FIELD
from mlrc.protocols.traditional_mpa import TRADITIONAL_MPA
from mlrc.protocols.traditional_proxy_nca_pp import TRADITIONAL_PROXY_NCA_PP

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
    hint = did_you_mean(name, PROTOCOLS, f"There are {', '.join(PROTOCOLS)}.")
    raise LookupError(f"No protocol named {name!r}. {hint}")
