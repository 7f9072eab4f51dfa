"""Sweeps: the comparison of a loss with itself, under other parameters or other rules; those of the papers by name."""

from collections.abc import Mapping
from dataclasses import dataclass

from mlrc.protocols.suggestion import did_you_mean


@dataclass(frozen=True, kw_only=True)
class PrintedPlace:
    """Where a paper prints the number of a choice: the beginnings of its rows' title and place in `papers.csv`."""

    source: str
    title: str
    place: str = ""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One value of a factor.

    Attributes:
        label: for tables and plots.
        assignments: `name=value` texts that make it, of parameters of the loss or fields of the protocol;
            `loss=NAME` takes another loss.
        printed: what a paper says of it.
    """

    label: str
    assignments: tuple[str, ...]
    printed: tuple[PrintedPlace, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Factor:
    """What a sweep varies."""

    name: str
    choices: tuple[Choice, ...]


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """One or two factors, all of whose combinations are trained.

    Attributes:
        name: `lower_case`; `title` and `source` say whose ablation it is, `note` what of it is ours.
        loss: its name, with the name of the `protocol`.
    """

    name: str
    title: str
    source: str
    loss: str
    protocol: str
    factors: tuple[Factor, ...]
    note: str = ""


def factor(text: str) -> Factor:
    """Read a factor from `name=value,value,…`.

    Raises:
        ValueError: it is malformed, has no value, or one twice.
    """
    name, equals, values = text.partition("=")
    labels = [value.strip() for value in values.split(",")]
    if not equals or not name.strip() or not all(labels):
        raise ValueError(f"--vary takes name=value,value,… with at least one value and none empty, but got {text!r}.")
    if len(set(labels)) < len(labels):
        raise ValueError(f"The values of {name.strip()} must differ, but got {values!r}.")
    return _varied(name.strip(), *labels)


def _varied(name: str, *labels: str, printed: Mapping[str, tuple[PrintedPlace, ...]] | None = None) -> Factor:
    choices = (
        Choice(label=label, assignments=(f"{name}={label}",), printed=(printed or {}).get(label, ()))
        for label in labels
    )
    return Factor(name=name, choices=tuple(choices))


_MPA, _PROXY_NCA_PP = "arXiv2110.03997", "arXiv2004.01113"
_OWN_VALUES = "The paper shows this sweep in a figure; the values here are ours."


def _proxies(*numbers: int) -> Factor:
    """Vary the number of proxies as table 5 (CUB-200-2011) and table 6 (Cars196) of Multi Proxy Anchor do."""
    printed = {
        str(k): tuple(
            PrintedPlace(source=_MPA, title="MPA", place=f"{table}, K = {k},") for table in ("table5", "table6")
        )
        for k in numbers
    }
    return _varied("proxies_per_class", *map(str, numbers), printed=printed)


def _enhancement(label: str, *assignments: str) -> Choice:
    title = f"ProxyNCA++ ablation: {'ProxyNCA++' if label == 'all' else label}"
    return Choice(
        label=label,
        assignments=assignments,
        printed=(PrintedPlace(source=_PROXY_NCA_PP, title=title, place="table7"),),
    )


_ALL = (
    Sweep(
        name="mpa_proxies",
        title="Number of proxies per class",
        source="arXiv 2110.03997, tables 5 and 6",
        loss="multi_proxy_anchor",
        protocol="traditional_mpa",
        factors=(_proxies(1, 4, 8, 12, 16),),
    ),
    Sweep(
        name="mpa_embedding_size",
        title="Embedding size",
        source="arXiv 2110.03997",
        loss="multi_proxy_anchor",
        protocol="traditional_mpa",
        factors=(_varied("embedding_size", "64", "128", "256", "512", "1024"),),
        note=_OWN_VALUES,
    ),
    Sweep(
        name="mean_field_embedding_size",
        title="Embedding size",
        source="arXiv 2306.15368",
        loss="mean_field_contrastive",
        protocol="traditional_mean_field",
        factors=(_varied("embedding_size", "32", "64", "128", "256", "512", "1024"),),
        note=_OWN_VALUES,
    ),
    Sweep(
        name="mean_field_batch_size",
        title="Batch size",
        source="arXiv 2306.15368",
        loss="mean_field_contrastive",
        protocol="traditional_mean_field",
        factors=(_varied("batch_size", "30", "60", "90", "120", "150", "180"),),
        note=_OWN_VALUES,
    ),
    Sweep(
        name="mean_field_base_alpha",
        title="base and alpha of MFCWMS",
        source="arXiv 2306.15368",
        loss="mean_field_classwise_multi_similarity",
        protocol="traditional_mean_field",
        factors=(_varied("base", "0.2", "0.4", "0.6", "0.8", "1.0"), _varied("alpha", "0.001", "0.01", "0.1", "1")),
        note=_OWN_VALUES,
    ),
    Sweep(
        name="mean_field_lambda",
        title="Weight of the mean-field constraint",
        source="arXiv 2306.15368",
        loss="mean_field_contrastive",
        protocol="traditional_mean_field",
        factors=(_varied("lambda_mf", "0.0", "0.01", "0.1", "1.0", "10.0", "100.0"),),
    ),
    Sweep(
        name="mean_field_lambda_mfcwms",
        title="Weight of the mean-field constraint, MFCWMS",
        source="arXiv 2306.15368",
        loss="mean_field_classwise_multi_similarity",
        protocol="traditional_mean_field",
        factors=(_varied("lambda_mf", "0.0", "0.01", "0.1", "1.0", "10.0", "100.0"),),
    ),
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
        note=_OWN_VALUES,
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
        note=_OWN_VALUES,
    ),
    Sweep(
        name="proxy_nca_pp_proxy_lr",
        title="Learning rate of the proxies",
        source="arXiv 2004.01113",
        loss="proxy_nca_pp",
        protocol="traditional_proxy_nca_pp",
        factors=(_varied("loss_lr", "0.004", "0.04", "0.4", "4", "40", "400", "4000"),),
        note=_OWN_VALUES,
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
                choices=(
                    _enhancement("all"),
                    _enhancement("-prob", "loss=proxy_nca_classic", "scale=9"),
                    _enhancement("-scale", "temperature=1"),
                    _enhancement("-norm", "layer_norm=false"),
                    _enhancement("-cbs", "sampling=random"),
                    _enhancement("-max", "pooling=avg"),
                    _enhancement("-fast", "loss_lr=0.004"),
                ),
            ),
        ),
        note="Without fast proxies their learning rate is the trunk's on CUB-200-2011.",
    ),
)

SWEEPS: dict[str, Sweep] = {sweep.name: sweep for sweep in _ALL}


def find(name: str) -> Sweep:
    """Give the sweep of that name; raises `LookupError` where there is none."""
    if name in SWEEPS:
        return SWEEPS[name]
    hint = did_you_mean(name, SWEEPS, f"There are {', '.join(SWEEPS)}.")
    raise LookupError(f"No sweep named {name!r}. {hint}")
