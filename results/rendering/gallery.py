"""The retrieval gallery as values: queries with their nearest neighbours, to be looked at in the report."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["best", "typical", "worst"]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One image.

    Attributes:
        image: a `data:` address.
        label: name of its class.
        right: whether it is of the query's class.
    """

    image: str
    label: str
    right: bool = True


@dataclass(frozen=True, kw_only=True)
class Query:
    """One query with its nearest neighbours, nearest first.

    Attributes:
        kind: why it was chosen.
        average_precision: its MAP@R, percent.
    """

    kind: Kind
    picture: Picture
    average_precision: float
    neighbours: tuple[Picture, ...]


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """The queries of one embedding.

    Attributes:
        dataset: with `digest` and `loss`, what it belongs to.
        model: such as `fold 0 of repeat 0`, `concatenation of repeat 0` or `the one model of repeat 0`.
    """

    dataset: str
    digest: str
    loss: str
    model: str
    queries: tuple[Query, ...]
