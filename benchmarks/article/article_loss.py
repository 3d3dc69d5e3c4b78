"""Why the article's first epoch has a loss of 886, and what its second step means for later epochs.

``python benchmarks/article/article_loss.py update`` makes the first step of AlexNet at full size and tries what it did
to the weights with its signs mixed up. ``first`` follows the first steps of AlexNet at full size under the article's
recipe and under changes of it. ``memory`` follows Adam's second moments after the second step, and ``epochs`` over
whole epochs; ``rising`` follows epochs of a good recipe whose rate grows. All print Markdown;
docs/results/article-loss.md has it, with what follows from it.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from probing import Step, first_steps, mixed_up
from reference.data import to_images
from reference.data.fashion_mnist import find
from reference.training.batches import Examples
from reference.training.recipes import ARTICLE, REFERENCE, Recipe, StepDecay
from watching import FORGETTING, Epoch, epochs_of

STEPS_OF_AN_EPOCH = 469
"""60,000 images in batches of 128."""

HE = replace(ARTICLE, initializer=REFERENCE.initializer, initializer_settings=REFERENCE.initializer_settings)
WARM_UP = 100

RISING = replace(REFERENCE, schedule=StepDecay(FORGETTING ** (-STEPS_OF_AN_EPOCH / 2), every=1))
"""A rate that is good at first, and grows from epoch to epoch as forgetting lets the article's grow."""

#: What the first steps are tried with: a recipe, and the steps over which its rate rises from nearly 0.
FIRST: dict[str, tuple[Recipe, int]] = {
    "the article: rate 0.01, weights Normal(0.01)": (ARTICLE, 0),
    "rate 0.001": (replace(ARTICLE, learning_rate=0.001), 0),
    f"rate 0.01, reached in {WARM_UP} steps": (ARTICLE, WARM_UP),
    "weights of He et al.": (HE, 0),
}


def table_of_steps(steps: Sequence[Step], shown: Sequence[int]) -> Iterator[str]:
    """Yield a Markdown table of some steps."""
    yield "| step | loss | largest logit | dead units, layer by layer, % | change of weights, layer by layer |"
    yield "| --- " * 5 + "|"
    for number in shown:
        step = steps[number - 1]
        update = " ".join(f"{step.update[name]:.2g}" for name in step.dead)
        yield f"| {number} | {step.loss:.4g} | {step.logit:.3g} | {percent(step.dead)} | {update} |"


def chosen(only: Sequence[int] | None) -> list[tuple[str, tuple[Recipe, int]]]:
    """Return the recipes of some numbers, the first being 1, or all."""
    return [pair for number, pair in enumerate(FIRST.items(), 1) if not only or number in only]


def chosen_images(arguments: argparse.Namespace) -> Examples:
    """Return the training images that were asked for, in the size that was."""
    images, labels = (array[: arguments.images] for array in find(arguments.data).train)
    return Examples(images, labels, partial(to_images, size=arguments.image_size))


def report_first(arguments: argparse.Namespace) -> Iterator[str]:
    """Yield what the first steps show, recipe by recipe."""
    data = chosen_images(arguments)
    for name, (recipe, warm_up) in chosen(arguments.only):
        recipe = replace(recipe, batch_size=arguments.batch_size)
        steps = first_steps(recipe, warm_up, arguments.image_size, arguments.steps, data)
        total = sum(step.loss for step in steps)
        highest = max(range(len(steps)), key=lambda place: steps[place].loss)
        yield f"\n### {name}: batches of {arguments.batch_size}, {arguments.image_size}x{arguments.image_size}\n"
        shown = sorted({*(n for n in (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 40) if n <= len(steps)), highest + 1})
        yield from table_of_steps(steps, shown)
        yield (
            f"\nSum of the losses of {len(steps)} steps: {total:.4g}; by themselves they give an epoch of "
            f"{STEPS_OF_AN_EPOCH} steps a mean loss of {total / STEPS_OF_AN_EPOCH:.4g}."
        )


