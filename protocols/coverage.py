"""What of four papers lives where here, item by item, and what does not, with the reason: `mlrc list coverage`.

Tables and equations go by the papers' numbers where these could be read; of figures and of what lies between the known
numbers some could not, and go by what they show. A place is one of

    loss:NAME  sweep:NAME  protocol:NAME  dataset:NAME  trunk:NAME    as `mlrc list` names them
    field:NAME       of a protocol           command:NAME     of `mlrc`
    printed:PLACE    in the published means  test:PATH::NAME  file:PATH
"""

from dataclasses import dataclass

MPA, NO_FUSS, MEAN_FIELD, PROXY_NCA_PP = "arXiv2110.03997", "ICCV2017 No Fuss", "arXiv2306.15368", "arXiv2004.01113"


@dataclass(frozen=True)
class Covered:
    """One item of a paper.

    Attributes:
        paper: its number, or venue and title.
        item: `table 7`, `equation 8`, or a name.
        what: it shows or says.
        here: places; none where it is left out.
        reason: why it is left out, or what of it is.
    """

    paper: str
    item: str
    what: str
    here: tuple[str, ...] = ()
    reason: str = ""


_TEST_MPA = "test:tests/losses/test_multi_proxy_anchor.py::"
_TEST_METRICS = "test:tests/harness/metrics/test_retrieval.py::"
_TEST_MEAN_FIELD = "test:tests/losses/test_mean_field.py::"
_NO_NUMBERS = "the numbers could not be read, so none stand beside ours"

