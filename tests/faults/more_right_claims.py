"""More right networks: other ways to divide them into blocks, without blocks at all, and Gluon's own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from reference import get_model
from reference.runtime.mxnet_compat import HybridBlock, mx
from right_claims import AlexNet, Convolution, DenseNet121, Linear, ResNet50

nn = mx.gluon.nn
contrib = mx.gluon.contrib.nn
VGG11 = ((64, 1), (128, 1), (256, 2), (512, 2), (512, 2))
STAGES = ((256, 3), (512, 4), (1024, 6), (2048, 3))


class Flat(HybridBlock):
    """ResNet-50 as one block without children: every parameter by hand, all in functional style."""

    def __init__(self, classes: int) -> None:
        """Create the parameters, with no values yet."""
        super().__init__()
        self.classes = classes
        self.plan: list[tuple[str, int, int, int]] = [("stem", 64, 7, 2)]
        for stage, (width, depth) in enumerate(((256, 3), (512, 4), (1024, 6), (2048, 3))):
            for place in range(depth):
                stride, name = (2 if stage and not place else 1), f"s{stage}b{place}"
                self.plan += [(f"{name}c", width, 1, 1), (f"{name}b", width // 4, 3, 1)]
                self.plan.append((f"{name}a", width // 4, 1, stride))
                if not place:
                    self.plan.append((f"{name}p", width, 1, stride))
        with self.name_scope():
            for name, filters, size, _ in self.plan:
                shapes = {"w": (filters, 0, size, size), "b": (filters,), "g": (filters,), "h": (filters,)}
                for kind, shape in shapes.items():
                    init = {"w": None, "g": "ones"}.get(kind, "zeros")
                    self._own(f"{name}_{kind}", shape, init)
                self._own(f"{name}_m", (filters,), "zeros", differentiable=False)
                self._own(f"{name}_v", (filters,), "ones", differentiable=False)
            self._own("out_w", (classes, 0), None)
            self._own("out_b", (classes,), "zeros")

    def _own(self, name: str, shape: tuple[int, ...], init: Any, **settings: Any) -> None:
        setattr(self, name, self.params.get(name, shape=shape, init=init, allow_deferred_init=True, **settings))

    def hybrid_forward(self, F: Any, x: Any, **p: Any) -> Any:
        """Map images (N, C, H, W) to logits (N, classes)."""
        sizes = {name: (filters, size, stride) for name, filters, size, stride in self.plan}

        def layer(name: str, x: Any) -> Any:
            filters, size, stride = sizes[name]
            x = F.Convolution(
                x, p[f"{name}_w"], p[f"{name}_b"], num_filter=filters, kernel=(size, size), stride=(stride, stride),
                pad=(size // 2, size // 2),
            )  # fmt: skip
            statistics = [p[f"{name}_{kind}"] for kind in "ghmv"]
            return F.BatchNorm(x, *statistics, eps=1e-5, momentum=0.9, fix_gamma=False)

        x = F.Pooling(F.relu(layer("stem", x)), kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="max")
        for name in [name.removesuffix("c") for name, *_ in self.plan if name.endswith("c")]:
            body = layer(f"{name}c", F.relu(layer(f"{name}b", F.relu(layer(f"{name}a", x)))))
            x = F.relu(F.elemwise_add(body, layer(f"{name}p", x) if f"{name}p" in sizes else x))
        x = F.Pooling(x, global_pool=True, pool_type="avg", kernel=(1, 1))
        return F.FullyConnected(x, p["out_w"], p["out_b"], num_hidden=self.classes)


class FunctionalVGG(HybridBlock):
    """VGG-11 whose poolings, activations and dropouts are all functions."""

    def __init__(self, classes: int) -> None:
        """Create the layers, with no weights yet."""
        super().__init__(prefix="v_")
        with self.name_scope():
            self.head = nn.HybridSequential()
            self.head.add(Linear(classes), Linear(4096), Linear(4096))
            self.groups = nn.HybridSequential()
            for filters, depth in reversed(VGG11):
                group = nn.HybridSequential()
                group.add(*(Convolution(filters, 3, pad=1) for _ in range(depth)))
                self.groups.add(group)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Map images (N, C, H, W) to logits (N, classes)."""
        for group in reversed([self.groups[place] for place in range(5)]):
            for convolution in group:
                x = F.relu(convolution(x))
            x = F.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="max", pooling_convention="valid")
        x = F.reshape(x, shape=(0, -1))
        for hidden in (self.head[1], self.head[2]):
            x = F.Dropout(F.Activation(hidden(x), "relu"), p=0.5, mode="training")
        return self.head[0](x)


