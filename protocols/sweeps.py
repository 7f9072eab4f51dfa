"""The papers' ablations by name, as sweeps: the comparison of a loss with itself, under other parameters or rules."""

from mlrc.protocols.proxy_nca_pp_sweeps import OWN_VALUES as _OWN_VALUES
from mlrc.protocols.proxy_nca_pp_sweeps import PROXY_NCA_PP
from mlrc.protocols.suggestion import did_you_mean
from mlrc.protocols.sweep import LOSS, Choice, Factor, PrintedPlace, Sweep, factor, losses, varied

__all__ = ["LOSS", "SWEEPS", "Choice", "Factor", "PrintedPlace", "Sweep", "factor", "find", "losses"]

_MPA = "arXiv2110.03997"


def _proxies(*numbers: int) -> Factor:
    """Vary the number of proxies as table 5 (CUB-200-2011) and table 6 (Cars196) of Multi Proxy Anchor do."""
    printed = {
        str(k): tuple(
            PrintedPlace(source=_MPA, title="MPA", place=f"{table}, K = {k},") for table in ("table5", "table6")
        )
        for k in numbers
    }
    return varied("proxies_per_class", *map(str, numbers), printed=printed)


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
        factors=(varied("embedding_size", "64", "128", "256", "512", "1024"),),
        note=_OWN_VALUES,
    ),
    Sweep(
        name="soft_triple_centers",
        title="Centres per class of SoftTriple",
        source="Qian et al., ICCV 2019; beside arXiv 2110.03997, tables 5 and 6",
        loss="soft_triple",
        protocol="traditional_mpa",
        factors=(varied("centers_per_class", "1", "4", "8", "12", "16"),),
        note="The values are those of the tables for Multi Proxy Anchor.",
    ),
    Sweep(
        name="mean_field_embedding_size",
        title="Embedding size",
        source="arXiv 2306.15368",
        loss="mean_field_contrastive",
        protocol="traditional_mean_field",
        factors=(
            varied("embedding_size", "32", "64", "128", "256", "512", "1024"),
            losses("proxy_anchor", "mean_field_contrastive", "mean_field_classwise_multi_similarity"),
        ),
        note=_OWN_VALUES,
    ),
    Sweep(
        name="mean_field_batch_size",
        title="Batch size",
        source="arXiv 2306.15368, tables 10 and 11",
        loss="mean_field_classwise_multi_similarity",
        protocol="traditional_mean_field",
        factors=(
            varied("batch_size", "30", "60", "90", "120", "150", "180"),
            losses("proxy_anchor", "mean_field_classwise_multi_similarity"),
        ),
        note=_OWN_VALUES,
    ),
    Sweep(
        name="mean_field_base_alpha",
        title="base and alpha of MFCWMS",
        source="arXiv 2306.15368",
        loss="mean_field_classwise_multi_similarity",
        protocol="traditional_mean_field",
        factors=(varied("base", "0.2", "0.4", "0.6", "0.8", "1.0"), varied("alpha", "0.001", "0.01", "0.1", "1")),
        note=_OWN_VALUES,
    ),
    Sweep(
        name="mean_field_lambda",
        title="Weight of the mean-field constraint",
        source="arXiv 2306.15368",
        loss="mean_field_contrastive",
        protocol="traditional_mean_field",
        factors=(varied("lambda_mf", "0.0", "0.01", "0.1", "1.0", "10.0", "100.0"),),
    ),
    Sweep(
        name="mean_field_lambda_mfcwms",
        title="Weight of the mean-field constraint, MFCWMS",
        source="arXiv 2306.15368",
        loss="mean_field_classwise_multi_similarity",
        protocol="traditional_mean_field",
        factors=(varied("lambda_mf", "0.0", "0.01", "0.1", "1.0", "10.0", "100.0"),),
    ),
    Sweep(
        name="proxy_nca_few_proxies",
        title="Proxies per class, one or fewer, given beforehand or nearest",
        source="Movshovitz-Attias et al., ICCV 2017",
        loss="proxy_nca_few",
        protocol="traditional_proxy_nca_pp",
        factors=(
            varied("share_of_classes", "0.1", "0.25", "0.5", "0.75", "1"),
            varied("assignment", "static", "dynamic"),
        ),
        note=_OWN_VALUES,
    ),
    *PROXY_NCA_PP,
)

SWEEPS: dict[str, Sweep] = {sweep.name: sweep for sweep in _ALL}


def find(name: str) -> Sweep:
    """Give the sweep of that name; raises `LookupError` where there is none."""
    if name in SWEEPS:
        return SWEEPS[name]
    hint = did_you_mean(name, SWEEPS, f"There are {', '.join(SWEEPS)}.")
    raise LookupError(f"No sweep named {name!r}. {hint}")
