"""The face: what a notebook or a script imports. Behind it are `mlrc.losses`, `protocols`, `results` and `harness`.

    import mlrc

    result = mlrc.compare(["contrastive", "./my_loss.py"], dataset="glyphs", protocol="quick", workers=2)
    result.leaderboard  # a pandas frame; so are .comparisons, .cost and .parameters

Each name is imported when it is first asked for: `import mlrc` alone imports neither torch nor pandas.
"""

from typing import TYPE_CHECKING

__all__ = [
    "LossSpec",
    "MinedLoss",
    "Protocol",
    "Result",
    "__version__",
    "check",
    "compare",
    "evaluate",
    "load",
    "read",
]

if TYPE_CHECKING:
    from mlrc.harness.metrics.evaluate import evaluate
    from mlrc.harness.training.saved_model import load
    from mlrc.losses.spec import LossSpec, MinedLoss
    from mlrc.notebook import check, compare, read
    from mlrc.protocols.protocol import Protocol
    from mlrc.result import Result

    __version__: str
else:  # hidden from type checkers, which would believe any name after it
    _PLACES = {
        "LossSpec": "mlrc.losses.spec",
        "MinedLoss": "mlrc.losses.spec",
        "Protocol": "mlrc.protocols.protocol",
        "Result": "mlrc.result",
        "check": "mlrc.notebook",
        "compare": "mlrc.notebook",
        "evaluate": "mlrc.harness.metrics.evaluate",
        "load": "mlrc.harness.training.saved_model",
        "read": "mlrc.notebook",
    }

    def __getattr__(name):
        if name == "__version__":
            from importlib.metadata import version  # noqa: PLC0415 as all that is imported late here

            return version("mlrc")
        if name not in _PLACES:
            raise AttributeError(f"module 'mlrc' has no attribute {name!r}")
        from importlib import import_module  # noqa: PLC0415

        found = getattr(import_module(_PLACES[name]), name)
        globals()[name] = found
        return found

    def __dir__():
        return sorted({*globals(), *__all__})
