"""Canonical graphs: what is the same however it is written, and where two networks part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from conformance.graphs.graph import Graph, canonical_attributes, parse_value
from conformance.graphs.matching import differences, pair_nodes, pair_parameters
from conformance.graphs.symbols import operator_defaults
from conformance.graphs.tracing import recorded_graph, trace
from reference.runtime.mxnet_compat import HybridBlock, mx

nn = mx.gluon.nn
SHAPE = (1, 3, 8, 8)
Forward = Callable[[Any, Any, Any, Any], Any]


class Block(HybridBlock):
    """Two convolutions, a and b, and a function of them."""

    def __init__(self, forward: Forward) -> None:
        """Create the layers, with no weights yet."""
        super().__init__()
        self.function = forward
        with self.name_scope():
            self.a, self.b = nn.Conv2D(3, 3, padding=1), nn.Conv2D(3, 3, padding=1)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Call the function."""
        return self.function(F, x, self.a, self.b)


def graph(forward: Forward) -> Graph:
    """Trace a function of two convolutions."""
    return trace(Block(forward), SHAPE)[0]


def texts(expected: Forward, actual: Forward) -> list[str]:
    """Return how two functions differ, in words."""
    return [str(difference) for difference in differences(graph(expected), graph(actual))]


@pytest.mark.parametrize(
    ("text", "value"),
    [("(3, 3)", (3, 3)), ("[1, 2]", (1, 2)), ("True", True), ("false", False), ("None", None), ("", None),
     ("1e-05", 1e-5), ("NCHW", "NCHW"), ("(2L, 2L)", (2, 2)), (3, 3)],
)  # fmt: skip
def test_parse_value_reads_what_mxnet_writes(text: Any, value: Any) -> None:
    """An attribute's text becomes the value it stands for."""
    assert value == parse_value(text)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"stride": "()"}, {"stride": (1, 1)}),
        ({"pool_type": "max", "count_include_pad": "True"}, {"pool_type": "max"}),
        ({"pool_type": "avg"}, {"pool_type": "avg", "count_include_pad": True}),
        ({"layout": "None"}, {"layout": "NCHW"}),
        ({"cudnn_off": "True", "workspace": "512"}, {}),
        ({"pool_type": "lp", "p_value": "2"}, {"pool_type": "lp", "p_value": 2}),
    ],
)
def test_canonical_attributes_leave_what_the_result_depends_on(given: Any, expected: Any) -> None:
    """Defaults are filled in for every axis; what cannot change the result is left out."""
    defaults = operator_defaults("Pooling")
    plain = canonical_attributes("Pooling", {"kernel": "(2, 2)"}, defaults)
    assert {**plain, **expected} == canonical_attributes("Pooling", {"kernel": "(2, 2)", **given}, defaults)


def test_canonical_attributes_of_a_global_pool_have_no_window() -> None:
    """The window of a global pooling means nothing."""
    attributes = canonical_attributes("Pooling", {"kernel": "(7, 7)", "global_pool": "1"}, operator_defaults("Pooling"))
    assert attributes["global_pool"] is True
    assert not {"kernel", "stride", "pad"} & set(attributes)


SAME: dict[str, tuple[Forward, Forward]] = {
    "relu": (lambda F, x, a, b: F.relu(a(x)), lambda F, x, a, b: F.Activation(b(x), act_type="relu")),
    "sigmoid": (lambda F, x, a, b: F.sigmoid(x), lambda F, x, a, b: F.Activation(x, act_type="sigmoid")),
    "order of a sum": (lambda F, x, a, b: F.relu(a(x)) + b(x), lambda F, x, a, b: b(x) + F.relu(a(x))),
    "add_n": (lambda F, x, a, b: a(x) + x, lambda F, x, a, b: F.add_n(a(x), x)),
    "broadcast": (lambda F, x, a, b: a(x) + x, lambda F, x, a, b: F.broadcast_add(x, a(x))),
    "difference": (lambda F, x, a, b: a(x) - x, lambda F, x, a, b: F.broadcast_sub(a(x), x)),
    "product": (lambda F, x, a, b: a(x) * x, lambda F, x, a, b: F.broadcast_mul(x, a(x))),
    "quotient": (lambda F, x, a, b: a(x) / x, lambda F, x, a, b: F.broadcast_div(a(x), x)),
    "larger": (lambda F, x, a, b: F.maximum(a(x), x), lambda F, x, a, b: F.broadcast_maximum(x, a(x))),
    "identity": (lambda F, x, a, b: a(x), lambda F, x, a, b: F.identity(a(F.identity(x)))),
    "dropout of nothing": (lambda F, x, a, b: a(x), lambda F, x, a, b: F.Dropout(a(x), p=0)),
    "flatten": (lambda F, x, a, b: F.flatten(x), lambda F, x, a, b: F.reshape(x, shape=(0, -1))),
    "defaults": (
        lambda F, x, a, b: F.Pooling(x, kernel=(2, 2), pool_type="max"),
        lambda F, x, a, b: F.Pooling(x, kernel=(2, 2), stride=(1, 1), pad=(0, 0), pool_type="max", cudnn_off=True),
    ),
}


