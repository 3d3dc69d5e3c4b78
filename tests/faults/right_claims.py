"""Right networks, written as unlike the references as can be: own parameters, other names, layers and order."""

from __future__ import annotations

from typing import Any

from reference.runtime.mxnet_compat import HybridBlock, mx

nn = mx.gluon.nn


class Convolution(HybridBlock):
    """A convolution with its own parameters: (N, C, H, W) to (N, filters, H', W')."""

    def __init__(self, filters: int, size: int, stride: int = 1, pad: int = 0) -> None:
        """Create the parameters, with no values yet."""
        super().__init__()
        self.settings = {"num_filter": filters, "kernel": (size, size), "stride": (stride, stride), "pad": (pad, pad)}
        with self.name_scope():
            self.w = self.params.get("w", shape=(filters, 0, size, size), allow_deferred_init=True)
            self.b = self.params.get("b", shape=(filters,), init="zeros", allow_deferred_init=True)

    def hybrid_forward(self, F: Any, x: Any, w: Any, b: Any) -> Any:
        """Convolve."""
        return F.Convolution(data=x, weight=w, bias=b, **self.settings)


class Linear(HybridBlock):
    """A dense layer with its own parameters: (N, features) to (N, units)."""

    def __init__(self, units: int) -> None:
        """Create the parameters, with no values yet."""
        super().__init__()
        self.units = units
        with self.name_scope():
            self.b = self.params.get("b", shape=(units,), init="zeros", allow_deferred_init=True)
            self.w = self.params.get("w", shape=(units, 0), allow_deferred_init=True)

    def hybrid_forward(self, F: Any, x: Any, b: Any, w: Any) -> Any:
        """Multiply and add."""
        return F.FullyConnected(x, w, b, num_hidden=self.units, flatten=False)


class Residual(HybridBlock):
    """A bottleneck block that computes its shortcut first."""

    def __init__(self, width: int, stride: int, first: bool) -> None:
        """Create the layers, with no weights yet."""
        super().__init__()
        with self.name_scope():
            self.shortcut: Any = Convolution(width, 1, stride) if first else None
            self.shortcut_norm: Any = nn.BatchNorm() if first else None
            self.last, self.last_norm = Convolution(width, 1), nn.BatchNorm()
            self.middle, self.middle_norm = Convolution(width // 4, 3, pad=1), nn.BatchNorm()
            self.first, self.first_norm = Convolution(width // 4, 1, stride), nn.BatchNorm()

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Add the shortcut to the body."""
        short = F.identity(x) if self.shortcut is None else self.shortcut_norm(self.shortcut(x))
        x = F.relu(self.first_norm(self.first(x)))
        x = F.relu(self.middle_norm(self.middle(x)))
        return F.relu(F.broadcast_add(short, self.last_norm(self.last(x))))


class ResNet50(HybridBlock):
    """ResNet-50 in one list of blocks."""

    def __init__(self, classes: int) -> None:
        """Create the layers, with no weights yet."""
        super().__init__(prefix="mine_")
        with self.name_scope():
            self.classifier = Linear(classes)
            self.blocks = nn.HybridSequential()
            for stage, (width, depth) in enumerate(((256, 3), (512, 4), (1024, 6), (2048, 3))):
                for place in range(depth):
                    self.blocks.add(Residual(width, 2 if stage and not place else 1, not place))
            self.stem, self.stem_norm = Convolution(64, 7, 2, 3), nn.BatchNorm()

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Map images (N, C, H, W) to logits (N, classes)."""
        x = F.Activation(self.stem_norm(self.stem(x)), act_type="relu")
        x = self.blocks(F.Pooling(x, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="max"))
        return self.classifier(F.flatten(F.Pooling(x, global_pool=True, pool_type="avg", kernel=(7, 7))))


class DenseBlock(HybridBlock):
    """A dense block that concatenates everything before each layer at once."""

    def __init__(self, depth: int, growth_rate: int) -> None:
        """Create the layers, with no weights yet."""
        super().__init__()
        with self.name_scope():
            self.layers = [
                [nn.BatchNorm(), Convolution(4 * growth_rate, 1), nn.BatchNorm(), Convolution(growth_rate, 3, pad=1)]
                for _ in range(depth)
            ]
            for layer in self.layers:
                for block in layer:
                    self.register_child(block)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Put each layer's new features before all others."""
        features = [x]
        for norm, reduce, inner_norm, convolution in self.layers:
            seen = F.concat(*features, dim=1) if len(features) > 1 else x
            features.insert(0, convolution(F.relu(inner_norm(reduce(F.relu(norm(seen)))))))
        return F.Concat(*features, dim=1)


class DenseNet121(HybridBlock):
    """DenseNet-121 with flat concats and an average pool in the place of a global one."""

    def __init__(self, classes: int) -> None:
        """Create the layers, with no weights yet."""
        super().__init__()
        with self.name_scope():
            self.body = nn.HybridSequential()
            self.body.add(Convolution(64, 7, 2, 3), nn.BatchNorm(), nn.HybridLambda("relu"), nn.MaxPool2D(3, 2, 1))
            for depth, channels in ((6, 128), (12, 256), (24, 512), (16, 0)):
                self.body.add(DenseBlock(depth, 32), nn.BatchNorm(), nn.HybridLambda("relu"))
                if channels:
                    self.body.add(nn.Conv2D(channels, kernel_size=1), nn.AvgPool2D())
            self.body.add(nn.GlobalAvgPool2D())
            self.logits = nn.Dense(classes)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Map images (N, C, H, W) to logits (N, classes)."""
        return self.logits(self.body(x))


class AlexNet(HybridBlock):
    """AlexNet in functional style, flattened by hand."""

    CONVOLUTIONS = (
        (64, 11, 4, 2, True),
        (192, 5, 1, 2, True),
        (384, 3, 1, 1, False),
        (256, 3, 1, 1, False),
        (256, 3, 1, 1, True),
    )

    def __init__(self, classes: int) -> None:
        """Create the layers, with no weights yet."""
        super().__init__()
        with self.name_scope():
            self.dense = nn.HybridSequential()
            self.dense.add(Linear(4096), Linear(4096), Linear(classes))
            self.convolutions = nn.HybridSequential()
            for *convolution, _ in self.CONVOLUTIONS:
                self.convolutions.add(Convolution(*convolution))

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Map images (N, C, H, W) to logits (N, classes)."""
        for convolution, (*_, pooled) in zip(self.convolutions, self.CONVOLUTIONS, strict=True):
            x = F.relu(convolution(x))
            if pooled:
                x = F.Pooling(x, kernel=(3, 3), stride=(2, 2), pool_type="max")
        x = F.Flatten(x)
        for hidden in self.dense[:2]:
            x = F.Dropout(F.relu(hidden(x)), p=0.5)
        return self.dense[2](x)
