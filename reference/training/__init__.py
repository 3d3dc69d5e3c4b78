"""Training as a library: the loop and its steps, recipes, and what an epoch gives.

>>> for metrics in fit(alexnet(classes=10), Examples(images, labels), Examples(*test), recipe=REFERENCE):
...     print(metrics.epoch, metrics.loss, metrics.test_accuracy)
"""

from reference.training.batches import Examples
from reference.training.loop import evaluate, fit, predictions, train_step
from reference.training.metrics import Divergence, EpochMetrics, Metrics, StepOutput
from reference.training.recipes import ARTICLE, RECIPES, REFERENCE, Recipe
from reference.training.state import Progress, begin, new_trainer

__all__ = [
    "ARTICLE",
    "RECIPES",
    "REFERENCE",
    "Divergence",
    "EpochMetrics",
    "Examples",
    "Metrics",
    "Progress",
    "Recipe",
    "StepOutput",
    "begin",
    "evaluate",
    "fit",
    "new_trainer",
    "predictions",
    "train_step",
]
