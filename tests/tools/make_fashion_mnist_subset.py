"""Make the packaged part of Fashion-MNIST from the full data: the first images of each class, in their order.

    python tests/tools/make_fashion_mnist_subset.py /usr/share/datasets/fashion-mnist reference/fashion_mnist

The first folder is where Debian's package dataset-fashion-mnist puts its four files. The same input gives the
same bytes on one version of zlib; on others the content is the same and the compressed form may differ.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reference.data import CLASS_NAMES, Split, load_split

IMAGES_PER_CLASS: dict[Split, int] = {"train": 300, "test": 50}
PREFIXES: dict[Split, str] = {"train": "train", "test": "t10k"}


def choose(labels: NDArray[np.uint8], images_per_class: int) -> NDArray[np.intp]:
    """Return the ascending positions of the first `images_per_class` labels of every class."""
    firsts = [np.flatnonzero(labels == label)[:images_per_class] for label in range(len(CLASS_NAMES))]
    return np.sort(np.concatenate(firsts))


def encode_idx(array: NDArray[np.uint8]) -> bytes:
    """Return uint8 of any shape as an IDX file, compressed with gzip and without a time in its header."""
    header = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(header + array.tobytes(), compresslevel=9, mtime=0)


def make_subset(source: Path, split: Split) -> dict[str, bytes]:
    """Return the two files of a split by name, chosen from the full data in the folder `source`."""
    images, labels = load_split(source, split)
    chosen = choose(labels, IMAGES_PER_CLASS[split])
    return {
        f"{PREFIXES[split]}-images-idx3-ubyte.gz": encode_idx(images[chosen]),
        f"{PREFIXES[split]}-labels-idx1-ubyte.gz": encode_idx(labels[chosen]),
    }


def main() -> None:
    """Write the four files and print their SHA-256 sums, as the README beside them lists them."""
    parser = argparse.ArgumentParser(description="Make the packaged part of Fashion-MNIST.")
    parser.add_argument("source", type=Path, help="folder with the four files of the full data")
    parser.add_argument("target", type=Path, help="folder to write to")
    arguments = parser.parse_args()
    for split in IMAGES_PER_CLASS:
        for name, content in make_subset(arguments.source, split).items():
            (arguments.target / name).write_bytes(content)
            print(f"{hashlib.sha256(content).hexdigest()}  {name}")


if __name__ == "__main__":
    main()
