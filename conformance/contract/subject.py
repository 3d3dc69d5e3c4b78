"""Subjects: the blocks under test, with how to build and feed them, and how a command line names them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from conformance.contract.specification import SPECIFICATIONS, Specification

Kind = Literal["reference", "claim", "own"]
Build = str | Callable[..., Any]
ONNX = ".onnx"
"""How the name of a file ends that is a subject by itself."""


class RequestError(ValueError):
    """A request that cannot be carried out, said in one line (exit code 4)."""


@dataclass(frozen=True)
class Subject:
    """A block under test.

    A subject without ``build`` is the reference network of its name. One with ``build`` whose name (or
    ``architecture``) is a reference network claims to be that network, and one with ``reference`` claims to be
    what that builds. Any other is the user's own block.

    A port is a claim in another engine: an ONNX file, or a build function that returns a PyTorch module.

    Args:
        name: What reports call it, and its snapshot's file name: letters, digits, ``_``, ``.`` and ``-``.
        build: ``"package.module:attribute"`` or a callable that returns a new HybridBlock; a claim's is
            called as ``build(classes=N)``, an own block's without arguments. Or the path of an ONNX file.
        architecture: The network it claims to be, where the name does not say so.
        input_shape: ``(C, H, W)`` of one input of an own block, or of a claim with ``reference``.
        weights: A ``.params`` file whose trained weights the numeric checks use; a port must predict what the
            network that it claims to be predicts with them.
        images: A folder of image files, on which a claim's predictions are compared.
        reference: What builds the network it claims to be, where that is none of the 12; as ``build``.
        trainer: The training loop that the family `training` watches in the place of the reference's; as ``build``,
            and called as `conformance.experiments.training.loops.Loop` says.
        specification: That network's facts, where there are any; both are then built with ``classes=N``.
        expected_failures: Check id, or ``check-variant`` -> reason with a link; such a check must fail (strict).

    Raises:
        RequestError: If the parts do not fit together; the message names the remedy.
    """

    name: str
    build: Build | None = None
    architecture: str | None = None
    input_shape: tuple[int, ...] | None = None
    weights: Path | None = None
    images: Path | None = None
    reference: Build | None = None
    trainer: Build | None = None
    specification: Specification | None = None
    expected_failures: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that the parts fit together."""
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*", self.name):
            raise RequestError(f"subject name {self.name!r}: allowed are letters, digits, '_', '.' and '-'")
        free = self.input_shape is None and self.reference is None and self.specification is None
        if self.architecture is None and self.name in SPECIFICATIONS and free:
            object.__setattr__(self, "architecture", self.name)
        if self.architecture is not None and self.architecture not in SPECIFICATIONS:
            raise RequestError(f"architecture {self.architecture!r}: allowed are {', '.join(SPECIFICATIONS)}")
        if self.architecture is not None and self.specification is None:
            object.__setattr__(self, "specification", SPECIFICATIONS[self.architecture])
        if (self.build is None and self.architecture is None) or not (self.specification or self.input_shape):
            raise RequestError(
                f"subject {self.name!r} is not a reference network: name one of {', '.join(SPECIFICATIONS)}, "
                "or give your own block with its input, --subject NAME=package.module:attribute --input-shape C,H,W"
            )
        if self.input_shape is not None:
            check_input_shape(self.input_shape)
        if self.onnx_file is not None:
            self._check_onnx_file(self.onnx_file)
        own = (f"subject {self.name}", None if self.onnx_file else self.build)
        for what, build in (own, ("reference", self.reference), ("trainer", self.trainer)):
            if isinstance(build, str) and not re.fullmatch(r"[\w.]+:[\w.]+", build):
                raise RequestError(f"{what}={build}: expected {what.split()[-1]}=package.module:attribute")
        if self.weights is not None and not self.weights.is_file():
            raise RequestError(f"weights file {self.weights}: no such file")
        if self.images is not None and not self.images.is_dir():
            raise RequestError(f"--images {self.images}: no such folder")

    @property
    def onnx_file(self) -> Path | None:
        """The ONNX file that it is, if it is one."""
        return Path(self.build) if isinstance(self.build, str) and self.build.endswith(ONNX) else None

    def _check_onnx_file(self, path: Path) -> None:
        """Refuse a file that is not there or claims to be nothing."""
        if not path.is_file():
            raise RequestError(f"subject {self.name}={path}: no such file")
        if self.kind != "claim":
            raise RequestError(
                f"subject {self.name}={path}: an ONNX file has to claim to be a network: name one of "
                f"{', '.join(SPECIFICATIONS)}, or give --reference package.module:attribute"
            )

    @property
    def kind(self) -> Kind:
        """What may be asked of it: reference, claim or own."""
        if self.architecture is None and self.reference is None:
            return "own"
        return "reference" if self.build is None else "claim"

    @property
    def original(self) -> Subject:
        """The network that a claim claims to be, as a subject by itself."""
        if self.architecture is not None:
            return Subject(self.architecture)
        return replace(self, build=self.reference, reference=None, weights=None, images=None)


def check_input_shape(shape: tuple[int, ...]) -> None:
    """Refuse an input shape that is not made of one to four positive integers.

    Raises:
        RequestError: With the value and what is allowed.
    """
    if not 1 <= len(shape) <= 4 or any(type(side) is not int or side < 1 for side in shape):
        raise RequestError(f"input shape {shape}: allowed are one to four positive integers, e.g. 3,64,64 for C,H,W")


def parse_input_shape(text: str) -> tuple[int, ...]:
    """Read ``"3,64,64"``.

    Raises:
        RequestError: With the text and what is allowed.
    """
    try:
        shape = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise RequestError(f"--input-shape {text!r}: expected integers, e.g. 3,64,64 for C,H,W") from None
    check_input_shape(shape)
    return shape


def parse_subjects(
    texts: list[str],
    input_shape: str | None,
    weights: str | None,
    reference: str | None = None,
    images: str | None = None,
    trainer: str | None = None,
) -> tuple[Subject, ...]:
    """Turn ``--subject`` and the options that belong to it into subjects; by default the 12.

    Raises:
        RequestError: In one line, for anything that does not fit.
    """
    shape = parse_input_shape(input_shape) if input_shape is not None else None
    path, folder = (Path(each).absolute() if each is not None else None for each in (weights, images))
    if not texts and (shape or path or reference or folder):
        raise RequestError("--input-shape, --weights, --reference and --images need a --subject")
    if reference is not None and shape is None:
        raise RequestError(f"--reference {reference}: needs --input-shape, e.g. --input-shape 3,64,64 for C,H,W")
    names = [text.partition("=")[0] for text in texts]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise RequestError(f"subject {doubled[0]!r} is given twice")
    return tuple(
        Subject(
            name,
            build or None,
            input_shape=shape,
            weights=path,
            images=folder,
            reference=reference,
            trainer=trainer,
        )
        for name, _, build in (text.partition("=") for text in texts or SPECIFICATIONS)
    )