COVERAGE: tuple[Covered, ...] = (
    Covered(MPA, "equation 1", "similarity of an image to a class with several centres", ("loss:multi_proxy_anchor",)),
    Covered(MPA, "equation 2", "SoftTriple's loss of one image", ("loss:soft_triple",)),
    Covered(
        MPA,
        "equation 3",
        "regulariser that draws centres together",
        ("file:losses/parts/proxy_spread.py",),
        "undefined for one centre, where it is 0 here",
    ),
    Covered(
        MPA,
        "equation 4",
        "SoftTriple's loss of a batch",
        ("loss:soft_triple",),
        "the paper sums over images; the authors' code and this take the mean",
    ),
    Covered(
        MPA,
        "equation 5",
        "gradient of SoftTriple",
        (f"{_TEST_MPA}test_equation_5_is_the_gradient_of_soft_triple_with_its_signs_turned",),
        "both signs are turned round in the paper",
    ),
    Covered(MPA, "equations 6 and 7", "Multi Proxy Anchor", ("loss:multi_proxy_anchor",)),
    Covered(
        MPA,
        "equations 8 and 9",
        "its gradients, positive and negative",
        (f"{_TEST_MPA}test_equations_8_and_9_are_the_gradient_of_the_similarities",),
    ),
    Covered(
        MPA,
        "equations 10 and 11",
        "nDCG@k",
        (f"{_TEST_METRICS}test_the_worked_examples_of_the_ndcg_paper_come_out", "field:ndcg_at"),
    ),
    Covered(
        MPA,
        "table 1",
        "five rankings and four metrics",
        (
            f"{_TEST_METRICS}test_the_worked_examples_of_the_ndcg_paper_come_out",
            "file:docs/metrics.md",
            "printed:table1",
        ),
        "two of its printed lists lack an entry",
    ),
    *(
        Covered(
            MPA, f"table {number}", f"R@k and nDCG@k on {title}", ("protocol:traditional_mpa", f"printed:table{number}")
        )
        for number, title in ((2, "CUB-200-2011"), (3, "Cars196"), (4, "SOP"))
    ),
    *(
        Covered(
            MPA, f"table {number}", f"number of proxies on {title}", ("sweep:mpa_proxies", f"printed:table{number}")
        )
        for number, title in ((5, "CUB-200-2011"), (6, "Cars196"))
    ),
    Covered(
        MPA,
        "text: similarities",
        "maximum or mean in place of the softmax over centres",
        ("loss:multi_proxy_anchor", f"{_TEST_MPA}test_the_similarity_to_a_class_may_be_the_maximum_or_the_mean"),
        "named by the paper and not used in it",
    ),
    Covered(
        MPA, "figures", "drawings of centres, and convergence", ("command:report",), "the drawings are no experiment"
    ),
    Covered(
        MPA,
        "version 8: two more losses",
        "of the family of Multi Proxy Anchor",
        (),
        "their equations could not be read",
    ),
    Covered(
        NO_FUSS, "triplet loss", "over images", ("loss:triplet", "loss:triplet_semi_hard", "loss:triplet_batch_hard")
    ),
    Covered(NO_FUSS, "NCA loss", "over images", ("loss:nca",)),
    Covered(NO_FUSS, "Proxy-NCA", "the loss", ("loss:proxy_nca_classic", "loss:proxy_nca")),
    Covered(NO_FUSS, "proxy triplet", "a triplet of an image and two proxies", ("loss:proxy_triplet",)),
    Covered(
        NO_FUSS,
        "static and dynamic assignment",
        "fewer proxies than classes",
        ("loss:proxy_nca_few", "sweep:proxy_nca_few_proxies"),
    ),
    Covered(NO_FUSS, "bound on the triplet loss", "proxies as an approximation", (), "a proof, nothing to run"),
    Covered(
        NO_FUSS,
        "baselines",
        "lifted structure, n-pairs, structured clustering",
        ("loss:lifted_structure", "loss:generalized_lifted_structure", "loss:n_pairs"),
        "structured clustering needs a facility-location solver in every step and is left out",
    ),
    Covered(
        NO_FUSS,
        "reviewed beside it: centre loss",
        "softmax with a pull to class centres",
        ("loss:center",),
    ),
    Covered(
        NO_FUSS,
        "reviewed beside it: magnet loss",
        "clusters of classes, sampled by neighbourhood",
        (),
        "its batches are drawn from an index of clusters that is made anew from all images; batches here are "
        "functions of labels and seed, so that a training can be resumed and repeated",
    ),
    Covered(
        NO_FUSS,
        "tables: Cars196, CUB-200-2011, SOP",
        "R@k and NMI",
        ("protocol:traditional_proxy_nca_pp", "field:recall_at", "field:nmi", "printed:table3"),
        "its own numbers stand as quoted by ProxyNCA++; Inception with batch norm is trunk googlenet or bn_inception",
    ),
    Covered(
        NO_FUSS,
        "figure: R@1 against the training step",
        "convergence",
        ("command:report", "file:results/rendering/steps.py"),
    ),
    Covered(
        MEAN_FIELD, "equations 1 to 5", "mean field theory of magnets", (), "physics, by which the losses are derived"
    ),
    Covered(
        MEAN_FIELD,
        "equation 6",
        "contrastive loss with class weights of the pairs",
        ("loss:contrastive",),
        "the weights could not be read; the authors' baseline is PML's contrastive loss, which is this one",
    ),
    Covered(
        MEAN_FIELD,
        "equation 7",
        "mean fields of two classes stay apart",
        ("file:losses/parts/mean_field_constraint.py",),
    ),
    Covered(
        MEAN_FIELD,
        "equation 8",
        "MFCont",
        ("loss:mean_field_contrastive", f"{_TEST_MEAN_FIELD}test_mean_field_contrastive_is_equation_8"),
    ),
    Covered(MEAN_FIELD, "equation 9", "CWMS", ("loss:classwise_multi_similarity",)),
    Covered(MEAN_FIELD, "equation 10", "MFCWMS", ("loss:mean_field_classwise_multi_similarity",)),
    Covered(
        MEAN_FIELD,
        "tables of the Reality Check",
        "four losses under its protocol on CUB, Cars196, SOP",
        ("protocol:reality_check", "loss:proxy_anchor", "loss:classwise_multi_similarity"),
        _NO_NUMBERS,
    ),
    Covered(
        MEAN_FIELD,
        "tables of the traditional protocol",
        "MAP@R, R@k and epochs to the best on four sets",
        ("protocol:traditional_mean_field", "dataset:inshop", "command:report"),
        _NO_NUMBERS,
    ),
    Covered(MEAN_FIELD, "table 10", "batch size", ("sweep:mean_field_batch_size",), _NO_NUMBERS),
    Covered(
        MEAN_FIELD,
        "table 11",
        "In-Shop without queries and gallery; batch size",
        ("field:divided", "dataset:inshop", "sweep:mean_field_batch_size"),
        f"what it shows is told in two ways; {_NO_NUMBERS}",
    ),
    Covered(MEAN_FIELD, "embedding size", "ablation", ("sweep:mean_field_embedding_size",), _NO_NUMBERS),
    Covered(MEAN_FIELD, "base and alpha", "ablation", ("sweep:mean_field_base_alpha",), _NO_NUMBERS),
    Covered(
        MEAN_FIELD,
        "lambda",
        "weight of the constraint",
        ("sweep:mean_field_lambda", "sweep:mean_field_lambda_mfcwms"),
        _NO_NUMBERS,
    ),
    Covered(
        MEAN_FIELD, "convergence", "metric against epoch, epochs to the best", ("command:report", "field:epoch_choice")
    ),
    Covered(
        MEAN_FIELD,
        "complexity of a step",
        "time and memory against the number of classes",
        ("command:profile",),
    ),
    Covered(PROXY_NCA_PP, "equations 1 and 2", "NCA and its gradient", ("loss:nca",), "misprinted in the paper"),
    Covered(PROXY_NCA_PP, "equation 3", "ProxyNCA", ("loss:proxy_nca_classic",)),
    Covered(PROXY_NCA_PP, "equations after 3", "ProxyNCA++ with its temperature", ("loss:proxy_nca_pp",)),
    Covered(PROXY_NCA_PP, "table 1", "optimizers, rates, batches", ("protocol:traditional_proxy_nca_pp",)),
    Covered(
        PROXY_NCA_PP,
        "table 2",
        "trunks",
        ("trunk:resnet50", "trunk:googlenet", "trunk:bn_inception"),
        "by --trunk, each with its own weights file, so it is no sweep",
    ),
    *(
        Covered(
            PROXY_NCA_PP,
            f"table {number}",
            f"R@k on {title}",
            ("protocol:traditional_proxy_nca_pp", f"printed:table{number}"),
            "HORDE is left out" if number < 5 else "",
        )
        for number, title in ((3, "CUB-200-2011"), (4, "Cars196"), (5, "SOP"), (6, "In-Shop"))
    ),
    Covered(PROXY_NCA_PP, "table 7", "without one enhancement", ("sweep:proxy_nca_pp_enhancements", "printed:table7")),
    Covered(PROXY_NCA_PP, "table 8", "without and with prob", ("sweep:proxy_nca_pp_probability", "printed:table8")),
    Covered(PROXY_NCA_PP, "table 9", "without and with scale", ("sweep:proxy_nca_pp_scale", "printed:table9")),
    Covered(PROXY_NCA_PP, "table 10", "average and max pooling", ("sweep:proxy_nca_pp_max", "printed:table10")),
    Covered(
        PROXY_NCA_PP,
        "table 11",
        "pooling with losses of pairs",
        ("sweep:proxy_nca_pp_pooled_pairs", "printed:table11"),
        "without HORDE and distance-weighted sampling, see mlrc list left-out",
    ),
    Covered(PROXY_NCA_PP, "figure 3", "two moons, and the temperature", ("file:docs/examples/two_moons.py",)),
    Covered(PROXY_NCA_PP, "figure: temperature", "R@1 against it", ("sweep:proxy_nca_pp_temperature",)),
    Covered(PROXY_NCA_PP, "figure: k of k-max pooling", "R@1 against it", ("sweep:proxy_nca_pp_pooling",)),
    Covered(PROXY_NCA_PP, "figure: rate of the proxies", "R@1 against it", ("sweep:proxy_nca_pp_proxy_lr",)),
    Covered(PROXY_NCA_PP, "small gradients of proxies", "norms of the gradients", ("command:profile",)),
    Covered(
        PROXY_NCA_PP,
        "Euclidean test distance",
        "of embeddings as the head gives them",
        ("field:similarity",),
    ),
    Covered(PROXY_NCA_PP, "figures: illustrations", "drawings of the method", (), "no experiment"),
)