def nested_vgg(classes: int) -> Any:
    """Return VGG-11 as sequences of sequences, with activations of their own."""
    net = nn.HybridSequential(prefix="nested_")
    with net.name_scope():
        for filters, depth in VGG11:
            group = nn.HybridSequential()
            for _ in range(depth):
                layer = nn.HybridSequential()
                layer.add(nn.Conv2D(filters, (3, 3), (1, 1), (1, 1)), nn.Activation("relu"))
                group.add(layer)
            group.add(nn.MaxPool2D((2, 2)))
            net.add(group)
        net.add(nn.Flatten())
        for _ in range(2):
            dense = nn.HybridSequential()
            dense.add(nn.Dense(4096, flatten=False), nn.Activation("relu"), nn.Dropout(0.5))
            net.add(dense)
        net.add(nn.Dense(classes))
    return net


class Summed(HybridBlock):
    """The rectified sum of branches, in the order they are given."""

    def __init__(self, *branches: Any) -> None:
        """Keep the branches."""
        super().__init__()
        for place, branch in enumerate(branches):
            self.register_child(branch, str(place))

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Run all, then add."""
        return F.relu(F.add_n(*(branch(x) for branch in self._children.values())))


def sequence(*blocks: Any) -> Any:
    """Return blocks in a row."""
    row = nn.HybridSequential()
    row.add(*blocks)
    return row


def summed_resnet(classes: int, known: bool = False) -> Any:
    """Return ResNet-50 made of sums of branches; `known` tells every layer but the first what enters it."""

    def conv(filters: int, inputs: int, size: int, stride: int = 1, pad: int = 0) -> list[Any]:
        inputs = inputs if known else 0
        return [
            nn.Conv2D(filters, size, stride, pad, in_channels=inputs),
            nn.BatchNorm(in_channels=filters if known else 0),
        ]

    relu = partial(nn.Activation, "relu")
    net = sequence(nn.Conv2D(64, 7, 2, 3), nn.BatchNorm(), relu(), nn.MaxPool2D(3, 2, 1))
    inputs = 64
    for stage, (width, depth) in enumerate(STAGES):
        for place in range(depth):
            stride, inner = (2 if stage and not place else 1), width // 4
            body = sequence(
                *conv(inner, inputs, 1, stride), relu(), *conv(inner, inner, 3, pad=1), relu(), *conv(width, inner, 1)
            )
            shortcut = contrib.Identity() if place else sequence(*conv(width, inputs, 1, stride))
            net.add(Summed(shortcut, body) if stage % 2 else Summed(body, shortcut))
            inputs = width
    net.add(nn.GlobalAvgPool2D(), nn.Dense(classes, in_units=inputs if known else 0))
    return net


def concurrent_densenet(classes: int) -> Any:
    """Return DenseNet-121 of concurrent branches, new features first."""

    def conv(filters: int, size: int) -> list[Any]:
        return [nn.BatchNorm(), nn.Activation("relu"), nn.Conv2D(filters, size, padding=size // 2)]

    net = sequence(nn.Conv2D(64, 7, 2, 3), nn.BatchNorm(), nn.Activation("relu"), nn.MaxPool2D(3, 2, 1))
    for depth, channels in ((6, 128), (12, 256), (24, 512), (16, 0)):
        for _ in range(depth):
            layer = contrib.HybridConcurrent(axis=1)
            layer.add(sequence(*conv(128, 1), *conv(32, 3)), contrib.Identity())
            net.add(layer)
        if channels:
            net.add(*conv(channels, 1), nn.AvgPool2D(2))
    net.add(nn.BatchNorm(), nn.Activation("relu"), nn.GlobalAvgPool2D(), nn.Dense(classes))
    return net


def hybridized_at_birth(classes: int) -> Any:
    """Return the reference's ResNet-50, hybridized by the one who made it."""
    net = get_model("resnet50", classes=classes)
    net.hybridize(static_alloc=True)
    return net


def zoo(name: str, classes: int) -> Any:
    """Return a network of Gluon's model zoo."""
    return mx.gluon.model_zoo.vision.get_model(name, classes=classes)


#: What it is -> the network that it claims to be, and what builds it.
RIGHT: dict[str, tuple[str, Callable[..., Any]]] = {
    "other layers": ("resnet50", ResNet50),
    "one block": ("resnet50", Flat),
    "sums of branches": ("resnet50", summed_resnet),
    "known channels": ("resnet50", partial(summed_resnet, known=True)),
    "hybridized at birth": ("resnet50", hybridized_at_birth),
    "flat concats": ("densenet121", DenseNet121),
    "concurrent branches": ("densenet121", concurrent_densenet),
    "functional AlexNet": ("alexnet", AlexNet),
    "AlexNet of the model zoo": ("alexnet", partial(zoo, "alexnet")),
    "functional VGG": ("vgg11", FunctionalVGG),
    "nested VGG": ("vgg11", nested_vgg),
}
#: Networks of the model zoo that are not the same: claimed network, zoo's name, what must be said.
DEPARTURES = (
    ("resnet50", "resnet50_v1", "no_bias expected False, actual True"),
    ("densenet121", "densenet121", "no_bias expected False, actual True"),
    ("vgg11", "vgg11", "expected init"),
    ("alexnet", "vgg11", "kernel expected (11, 11), actual (3, 3)"),
)
