"""A GPU that is not there: CPU tensors that claim to be on `cuda:0`, so that mistakes show on machines without one.

Inside of `SimulatedGPU().at_work()` tensors that are moved to `cuda:0` or made there are `TensorThere`s. Below torch's
autograd their contents are computed with on the processor; torch itself takes them for tensors of `meta`, since there
is no driver to ask. Operations that meet tensors of both sides fail as on a GPU, and what copies between the sides or
lets the processor wait is counted. Only the thread that is at work knows the device, and the threads of executors that
`threads` makes.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

DEVICE = torch.device("cuda", 0)
_META = torch.device("meta")
_TO_DEVICE, _TO_HOST, _WAITS = "copies to the device", "copies to the host", "waits"
_FROM_VALUES = {torch.tensor, torch.as_tensor, torch.asarray, torch.Tensor.new_tensor}
_SIZE_FROM_VALUES = frozenset(
    {"nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive", "bincount", "histc", "equal"}
    | {"_local_scalar_dense", "_linalg_check_errors"}
)
"""Operations that a GPU ends by telling the processor a number: a result, or the size of one."""
_BY_INDEX = frozenset({"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"})


class TensorThere(Tensor):
    """A tensor on the device."""

    contents: Tensor
    gpu: "SimulatedGPU"
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, contents: Tensor, gpu: "SimulatedGPU") -> "TensorThere":
        outside = Tensor._make_wrapper_subclass(
            cls,
            contents.shape,
            strides=contents.stride(),
            storage_offset=contents.storage_offset(),
            dtype=contents.dtype,
            device=_META,
        )
        outside.contents, outside.gpu = contents, gpu
        return outside

    device = property(lambda self: DEVICE)
    is_cuda = property(lambda self: True)
    is_meta = property(lambda self: False)

    @property
    def data(self) -> Tensor:
        """Autograd's blind eye, which torch would give without the contents."""
        return self.detach()

    @data.setter  # type: ignore[override]
    def data(self, value: "TensorThere") -> None:
        torch.Tensor.data.__set__(self, value)  # type: ignore[attr-defined]
        self.contents = value.contents

    def record_stream(self, stream: "SimulatedStream") -> None:  # type: ignore[override]
        """Note that another stream than the one that made it reads the tensor."""
        stream.reads.append(self)

    def __repr__(self) -> str:  # type: ignore[override]
        return f"TensorThere({self.contents})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        there, _ = tree_flatten((args, kwargs or {}))
        return next(one.gpu for one in there if isinstance(one, cls)).compute(func, args, kwargs or {})


