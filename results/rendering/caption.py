"""What a reader must know to read a table right, in sentences."""

from collections.abc import Iterable, Mapping, Sequence

from mlrc.results.boards.leaderboard import Board
from mlrc.results.records.metric_names import RANKED_BY, WITHOUT_CLASSES
from mlrc.results.records.record import BASELINES, PCA, UNTRAINED, Params, ProtocolRecord
from mlrc.results.rendering.search_caption import how_searched, luck_of_the_search
from mlrc.results.statistics.levels import ALPHA

_CUTS = {"own": "own, as the manifest or the folders of the images say"}
_PACKAGES = ("torch", "torchvision", "pytorch-metric-learning", "optuna")


def caption(board: Board, *, ranks: bool = True) -> list[str]:
    """Give the sentences below the table of a board; its notes on single losses are not among them.

    How long it took is not, either: another run of the same trainings would have another caption.

    Args:
        board: of the table.
        ranks: whether the table shows them.
    """
    return [
        f"{board.dataset}, protocol {board.protocol} (digest {board.digest}); percent.",
        *_rules(board),
        *_numbers(board, ranks=ranks),
        *_split(board),
        *_pretraining(board),
        *_search(board),
        *how_searched(board),
        *luck_of_the_search(board),
        *_making(board),
    ]


def _rules(board: Board) -> Iterable[str]:
    if board.record is None:
        yield "The ledger does not hold the numbers behind this digest."
        return
    if changes := common_changes([board.record]):
        yield f"Differs from {board.record.parent} in {', '.join(changes)}."
    yield from training_rules(board.record)


def common_changes(protocols: Sequence[ProtocolRecord]) -> list[str]:
    """Say how protocols differ from their parents, as far as all of them do in the same way."""
    found = [
        {f"{name} {_short(new)} instead of {_short(old)}" for name, (old, new) in one.changes.items()}
        for one in protocols
    ]
    return sorted(set.intersection(*found)) if found else []


def training_rules(protocol: ProtocolRecord) -> Iterable[str]:
    """Say what of a protocol's training a reader of its numbers must know."""
    if protocol.fields.get("two_stages"):
        other = float(protocol.fields["validation_fraction"])
        yield (
            f"Stage 1 of each repeat, on {1 - other:.0%} of the training classes, chose the schedule and the number of "
            f"epochs by the other {other:.0%}; stage 2 trained on all."
        )
    if protocol.fields.get("divided") is False:
        yield "Each test image asks all others, also where the dataset divides them into queries and gallery."
    if protocol.fields.get("similarity") == "euclidean":
        yield "Images are compared by the Euclidean distance of embeddings as the model gives them, not by cosine."
    if protocol.epoch_choice == "best_on_test":
        yield "The epoch was chosen on the test set, so these numbers are no estimate of performance on new classes."


def _numbers(board: Board, *, ranks: bool) -> Iterable[str]:
    repeats = sorted({row.n for row in board.rows})
    if repeats == [1]:
        yield "One repeat, so no number has an interval over seeds."
    else:
        yield (
            f"Mean ± half width of the 95 % Student-t interval over {_units(board, repeats)}"
            f"{', and one repeat has none' if 1 in repeats else ''}."
            f"{' In parentheses the standard deviation over the repeats.' if board.traditional else ''}"
        )
    yield "The interval over test classes, class_low and class_high in leaderboard.csv, covers the choice of classes."
    folds = len(board.runs[0].fold_keys)
    if folds == 1:
        yield "One model per repeat, so there is no ensemble."
    else:
        yield f"Concatenated is an ensemble of the {folds} fold models; separated is the mean over them."
    if board.contests:
        yield (
            "Bold: the losses that could be the best one, which is among them but for "
            f"{100 * ALPHA:g} % of tables (Hsu's multiple comparisons with the best)."
        )
        if ranks:
            yield (
                f"Rank: the places that a loss may have in {RANKED_BY}, from one more than the surely better to all "
                f"but the surely worse, over repeats and test classes; all hold but for {100 * ALPHA:g} % of tables."
            )
        yield f"In the order of the mean {RANKED_BY}{', concatenated' if len(board.settings) > 1 else ''}."
        if told := _detectable(board):
            yield f"Told apart in four tables of five would be two typical losses that differ by {told}."
        if others := sorted(WITHOUT_CLASSES & set(board.metrics)):
            yield f"In {', '.join(others)}, of which there are no sums per class, bold is the highest mean alone."
    elif len({*board.losses} - {*BASELINES}) > 1:
        yield "Bold: the highest mean; nothing is known of how surely it is the best."
    if UNTRAINED in board.losses:
        yield f"The row “{UNTRAINED}” is {_untrained(board)}, and is not ranked."
    if PCA in board.losses:
        yield (
            f"The row “{PCA}” is the same in {_size(board, PCA)} dimensions, the principal components of each fold's "
            "training classes, and is not ranked."
        )
        yield from _against_features(board)


def _untrained(board: Board) -> str:
    fields = board.record.fields if board.record else {}
    if fields.get("trunk") == "none":
        return "the vectors as they are"
    return "the trunk's pooled output before any training"