def report_update(arguments: argparse.Namespace) -> Iterator[str]:
    """Yield what the first update does, for several seeds."""
    data = chosen_images(arguments)
    yield "| seed | loss of the second batch before the first update | after it | after it, divided by 469 | mixed up |"
    yield "| --- " * 5 + "|"
    for seed in range(arguments.seeds):
        recipe = replace(ARTICLE, batch_size=arguments.batch_size)
        before, after, mixed = mixed_up(recipe, arguments.image_size, seed, data)
        yield f"| {seed} | {before:.4g} | {after:.4g} | {after / STEPS_OF_AN_EPOCH:.0f} | {mixed:.4g} |"


def report_memory(arguments: argparse.Namespace) -> Iterator[str]:
    """Yield how long Adam remembers the second step's gradients, and how that holds its updates back."""
    data = chosen_images(arguments)
    recipe = replace(ARTICLE, batch_size=arguments.batch_size)
    steps = first_steps(recipe, 0, arguments.image_size, arguments.steps, data)
    first = max(1, arguments.steps // 6)
    yield "| step | loss | second moments, of those in the first row | 0.999 to the steps since then | brake |"
    yield "| --- " * 5 + "|"
    for number in range(first, arguments.steps + 1, first):
        step, start = steps[number - 1], steps[first - 1]
        kept = " ".join(f"{step.square[name] / start.square[name]:.3f}" for name in step.square)
        brake = " ".join(f"{value:.2g}" for value in step.brake.values())
        yield f"| {number} | {step.loss:.4g} | {kept} | {FORGETTING ** (number - first):.3f} | {brake} |"


def report_epochs(arguments: argparse.Namespace, recipe: Recipe = ARTICLE) -> Iterator[str]:
    """Yield what every epoch of a run gives, and what Adam remembers after it."""
    recipe = replace(recipe, batch_size=arguments.batch_size, epochs=arguments.epochs)
    yield "| epoch | rate | loss | accuracy | dead units, layer by layer, % | second moments, of those before | brake |"
    yield "| --- " * 7 + "|"
    before: Epoch | None = None
    for epoch in epochs_of(recipe, arguments.image_size, arguments.seed, chosen_images(arguments)):
        kept = "" if before is None else " ".join(f"{epoch.square[n] / before.square[n]:.2f}" for n in epoch.square)
        brake = " ".join(f"{value:.2g}" for value in epoch.brake.values())
        number, rate, loss, accuracy = epoch.metrics[:4]
        yield f"| {number} | {rate:.2g} | {loss:.4g} | {accuracy:.3f} | {percent(epoch.dead)} | {kept} | {brake} |"
        before = epoch


def percent(shares: Mapping[str, float]) -> str:
    """Return shares in whole percent, in their order; 100 is said of all only."""
    return " ".join(str(math.floor(100 * share)) for share in shares.values())


REPORTS: dict[str, Callable[[argparse.Namespace], Iterator[str]]] = {
    "update": report_update,
    "first": report_first,
    "memory": report_memory,
    "epochs": report_epochs,
    "rising": partial(report_epochs, recipe=RISING),
}


def main(argv: Sequence[str]) -> None:
    """Print one report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", choices=REPORTS)
    parser.add_argument("--batch-size", type=int, default=128, metavar="N", help="default: 128")
    parser.add_argument("--image-size", type=int, default=224, metavar="N", help="pixels, default: 224")
    parser.add_argument("--steps", type=int, default=10, metavar="N", help="of first and memory, default: 10")
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="of update, default: 5")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of epochs and rising, default: 0")
    parser.add_argument("--epochs", type=int, default=13, metavar="N", help="of epochs and rising, default: 13")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of Fashion-MNIST, default: looked for")
    parser.add_argument("--images", type=int, metavar="N", help="of the training images, default: all")
    parser.add_argument("--only", nargs="+", type=int, metavar="N", help="recipes by number, default: all")
    arguments = parser.parse_args(argv)
    for line in REPORTS[arguments.report](arguments):
        print(line, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
