"""The commands of ``python -m reference`` that train a network and use what was trained."""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from reference.commands.curves import write_curves
from reference.commands.options import contexts, minutes, seed, size
from reference.data.batch_buffers import InputArrays
from reference.data.fashion_mnist import FashionMNIST, Labelled, export, find, read_picture
from reference.data.idx import CLASS_NAMES
from reference.networks.registry import get_model, list_models
from reference.runtime.mxnet_compat import mx
from reference.training import checkpoints, predictions
from reference.training.batches import Examples
from reference.training.devices import start_mixed_precision
from reference.training.metrics import Divergence, EpochMetrics
from reference.training.recipes import RECIPES, Recipe
from reference.training.runs import Run, Setting
from reference.training.workers import KINDS, Workers, joined


def add_commands(commands: Any) -> None:
    """Add train, evaluate, predict and data to the parser."""
    train = commands.add_parser("train", help="train a network on Fashion-MNIST", allow_abbrev=False)
    train.set_defaults(show=_train)
    train.add_argument("name", metavar="NAME", help=f"one of {', '.join(list_models())}")
    train.add_argument("--recipe", choices=RECIPES, default="reference", help="default: reference")
    train.add_argument("--epochs", type=size, metavar="N", help="default: the recipe's")
    train.add_argument("--batch-size", type=size, metavar="N", help="images in a step, default: the recipe's")
    train.add_argument("--channels", type=size, metavar="N", help="equal channels of an image, default: the recipe's")
    train.add_argument("--image-size", type=size, default=224, metavar="N", help="pixels, default: 224")
    train.add_argument("--seed", type=seed, default=0, metavar="N", help="of all that is random, default: 0")
    train.add_argument("--output", type=Path, metavar="DIR", help="folder of the run, default: runs/NAME-RECIPE")
    train.add_argument("--resume", action="store_true", help="go on from the last checkpoint in the folder")
    train.add_argument("--checkpoint-minutes", type=minutes, default=10.0, metavar="N", help="between two, default: 10")
    train.add_argument("--kvstore", choices=KINDS, default=KINDS[0], help="dist_...: with other workers, see README")
    train.add_argument("--amp", action="store_true", help="mixed precision, on a GPU")
    evaluate = commands.add_parser("evaluate", help="show what a checkpoint gets right", allow_abbrev=False)
    evaluate.set_defaults(show=_evaluate)
    predict = commands.add_parser("predict", help="classify image files with a checkpoint", allow_abbrev=False)
    predict.set_defaults(show=_predict)
    for command in (evaluate, predict):
        command.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="a file, or the folder of a run")
    predict.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="an image file, light on dark")
    predict.add_argument("--top", type=size, default=3, metavar="N", help="classes to show, default: 3")
    for command in (train, evaluate):
        command.add_argument("--limit", type=size, metavar="N", help="use the first N images of each split only")
        command.add_argument("--data", type=Path, metavar="DIR", help="folder of Fashion-MNIST, default: looked for")
    for command in (train, evaluate, predict):
        command.add_argument("--ctx", default="auto", metavar="auto|cpu|gpu[:I,J]", help="devices, default: auto")
    data = commands.add_parser("data", help="export Fashion-MNIST as image folders", allow_abbrev=False)
    data.set_defaults(show=_export)
    data.add_argument("action", choices=["export"], help="what to do")
    data.add_argument("folder", type=Path, metavar="DIR", help="a new or empty folder")
    data.add_argument("--data", type=Path, metavar="DIR", help="folder of Fashion-MNIST, default: looked for")


def _warn(line: str) -> None:
    print(f"warning: {line}", file=sys.stderr, flush=True)


def _found(arguments: argparse.Namespace) -> FashionMNIST:
    data = find(arguments.data)
    if data.warning:
        _warn(data.warning)
    return data


def _examples(found: Labelled, limit: int | None, prepare: InputArrays, part: tuple[int, int] = (0, 1)) -> Examples:
    images, labels = found
    return Examples(images[:limit], labels[:limit], prepare, part)


def _recipe(arguments: argparse.Namespace) -> Recipe:
    chosen = {name: getattr(arguments, name) for name in ("epochs", "batch_size", "channels")}
    chosen["mixed_precision"] = arguments.amp or None
    return replace(RECIPES[arguments.recipe], **{name: value for name, value in chosen.items() if value is not None})


def _require_images_for_all(images: int, batch_size: int, workers: int, devices: int) -> None:
    last = images % batch_size or batch_size
    if last // workers < devices:
        raise ValueError(
            f"--batch-size {batch_size}: the last batch has {last} of the {images} images, and each of {devices} "
            f"devices of {workers} workers needs one"
        )


def _train(arguments: argparse.Namespace) -> Iterator[Any]:
    """Train, a line an epoch; then draw the curves."""
    recipe, devices = _recipe(arguments), contexts(arguments.ctx)
    if recipe.mixed_precision:
        if devices[0].device_type != "gpu":
            raise ValueError(f"--amp: mixed precision needs a GPU, and this would train on {devices[0]}")
        start_mixed_precision()
    net = get_model(arguments.name, classes=len(CLASS_NAMES))
    net.check_input((1, recipe.channels, arguments.image_size, arguments.image_size))
    net.hybridize(static_alloc=True)
    folder = arguments.output or Path("runs") / f"{arguments.name}-{arguments.recipe}"
    with joined(arguments.kvstore, lambda: f"; last checkpoint: {checkpoints.last(folder) or 'none'}") as workers:
        for shown in _trained(arguments, net, recipe, folder, devices, workers):
            if workers.rank == 0:
                yield shown