class SimulatedGPU:
    """The device, and what was counted since it was made or `take`n from."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._silent = threading.local()

    @contextmanager
    def at_work(self) -> Iterator["SimulatedGPU"]:
        """Let this thread know the device."""
        with _Asked(), _Made(self):
            yield self

    def threads(self, count: int, initializer: Callable[[], object] | None = None) -> ThreadPoolExecutor:
        """Make an executor whose threads know the device until they end."""

        def enter() -> None:
            if initializer:
                initializer()
            _Asked().__enter__()  # type: ignore[no-untyped-call]
            _Made(self).__enter__()  # type: ignore[no-untyped-call]

        return ThreadPoolExecutor(count, initializer=enter)

    @contextmanager
    def uncounted(self) -> Iterator[None]:
        """Count nothing of what this thread does."""
        before = getattr(self._silent, "now", False)
        self._silent.now = True
        try:
            yield
        finally:
            self._silent.now = before

    def take(self) -> Counter[str]:
        """Give the counts, and begin to count anew."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        return counts

    def compute(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Do one of torch's operations below autograd."""
        flat, _ = tree_flatten((args, kwargs))
        there = [one for one in flat if isinstance(one, TensorThere)]
        here = [one for one in flat if isinstance(one, Tensor) and not isinstance(one, TensorThere)]
        name, target = func.overloadpacket.__name__, kwargs.get("device")
        onto = None if target is None else torch.device(target)
        if not there and onto != _META:
            return func(*args, **kwargs)
        if name in ("_to_copy", "copy_"):
            self._count_copy(name, args, kwargs, onto)
        elif there:
            self._hold_together(name, here, args)
            self._count_waits(name, args, kwargs)
        kwargs = {**kwargs, "device": torch.device("cpu")} if onto == _META else kwargs
        wrappers = {id(one.contents): one for one in there}
        result = func(*tree_map(_contents, args), **tree_map(_contents, kwargs))
        if (onto is not None and onto.type == "cpu") or (name == "copy_" and not isinstance(args[0], TensorThere)):
            return result
        return tree_map(lambda one: self._wrapped(one, wrappers), result)

    def _wrapped(self, result: Any, wrappers: dict[int, TensorThere]) -> Any:
        if not isinstance(result, Tensor):
            return result
        return wrappers[id(result)] if id(result) in wrappers else TensorThere(result, self)

    def _count(self, *what: str) -> None:
        if not getattr(self._silent, "now", False):
            with self._lock:
                self._counts.update(what)

    def _count_copy(self, name: str, args: Any, kwargs: Any, onto: torch.device | None) -> None:
        into, source = (args[0], args[1]) if name == "copy_" else (None, args[0])
        to_device = isinstance(into, TensorThere) if into is not None else onto == _META
        stays = into is None and onto is None
        if isinstance(source, TensorThere) and not stays and not to_device:
            self._count(_TO_HOST, _WAITS)
        elif not isinstance(source, TensorThere) and to_device:
            blocking = not (kwargs.get("non_blocking") or (name == "copy_" and len(args) > 2 and args[2]))
            self._count(_TO_DEVICE, *([_WAITS] if blocking else []))

    def _count_waits(self, name: str, args: Any, kwargs: Any) -> None:
        if name in _SIZE_FROM_VALUES or (name == "repeat_interleave" and kwargs.get("output_size") is None):
            self._count(_TO_HOST, _WAITS)
        if name in _BY_INDEX:
            filled = "put" in name and args[2].numel() == 1
            for index in args[1]:
                if isinstance(index, TensorThere) and index.dtype in (torch.bool, torch.uint8) and not filled:
                    self._count(_TO_HOST, _WAITS)
                elif isinstance(index, Tensor) and not isinstance(index, TensorThere):
                    self._count(_TO_DEVICE, _WAITS)

    @staticmethod
    def _hold_together(name: str, here: list[Tensor], args: Any) -> None:
        """Refuse tensors of the processor beside those of the device, but single numbers, and indices of the latter."""
        if name in _BY_INDEX and isinstance(args[0], TensorThere):
            here = [args[2]] if "put" in name and not isinstance(args[2], TensorThere) else []
        if any(one.dim() for one in here) or (name in _BY_INDEX and not isinstance(args[0], TensorThere)):
            raise RuntimeError(f"Expected all tensors to be on the same device, but {name} found cuda:0 and cpu.")


class SimulatedStream:
    """A queue of the device's work, and the thread's `current` one: all is done at once, and the order is noted.

    Attributes:
        waited: events that the stream waited for.
        reads: tensors of other streams that it was told to read.
    """

    current = threading.local()

    def __init__(self, device: torch.device) -> None:
        assert device == DEVICE
        self.waited: list[SimulatedEvent] = []
        self.reads: list[Tensor] = []

    def wait_event(self, event: "SimulatedEvent") -> None:
        """Let what follows wait for an event that was recorded."""
        assert event.of is not None
        self.waited.append(event)


class SimulatedEvent:
    """A moment in a stream."""

    of: SimulatedStream | None = None

    def record(self, stream: SimulatedStream) -> None:
        """Be the moment when the stream has done what it was given."""
        self.of = stream


def simulate_streams(monkeypatch: pytest.MonkeyPatch) -> SimulatedStream:
    """Let torch's streams of CUDA be simulated ones; give the one on which a thread is at first."""
    training = SimulatedStream(DEVICE)

    @contextmanager
    def on(stream: SimulatedStream) -> Iterator[None]:
        SimulatedStream.current.now = stream
        try:
            yield
        finally:
            SimulatedStream.current.now = training

    def current(device: torch.device) -> SimulatedStream:
        assert device == DEVICE
        return getattr(SimulatedStream.current, "now", training)

    SimulatedStream.current = threading.local()
    for name, there in (("Stream", SimulatedStream), ("Event", SimulatedEvent), ("stream", on)):
        monkeypatch.setattr(torch.cuda, name, there)
    monkeypatch.setattr(torch.cuda, "current_stream", current)
    return training


class _Made(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Lets tensors be made on the device."""

    def __init__(self, gpu: SimulatedGPU) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._gpu = gpu

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        return self._gpu.compute(func, args, kwargs or {})


class _Asked(TorchFunctionMode):
    """Turns the device's name into one that torch takes without a driver."""

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        if func is torch.device:
            return func(*args, **(kwargs or {}))
        if func is torch.Tensor.tolist:
            return args[0].cpu().tolist()
        if func is torch.Tensor.backward:  # a checkpoint's function is called again in it, and must find the device
            with self:
                return _run_backward(args[0])
        args, kwargs = tree_map(_named, args), tree_map(_named, dict(kwargs or {}))
        kwargs.pop("pin_memory", None)
        if func in _FROM_VALUES and not isinstance(args[-1 if func is torch.Tensor.new_tensor else 0], Tensor):
            device = kwargs.pop("device", args[0].device if func is torch.Tensor.new_tensor else None)
            made = torch.tensor(
                args[-1], **{"dtype": args[0].dtype} if func is torch.Tensor.new_tensor else {}, **kwargs
            )
            return made if device is None else made.to(_named(device))
        return func(*args, **kwargs)


def _run_backward(value: Tensor) -> None:
    """Do what `value.backward()` does behind its Python functions, which would ask `_Asked` once more."""
    torch.autograd.graph._engine_run_backward(
        (value,), (torch.ones_like(value),), False, False, (), allow_unreachable=True, accumulate_grad=True
    )


def _named(argument: Any) -> Any:
    is_there = (isinstance(argument, torch.device) and argument.type == "cuda") or (
        isinstance(argument, str) and argument.split(":")[0] == "cuda"
    )
    return _META if is_there else argument


def _contents(argument: Any) -> Any:
    if isinstance(argument, torch.device) and argument == _META:
        return torch.device("cpu")
    return argument.contents if isinstance(argument, TensorThere) else argument
