"""AlexNet, VGG, ResNet and DenseNet for MXNet 1.9 Gluon, written to be read beside the papers.

>>> net = resnet50(classes=10)
"""

import sys
from importlib import import_module

try:
    import_module("reference.runtime.mxnet_compat")
except ImportError as error:
    # While Python locates the module of `python -m`, argv[0] is "-m": a command answers with one line.
    if sys.argv[:1] == ["-m"]:
        raise SystemExit(str(error)) from None
    raise

from reference.networks.alexnet import AlexNet, alexnet
from reference.networks.densenet import DenseNet, densenet121, densenet161, densenet169, densenet201
from reference.networks.registry import get_model, list_models
from reference.networks.resnet import ResNet, resnet50, resnet101, resnet152
from reference.networks.vgg import VGG, vgg11, vgg13, vgg16, vgg19
from reference.runtime.devices import try_gpu

__all__ = [
    "VGG",
    "AlexNet",
    "DenseNet",
    "ResNet",
    "alexnet",
    "densenet121",
    "densenet161",
    "densenet169",
    "densenet201",
    "get_model",
    "list_models",
    "resnet50",
    "resnet101",
    "resnet152",
    "try_gpu",
    "vgg11",
    "vgg13",
    "vgg16",
    "vgg19",
]