def only_used(found: Graph) -> Graph:
    """Leave out the parameters that no operator reads."""
    used = {name: parameter for name, parameter in found.parameters.items() if found.users(name)}
    return Graph(found.nodes, used, found.head)


@pytest.mark.parametrize("case", SAME)
def test_differences_are_none_where_only_the_writing_differs(case: str) -> None:
    """Synonyms, defaults, identities and the order of a sum make no difference."""
    expected, actual = (only_used(graph(forward)) for forward in SAME[case])
    assert [] == [str(difference) for difference in differences(expected, actual)]


def test_pair_nodes_matches_a_flat_concat() -> None:
    """A nested concat is matched with a flat one of the same inputs in the same order."""
    nested = graph(lambda F, x, a, b: F.concat(F.relu(x), F.concat(x, F.tanh(x), dim=1), dim=1))
    flat = graph(lambda F, x, a, b: F.concat(F.relu(x), x, F.tanh(x), dim=1))
    other = graph(lambda F, x, a, b: F.concat(x, F.relu(x), F.tanh(x), dim=1))
    assert flat.head == pair_nodes(nested, flat)[nested.head]
    assert nested.head not in pair_nodes(nested, other)


def test_differences_name_the_first_place() -> None:
    """The first line names the first operator that differs, with both values; what follows from it is not told."""
    lines = texts(
        lambda F, x, a, b: b(F.relu(a(x))), lambda F, x, a, b: b(F.relu(F.Pooling(a(x), kernel=(3, 3), pad=(1, 1))))
    )
    assert "node 1 Pooling in the network itself" in lines[0]
    lines = texts(lambda F, x, a, b: b(F.tanh(a(x))), lambda F, x, a, b: b(F.relu(a(x))))
    assert ["node 1 Activation in the network itself: act_type expected 'tanh', actual 'relu' "
            "(reference: the network itself)"] == lines  # fmt: skip


@pytest.mark.parametrize(
    ("expected", "actual", "says"),
    [
        (lambda F, x, a, b: a(x) - b(x), lambda F, x, a, b: F.relu(a(x)) - b(x), "node 1 Activation"),
        (lambda F, x, a, b: F.relu(a(x)), lambda F, x, a, b: a(x), "missing"),
        (lambda F, x, a, b: a(x), lambda F, x, a, b: F.relu(a(x)), "not in the reference"),
        (lambda F, x, a, b: a(x) + b(x), lambda F, x, a, b: a(x) + a(x), "which the reference keeps apart"),
        (lambda F, x, a, b: F.concat(a(x), x), lambda F, x, a, b: F.concat(x, a(x)), "Concat"),
        (lambda F, x, a, b: F.relu(x) - F.tanh(x), lambda F, x, a, b: F.tanh(x) - F.relu(x), "order differ"),
    ],
)
def test_differences_say_what_is_wrong(expected: Forward, actual: Forward, says: str) -> None:
    """A missing, an additional, a shared and a misplaced operator are each told."""
    assert says in "\n".join(texts(expected, actual))


def test_differences_notice_an_unused_parameter() -> None:
    """A parameter that nothing reads is told by its name."""
    full = graph(lambda F, x, a, b: a(x))
    used = Graph(full.nodes, {name: p for name, p in full.parameters.items() if name.startswith("a.")}, full.head)
    assert ["parameter 'b.bias' is not in the reference", "parameter 'b.weight' is not in the reference"] == [
        str(difference) for difference in differences(used, full)
    ]


def test_differences_stop_at_the_limit() -> None:
    """Not more than the limit is told."""
    one = graph(lambda F, x, a, b: F.relu(F.tanh(a(x))))
    other = graph(lambda F, x, a, b: F.sigmoid(F.sigmoid(a(x))))
    assert 1 == len(differences(one, other, limit=1))


def test_pair_parameters_follows_the_operators() -> None:
    """Parameters are matched through what reads them, whatever they are called."""
    expected = graph(lambda F, x, a, b: b(F.relu(a(x))))
    actual = graph(lambda F, x, a, b: a(F.relu(b(x))))
    pairs = {"a.weight": "b.weight", "a.bias": "b.bias", "b.weight": "a.weight", "b.bias": "a.bias"}
    assert pairs == pair_parameters(expected, actual)


def test_trace_knows_layers_called_twice() -> None:
    """A layer that is called twice is two operators with one pair of parameters."""
    found = graph(lambda F, x, a, b: b(a(a(x))))
    assert 2 == len(found.users("a.weight"))
    assert 3 == len({node.output for node in found.nodes})
    assert [1] == [node.position for node in found.consumers(0)]


def test_trace_refuses_two_outputs() -> None:
    """A block with two outputs is refused."""
    with pytest.raises(TypeError, match="expected a block with one output"):
        graph(lambda F, x, a, b: (a(x), b(x)))


def test_recorded_graph_is_what_ran() -> None:
    """What autograd recorded is the traced graph, parameters aside."""
    net = Block(lambda F, x, a, b: F.relu(a(x)) + x)
    net.initialize()
    net.a(mx.nd.zeros(SHAPE))
    images = mx.nd.zeros(SHAPE)
    images.attach_grad()
    with mx.autograd.record():
        recorded = recorded_graph(net(images))
    assert ["Convolution", "Activation", "add"] == [node.operator for node in recorded.nodes]
