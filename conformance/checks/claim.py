"""A claim computes what the reference computes: same weights in matching nodes, same images, same bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.contract.check import CLAIMS, Check
from conformance.contract.measurement import Measurement, note
from conformance.contract.outcomes import SHOWN, Answer, Problem, Refused, Vacuous, refuse
from conformance.graphs.matching import differences
from conformance.tensors.comparison import compare

if TYPE_CHECKING:
    from conformance.experiments.claim import Claim

SOURCE = "README, section 'Check your own implementation'"


def _require_pairs(claim: Claim) -> None:
    """Numbers can be compared where every node has its partner only."""
    found = differences(claim.expected, claim.graph, limit=1)
    if found:
        refuse([Problem(f"weights cannot be matched, as the networks differ: {found[0]}", found[0].place)])


def check_node_outputs(claim: Claim) -> None:
    """Every node of the claim gives the reference's output in predict mode, at full size.

    Bit for bit, or within a measured bound where the claim nests its concats differently or another engine runs it.
    The first line is the first layer, in graph order, that computes something else. A port gets weights with which
    another epsilon of a BatchNorm shows, too.
    """
    _require_pairs(claim)
    bound, problems, compared = claim.bound, list[Problem](), 0
    for twin, expected, actual in claim.outputs():
        problems += compare(f"{twin}", expected, actual, *bound, place=twin.place)
        compared += 1
    if not compared:
        raise Vacuous("no node was compared")
    refuse(problems[:SHOWN])


def check_predictions(claim: Claim) -> Answer:
    """The claim predicts for every image what the reference predicts with the same weights.

    With ``--weights`` they are the user's own, and a port must have brought the same; else a port's weights are given
    to the reference. ``--images`` names a folder of images. A prediction that changes is named with its image, and the
    first layer that differs for the image that differs most.
    """
    _require_pairs(claim)
    found = list(claim.predictions())
    if not found:
        raise Vacuous("no image was predicted")
    (bound, provenance), changed = claim.bound, [each for each in found if each.changed]
    worst = max(found, key=lambda each: each.difference)
    what = f"logits of {len(found)} images"
    note(Measurement(what, worst.difference, bound * worst.scale, provenance or "bit for bit", scale=worst.scale))
    text = (
        f"{len(changed)} of {len(found)} top-1 predictions change; largest difference of a logit "
        f"{worst.difference:.3g}, where the largest logit is {max(each.scale for each in found):.3g}"
    )
    beyond = any(each.difference > bound * each.scale for each in found)
    layers = [*claim.first_differing_layer(worst)] if beyond or changed or claim.brings_weights else []
    if not (beyond or changed or layers):
        return Answer(text)
    named = [f"{each.name}: expected class {each.expected}, actual {each.actual}" for each in changed[:SHOWN]]
    allowed = f"allowed {bound * worst.scale:.3g} ({provenance})" if bound else "allowed 0 (bit for bit)"
    raise Refused([*layers, f"{text}; {allowed}", *named])


def check_training(claim: Claim) -> None:
    """Three training steps of the claim give the reference's logits, gradients, statistics and parameters.

    Bit for bit in float32. Where the claim nests its concats differently, gradients are summed in another order:
    both are then run in float64 and held to a measured bound, as float32 training amplifies rounding. A port runs one
    step in float64, without dropout, and is held to a measured bound, too; its gradients come from the output on, so
    the first that is named is where it starts.
    """
    _require_pairs(claim)
    refuse(claim.training_differences())


FUNCTIONS = (check_node_outputs, check_predictions, check_training)
CHECKS = tuple(Check(function, SOURCE, kinds=CLAIMS) for function in FUNCTIONS)
