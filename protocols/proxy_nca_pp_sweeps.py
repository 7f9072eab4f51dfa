"""The ablations of ProxyNCA++ (arXiv 2004.01113): one number at a time, and combinations of its six enhancements.

The enhancements, as the paper abbreviates them: `prob`, the target's proxy in the denominator; `scale`, a temperature
of 1/9; `norm`, LayerNorm after pooling; `cbs`, class-balanced batches; `max`, global max pooling; `fast`, proxies that
learn up to 100,000 times as fast as the trunk.
"""

from collections.abc import Iterator

from mlrc.protocols.sweep import Choice, Factor, PrintedPlace, Sweep, varied

ENHANCEMENTS = ("prob", "scale", "norm", "cbs", "max", "fast")
OWN_VALUES = "The paper shows this sweep in a figure; the values here are ours."
OF_PROB = (
    "Without prob it is the loss of the original ProxyNCA whose proxies start as ProxyNCA++'s do, with standard "
    "deviation 1/8; without fast the proxies learn as fast as the trunk."
)
_SOURCE = "arXiv2004.01113"
_FAST = ("loss_lr=400", "loss_lr.sop=240", "loss_lr.inshop=2400")
_SLOW = ("loss_lr=0.004", "loss_lr.sop=0.024", "loss_lr.inshop=0.024")

TABLE_8 = ("", "scale", "scale norm", "scale max", "scale norm cbs", "scale norm cbs max", "scale norm cbs max fast")
TABLE_9 = (
    *("", "cbs", "prob", "norm", "max", "fast", "max fast"),
    *("norm prob cbs", "norm prob cbs max", "norm prob cbs max fast"),
)
TABLE_10 = (
    *("", "cbs", "prob", "norm", "scale", "fast", "scale fast"),
    *("norm prob cbs", "norm prob cbs fast", "norm prob cbs scale", "norm prob cbs scale fast"),
)
"""The rows of the paper's tables, each by the enhancements that it has beside the one that the table turns on."""


def with_enhancements(names: set[str]) -> tuple[str, ...]:
    """Give the assignments that train ProxyNCA with these enhancements."""
    scale = "scale" in names
    of_loss = (
        ("loss=proxy_nca_pp", f"temperature={1 / 9:.17g}" if scale else "temperature=1")
        if "prob" in names
        else ("loss=proxy_nca_classic", "scale=9" if scale else "scale=1", "proxy_std=0.125")
    )
    return (
        *of_loss,
        *(_FAST if "fast" in names else _SLOW),
        *(() if "norm" in names else ("layer_norm=false",)),
        *(() if "cbs" in names else ("sampling=random",)),
        *(() if "max" in names else ("pooling=avg",)),
    )


def _without(label: str) -> Choice:
    title = f"ProxyNCA++ ablation: {'ProxyNCA++' if label == 'all' else label}"
    return Choice(
        label=label,
        assignments=with_enhancements(set(ENHANCEMENTS) - {label.removeprefix("-")}),
        printed=(PrintedPlace(source=_SOURCE, title=title, place="table7"),),
    )


def _pairs(turned: str, rows: tuple[str, ...], table: str, places: tuple[str, ...] = ()) -> Factor:
    """Give every row of a table twice: without and with the enhancement that the table turns on."""
    places = places or (f"without {turned}", f"with {turned}")
    return Factor(name="enhancements", choices=tuple(_rows(turned, rows, table, places)))


def _rows(turned: str, rows: tuple[str, ...], table: str, places: tuple[str, ...]) -> Iterator[Choice]:
    for row in rows:
        own = row.split()
        title = " ".join(f"+{name}" for name in own) or "ProxyNCA (Emb: 2048)"
        for more, place in zip(((), (turned,)), places, strict=True):
            yield Choice(
                label=" ".join(f"+{name}" for name in (*own, *more)) or "ProxyNCA",
                assignments=with_enhancements({*own, *more}),
                printed=(PrintedPlace(source=_SOURCE, title=f"ProxyNCA ablation: {title}", place=f"{table}, {place}"),),
            )