def _size(board: Board, loss: str) -> int:
    return next(run.embedding_size for run in board.runs if run.loss == loss)


def _against_features(board: Board) -> Iterable[str]:
    """Say where no head retrieves better than what it was made from, or than as many dimensions of it."""
    means = {(row.loss, row.setting): row.mean for row in board.rows if row.metric == RANKED_BY}
    heads = [loss for loss in board.losses if loss not in BASELINES]
    for baseline in (one for one in BASELINES if heads and one in board.losses):
        beaten = [
            setting
            for setting in board.settings
            if max(means[loss, setting] for loss in heads) <= means[baseline, setting]
        ]
        if beaten:
            yield f"In {' and '.join(beaten)} {RANKED_BY} no head beats the row “{baseline}”."


def _units(board: Board, repeats: Sequence[int]) -> str:
    searches = sorted({row.searches for row in board.rows if row.loss not in BASELINES})
    if searches[-1:] > [1]:
        return (
            f"{' or '.join(map(str, searches))} searches, with n = {' or '.join(map(str, repeats))} repeats in all: it "
            "covers the luck of the search and seed noise"
        )
    return f"n = {' or '.join(map(str, repeats))} repeats: it covers seed noise only"


def _detectable(board: Board) -> str:
    """Say which difference the tables by which losses are ranked can tell apart."""
    found = [(setting, board.contests.get((setting, RANKED_BY))) for setting in board.settings]
    told = [f"{one.detectable():.1f}{f' ({setting})' if len(found) > 1 else ''}" for setting, one in found if one]
    return f"{' or '.join(told)} points of {RANKED_BY}" if told else ""


def _split(board: Board) -> Iterable[str]:
    for cut, fingerprint, classes, images, left_out, queries, cameras in sorted(
        {
            (
                *(_CUTS.get(run.cut, run.cut), run.fingerprint, run.test_classes, run.test_images),
                *(run.left_out, run.queries or 0, run.cameras or 0),
            )
            for run in board.runs
        }
    ):
        asking = f", of which {queries} ask and the others are their gallery" if queries else ""
        without = asking + (f", of which {left_out} without a positive ask nothing" if left_out else "")
        yield (
            f"Split: {cut}, {classes} test classes with {images} images{without}; "
            f"images with fingerprint {fingerprint}."
        )
        if cameras:
            yield f"Images of a query's class and camera are not searched ({cameras} cameras)."


def _pretraining(board: Board) -> Iterable[str]:
    """Say which test classes the trunk may know already; nothing of a trunk that was trained from scratch."""
    if board.record is None or not board.record.fields.get("weights"):
        return
    told = sorted({run.pretraining for run in board.runs} - {""})
    yield from (f"Pretraining: {sentence}" for sentence in told)
    if not told:
        yield "The trunk was pretrained; which of these classes it may have seen is not told."


def _search(board: Board) -> Iterable[str]:
    searched = {one.loss: [of.trials for of in one.by_search if of.search] for one in board.evidence if one.search}
    given = {one.loss: one.runs[0].params for one in board.evidence if one.runs and one.loss not in searched}
    for baseline in BASELINES:
        given.pop(baseline, None)
    if given or not searched:
        told = "; ".join(f"{loss} {told_parameters(params)}" for loss, params in given.items() if params)
        of = f" of {', '.join(given)}" if searched else ""
        yield f"Parameters{of} were given, not searched{told and f': {told}'}."
    if not searched:
        return
    trials = " or ".join(str(number) for number in sorted({len(done) for of in searched.values() for done in of}))
    short = {loss: sum(not done for one in of for done in one.values()) for loss, of in searched.items()}
    diverged = [f"{number} of {loss}" for loss, number in short.items() if number]
    told = f"trials in which a fold diverged or failed: {', '.join(diverged)}" if diverged else "no trial diverged"
    per = f"for each of {', '.join(searched)}" if given else "per loss"
    searches = max(len(of) for of in searched.values())
    each = "" if searches == 1 else f" in each of {searches} searches"
    yield f"Search: {trials} trial{'s' * (trials != '1')} {per}{each}, selected on validation classes; {told}."


def told_parameters(params: Params) -> str:
    """Give parameters as text, by name."""
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in sorted(params.items())
    )


def _making(board: Board) -> Iterable[str]:
    made = board.environments
    packages = ((name, _several(one.versions[name] for one in made if name in one.versions)) for name in _PACKAGES)
    versions = ", ".join(f"{name} {version}" for name, version in packages if version)
    devices, commits = (_several(words) for words in ((one.device for one in made), (one.commit for one in made)))
    yield f"Made on {devices}; {versions}; commit {commits}."


def _several(words: Iterable[str]) -> str:
    return " and ".join(sorted(set(words)))


def _short(value: object) -> str:
    if isinstance(value, Mapping) and set(value) == {"default", "named"}:  # a number that the protocol sets per dataset
        return _short(", ".join([str(value["default"]), *(f"{name}: {of}" for name, of in value["named"])]))
    text = str(value) or "none"
    return text if len(text) <= 40 else text[:39] + "…"
