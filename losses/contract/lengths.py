"""Whether a loss trains the lengths of embeddings, which a test by cosine does not see."""

from mlrc.losses.contract import rehearsal
from mlrc.losses.contract.space import centre
from mlrc.losses.spec import LossSpec

LENGTHS = (
    "its value depends on the lengths of embeddings, which a test by cosine leaves out; such a loss is tested as it "
    "trains with --set similarity=euclidean"
)


def depends_on_lengths(spec: LossSpec) -> bool:
    """Say whether the loss has another value where all embeddings are twice as long, at the centre of its space."""
    embeddings, labels = rehearsal.batch(spec)
    once, twice = (
        rehearsal.in_float64(rehearsal.build(spec, centre(spec.space)), scale * embeddings, labels).value.item()
        for scale in (1, 2)
    )
    return abs(once - twice) > 1e-6 * max(abs(once), abs(twice))