PROXY_NCA_PP = (
    Sweep(
        name="proxy_nca_pp_temperature",
        title="Temperature",
        source="arXiv 2004.01113",
        loss="proxy_nca_pp",
        protocol="traditional_proxy_nca_pp",
        factors=(
            Factor(
                name="temperature",
                choices=tuple(
                    Choice(label=f"1/{n}", assignments=(f"temperature={1 / n:.17g}",)) for n in (1, 3, 6, 9, 12, 18)
                ),
            ),
        ),
        note=OWN_VALUES,
    ),
    Sweep(
        name="proxy_nca_pp_pooling",
        title="k of k-max pooling",
        source="arXiv 2004.01113",
        loss="proxy_nca_pp",
        protocol="traditional_proxy_nca_pp",
        factors=(
            Factor(
                name="k",
                choices=(
                    *(Choice(label=str(k), assignments=(f"pooling=kmax:{k}",)) for k in (1, 2, 4, 8, 16, 32)),
                    Choice(label="all", assignments=("pooling=avg",)),
                ),
            ),
        ),
        note=OWN_VALUES,
    ),
    Sweep(
        name="proxy_nca_pp_proxy_lr",
        title="Learning rate of the proxies",
        source="arXiv 2004.01113",
        loss="proxy_nca_pp",
        protocol="traditional_proxy_nca_pp",
        factors=(varied("loss_lr", "0.004", "0.04", "0.4", "4", "40", "400", "4000"),),
        note=OWN_VALUES,
    ),
    Sweep(
        name="proxy_nca_pp_enhancements",
        title="ProxyNCA++ without one of its enhancements",
        source="arXiv 2004.01113, table 7",
        loss="proxy_nca_pp",
        protocol="traditional_proxy_nca_pp",
        factors=(
            Factor(
                name="enhancements",
                choices=(_without("all"), *(_without(f"-{name}") for name in ENHANCEMENTS)),
            ),
        ),
        note=OF_PROB,
    ),
    Sweep(
        name="proxy_nca_pp_probability",
        title="Enhancements of ProxyNCA, without and with its probability",
        source="arXiv 2004.01113, table 8",
        loss="proxy_nca_pp",
        protocol="traditional_proxy_nca_pp",
        factors=(_pairs("prob", TABLE_8, "table8"),),
        note=OF_PROB,
    ),
    Sweep(
        name="proxy_nca_pp_scale",
        title="Enhancements of ProxyNCA, without and with low temperature",
        source="arXiv 2004.01113, table 9",
        loss="proxy_nca_pp",
        protocol="traditional_proxy_nca_pp",
        factors=(_pairs("scale", TABLE_9, "table9"),),
        note=OF_PROB,
    ),
    Sweep(
        name="proxy_nca_pp_max",
        title="Enhancements of ProxyNCA, with average and with max pooling",
        source="arXiv 2004.01113, table 10",
        loss="proxy_nca_pp",
        protocol="traditional_proxy_nca_pp",
        factors=(_pairs("max", TABLE_10, "table10", places=("Global Average Pooling", "Global Max Pooling")),),
        note=OF_PROB,
    ),
    Sweep(
        name="proxy_nca_pp_pooled_pairs",
        title="Average and max pooling with losses of pairs",
        source="arXiv 2004.01113, table 11",
        loss="multi_similarity",
        protocol="traditional_proxy_nca_pp",
        factors=(
            Factor(
                name="loss",
                choices=(
                    Choice(label="margin, 128", assignments=("loss=margin", "embedding_size=128")),
                    Choice(
                        label="triplet, 128",
                        assignments=("loss=triplet_semi_hard", "embedding_size=128", "margin=0.2"),
                    ),
                    Choice(
                        label="multi-similarity, 512",
                        assignments=("loss=multi_similarity_miner", "embedding_size=512"),
                    ),
                ),
            ),
            Factor(
                name="pooling",
                choices=(
                    Choice(label="avg", assignments=("pooling=avg",)),
                    Choice(label="max", assignments=("pooling=max",)),
                ),
            ),
        ),
        note="The paper's margin loss samples by distance, which is left out here (mlrc list left-out), as is HORDE; "
        "its row without training is `untrained` with either pooling. It trained these losses by their own code.",
    ),
)
