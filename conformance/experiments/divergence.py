"""Where does it start? The first layer at which two runs of one subject part, named when a check has failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property, partial
from typing import Any

from conformance.contract.measurement import measuring
from conformance.contract.outcomes import ITSELF, Problem, owner
from conformance.contract.tolerances import BATCH_INDEPENDENCE, REORDERED_LAYERS
from conformance.experiments.files import Files
from conformance.experiments.runs import Runs
from conformance.graphs.graph import Graph
from conformance.graphs.matching import hashes
from conformance.graphs.tracing import blocks, recorded_graph
from conformance.tensors.comparison import Array, Summary, compare
from conformance.tensors.label import Label
from reference.runtime.mxnet_compat import mx

REPEATS = 3
Scope = Callable[[], AbstractContextManager[Any]]
#: In what the imperative network is run: in predict mode, and recorded in train mode.
MODES: dict[bool, Scope] = {False: nullcontext, True: mx.autograd.record}


def block_outputs(net: Any, images: Any, scope: Scope = nullcontext) -> dict[str, Any]:
    """Each block's imperative output (MXNet array), by structural path, in the order in which they finish."""
    found: dict[str, Any] = {}

    def keep(path: str) -> Any:
        def hook(_: Any, __: Any, output: Any) -> None:
            if isinstance(output, mx.nd.NDArray):
                found[path] = output

        return hook

    handles = [block.register_forward_hook(keep(path)) for path, block in blocks(net)]
    with scope():
        net(images).wait_to_read()
    for handle in handles:
        handle.detach()
    return found


def _parted(path: str, text: str) -> Problem:
    return Problem(f"first diverging layer: {text}", path or ITSELF)


def _differ(expected: Array, actual: Array) -> bool:
    """Whether two outputs differ by more than another order of sums makes them differ."""
    with measuring():  # a search, whose numbers are not the check's
        return any(compare("", expected, actual, REORDERED_LAYERS.bound, REORDERED_LAYERS.provenance))


def last_of_blocks(graph: Graph) -> dict[str, int]:
    """Position of the last operator of each block that has one, the blocks inside it included."""
    last: dict[str, int] = {}
    for node in graph.nodes:
        path = node.block
        while True:
            last[path] = node.position
            if not path:
                break
            path = path.rpartition(".")[0]
    return last


class Divergence:
    """Answers where one network's runs part.

    Args:
        runs: Of the network.
    """

    def __init__(self, runs: Runs) -> None:
        """Take the runs; nothing is looked for yet."""
        self.runs, self.network = runs, runs.network

    @cached_property
    def operators(self) -> Problem | None:
        """The first block whose imperative operators are not the traced ones, in predict or then in train mode."""
        traced, last = hashes(self.runs.anonymous_graph), last_of_blocks(self.network.graph)
        net, images = self.network.new(train=False), self.network.images(self.network.shape(1, train=True))
        images.attach_grad()
        for train in (False, True):
            for path, output in block_outputs(net, images, partial(mx.autograd.record, train_mode=train)).items():
                node = self.network.graph.nodes[last[path]] if path in last else None
                try:
                    graph = recorded_graph(output)
                except mx.MXNetError:
                    return _parted(path, f"{node or path} (its imperative output is cut off from autograd's record)")
                if node is not None and graph.head >= 0 and hashes(graph)[graph.head] != traced[node.position]:
                    return _parted(path, f"{node} (other operators run imperatively)")
        return None

    def _calls(self) -> Iterator[list[tuple[bool, Any]]]:
        """What the checks of execution call one network with, in order: each mode's sequence of mode and images."""
        yield [(False, images) for images in self.runs.predicted_images]
        shapes = enumerate(self.runs.training_shapes(), 1)
        first, *rest = [self.network.images(shape, step) for step, shape in shapes]
        yield [(True, first), (False, first), *((True, images) for images in rest)]

    def values(self) -> Problem | None:
        """The first block whose imperative output is not the traced graph's, in the calls of predict or train mode."""
        last = {position: path for path, position in last_of_blocks(self.network.graph).items()}
        for calls in self._calls():
            net = self.network.new(train=False)
            for number, (train, images) in enumerate(calls, 1):
                self.network.seed(1)
                imperative = block_outputs(net, images, MODES[train])
                for node, array in self.runs.node_outputs(images.shape, train=train, images=images):
                    path = last.get(node.position)
                    if path in imperative and _differ(imperative[path].asnumpy(), array):
                        mode = "train mode" if train else "predict mode"
                        return _parted(path, f"{node} (its imperative output differs in {mode}, call {number})")
        return None

    @cached_property
    def first(self) -> Problem:
        """The first layer at which the traced network and the imperative one part, in float32 or else in float64."""
        found = self.operators or self.values()
        if found is None and self.network.dtype == "float32":
            return Divergence(self.runs.in_float64).first
        return found or Problem("first diverging layer: none in the forward pass: see the gradient nearest the output")

    def export(self) -> Problem | None:
        """The layer of the first parameter that does not come back from an export as it was."""
        found = Files(self.runs).exported_parameters()
        changed = (name for name, value in self.runs.initial.items() if found.get(name) != value)
        name = next(changed, None)
        return None if name is None else Problem(f"first diverging layer: {name} is exported wrongly", owner(name))

    def calls(self) -> Iterator[Problem]:
        """The first block that gives another output when everything is as before, in predict and in train mode.

        Once in a new instance with the same seed, once in the same instance at its fourth call.
        """
        images = self.network.images(self.network.shape(2, train=True), 1)

        def run(net: Any, scope: Scope) -> dict[str, Any]:
            self.network.seed(1)
            return block_outputs(net, images, scope)

        for train, scope in MODES.items():
            net = self.network.new(train=False)
            first = run(net, scope)
            for again in (self.network.new(train=False), net):
                last = [run(again, scope) for _ in range(1 if again is not net else REPEATS)][-1]
                mode, when = (
                    ("train" if train else "predict") + " mode",
                    "later" if again is net else "in a new instance",
                )
                for path, output in first.items():
                    if Summary.of(output.asnumpy()) != Summary.of(last[path].asnumpy()):
                        yield _parted(
                            path, f"{path or ITSELF} (in {mode} its output differs {when}, with the same seed)"
                        )
                        break

    @staticmethod
    def batches(together: dict[str, Any], alone: dict[str, Any], sample: int) -> Iterator[Problem]:
        """The first block whose output for one sample depends on the others of its batch."""
        for path, output in alone.items():
            batch = together[path]
            if batch.shape[1:] != output.shape[1:] or len(batch) <= sample:
                continue
            bound = BATCH_INDEPENDENCE
            with measuring():
                lines = [*compare(path, output.asnumpy()[0], batch.asnumpy()[sample], bound.bound, bound.provenance)]
            if lines:
                yield _parted(path, f"{path or ITSELF} (its output depends on the batch)")
                return


def backward_divergence(graph: Graph, labels: Sequence[Label]) -> list[Problem]:
    """Name the layer nearest the output whose gradient differs: upstream ones only follow."""
    wrong = [label.name for label in labels if label.kind == "gradient"]
    if not wrong or Label(1, "logits") in labels:
        return []
    users = graph.users(wrong[-1])
    place = users[0].place if users else owner(wrong[-1])
    return [Problem(f"first diverging layer in backward order: {users[0] if users else place}", place)]
