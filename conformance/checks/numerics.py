"""The numbers behind training: precision, accumulated gradients, and gradients that are derivatives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.contract.check import Check, one_of_a_family
from conformance.contract.measurement import Measurement, note
from conformance.contract.outcomes import SHOWN, Problem, Vacuous, owner, refuse
from conformance.contract.tolerances import ACCUMULATED, DERIVATIVE, FLOAT32_LAYERS
from conformance.tensors.comparison import compare

if TYPE_CHECKING:
    from conformance.experiments.numerics import Numerics

CAST = "https://mxnet.apache.org/versions/1.9.1/api/python/docs/api/gluon/block.html#mxnet.gluon.Block.cast"
ADD = "https://mxnet.apache.org/versions/1.9.1/api/python/docs/api/gluon/parameter.html#mxnet.gluon.Parameter.grad_req"
DEFINITION = "definition of the gradient: central difference, error O(h**2)"


def check_float64(numerics: Numerics) -> None:
    """Cast to float64, every operator computes in float64, and gives what float32 gives up to rounding.

    An operator of another type hides a cast, such as half precision inside; a layer whose values differ by more
    than float32's rounding loses precision or depends on the type. The first line names the first such layer.
    """
    refuse(numerics.other_types())
    problems: list[Problem] = []
    compared = 0
    for path, expected, actual in numerics.layers_in_two_precisions():
        name, bound = f"float32 against float64: {path}", FLOAT32_LAYERS
        problems += compare(name, expected, actual, bound.bound, bound.provenance, place=path)
        compared += 1
    if not compared:
        raise Vacuous("no layer was compared")
    refuse(problems[:SHOWN])


def check_gradients_accumulate(numerics: Numerics) -> None:
    """With grad_req='add', two equal backwards give twice the gradient of one.

    oneDNN gives it bit for bit; MXNet's own convolution adds each sample to the sum, which rounds otherwise.
    Large batches are trained in parts this way. A gradient that is written instead of added loses all parts
    but the last; one that is added where it should be written grows from step to step.
    """
    problems, compared, bound = list[Problem](), 0, ACCUMULATED
    for name, expected, actual in numerics.accumulated_gradients():
        compared += 1
        what = f"gradient of {name} after two backwards"
        problems += compare(what, expected, actual, bound.bound, bound.provenance, place=owner(name))
    if not compared:
        raise Vacuous("the network has no gradient")
    refuse(problems)


def check_derivative(numerics: Numerics) -> None:
    """The gradient is the derivative of the loss: backward's slope equals a finite difference in float64.

    All parameters move together, each along its own gradient. A gradient that is scaled, blocked or has the
    wrong sign anywhere changes the sum; the parameter nearest the loss at which it is wrong is then searched. A
    relu or a maximum that bends between its two points spoils a difference, so it must be wrong for three distances
    and two batches.
    """
    for slope in numerics.slopes():
        names = list(slope.parameters)
        if not names:
            raise Vacuous("the network has no gradient")
        expected, actual = slope.of(names, DERIVATIVE.bound)
        what, bound = f"slope of the loss along {len(names)} gradients", DERIVATIVE
        note(Measurement(what, abs(expected - actual), bound.bound * actual, bound.provenance, scale=actual))
        if abs(expected - actual) <= DERIVATIVE.bound * actual:
            return
    name = slope.nearest_the_loss(DERIVATIVE.bound)
    text = (
        f"slope of the loss along all gradients: expected {expected:.9g} (finite difference), actual {actual:.9g} "
        f"(backward), allowed {DERIVATIVE.bound * actual:.3g} ({DERIVATIVE.provenance}); "
        f"nearest the loss: gradient of {name}"
    )
    refuse([Problem(text, owner(name))])


CHECKS = (
    Check(check_float64, CAST, unless=one_of_a_family),
    Check(check_gradients_accumulate, ADD, unless=one_of_a_family),
    Check(check_derivative, DEFINITION, unless=one_of_a_family),
)