def _trained(
    arguments: argparse.Namespace, net: Any, recipe: Recipe, folder: Path, devices: list[Any], workers: Workers
) -> Iterator[Any]:
    """Train as one of the workers; see `_train`."""
    data, part = _found(arguments), (workers.rank, workers.size)
    prepare = InputArrays(arguments.image_size, recipe.channels)
    parts = [_examples(found, arguments.limit, prepare, part) for found in (data.train, data.test)]
    _require_images_for_all(len(parts[0]), recipe.batch_size, workers.size, len(devices))
    total = hashlib.sha256(b"".join(array.tobytes() for part in parts for array in (part.images, part.labels)))
    setting = Setting(arguments.name, len(CLASS_NAMES), arguments.image_size, recipe, arguments.seed, total.hexdigest())
    run = Run(net, setting, folder, devices, _warn, arguments.checkpoint_minutes, workers=workers)
    progress = run.start(resume=arguments.resume)
    where = ", ".join(map(str, devices)) + (f" of {workers.size} workers" if workers.size > 1 else "")
    what = f"{len(parts[0])} images from {data.place}, recipe {arguments.recipe}"
    yield f"{arguments.name} on {where}, {what}, to {folder}"
    columns = (TextColumn("epoch {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = not arguments.console.is_terminal or workers.rank > 0
    with Progress(*columns, transient=True, console=arguments.console, disable=hidden) as bar:
        task = bar.add_task("1", total=-(-len(parts[0]) // recipe.batch_size))
        run.after_step = lambda now: bar.update(task, completed=now.step, description=str(now.epoch))
        try:
            for metrics in run.epochs(progress, *parts):
                yield _line(metrics)
        except Divergence as error:
            raise Divergence(f"{error}; last checkpoint: {run.saved or 'none'}") from None
    if workers.rank == 0:
        yield from write_curves(run.history, folder)


def _line(metrics: EpochMetrics) -> str:
    """An epoch as the article prints it, with test accuracy and images a second."""
    return (
        f"epoch {metrics.epoch}, lr {metrics.learning_rate:g}, loss {metrics.loss:.4f}, "
        f"train acc {metrics.train_accuracy:.4f}, test acc {metrics.test_accuracy:.4f}, "
        f"time {metrics.seconds:.1f} sec, {metrics.images_per_second:.1f} images/sec"
    )


def _restored(path: Path, devices: list[Any]) -> tuple[Any, int, int]:
    """Return a checkpoint's network, its image size and its number of channels."""
    checkpoint = None
    if path.is_dir():
        checkpoint, warnings = checkpoints.latest(path)
        for warning in warnings:
            _warn(warning)
        if checkpoint is None:
            raise ValueError(f"{path}: no whole checkpoint is there")
    checkpoint = checkpoint or checkpoints.read(path)
    net = get_model(checkpoint.identity["network"], classes=int(checkpoint.identity["classes"]))
    checkpoints.apply_parameters(checkpoint, net, devices)
    net.hybridize()
    return net, int(checkpoint.identity["image_size"]), int(checkpoint.identity["recipe.channels"])


def _evaluate(arguments: argparse.Namespace) -> Iterator[Any]:
    """Show accuracy, accuracy by class and the confusion matrix on the test images."""
    net, image_size, channels = _restored(arguments.checkpoint, contexts(arguments.ctx))
    test = _examples(_found(arguments).test, arguments.limit, InputArrays(image_size, channels))
    counts = np.zeros((len(CLASS_NAMES), len(CLASS_NAMES)), np.int64)
    for output, labels in predictions(net, test):
        np.add.at(counts, (labels, output.logits.asnumpy().argmax(1)), 1)
    yield f"test accuracy {counts.trace() / counts.sum():.4f} of {counts.sum()} images"
    table = Table("class", "accuracy", *map(str, range(len(CLASS_NAMES))), title="rows: true class, columns: predicted")
    for label, (name, row) in enumerate(zip(CLASS_NAMES, counts, strict=True)):
        accuracy = f"{row[label] / row.sum():.4f}" if row.sum() else "-"
        table.add_row(f"{label} {name}", accuracy, *map(str, row))
    yield table


def _predict(arguments: argparse.Namespace) -> Iterator[Any]:
    """Show the likeliest classes of each image with their probabilities."""
    devices = contexts(arguments.ctx)
    net, image_size, channels = _restored(arguments.checkpoint, devices)
    prepare = InputArrays(image_size, channels)
    for path in arguments.images:
        image = prepare(read_picture(path, size=None)[np.newaxis])
        probabilities = mx.nd.softmax(net(image.as_in_context(devices[0])))[0].asnumpy()
        best = np.argsort(-probabilities)[: arguments.top]
        yield f"{path}: " + ", ".join(f"{CLASS_NAMES[label]} {probabilities[label]:.4f}" for label in best)


def _export(arguments: argparse.Namespace) -> Iterator[Any]:
    """Write image folders."""
    yield from export(_found(arguments), arguments.folder)
