"""Fashion-MNIST, read from files or packaged, and resized to a network's input; NumPy is all that it needs."""

from reference.data.idx import CLASS_NAMES, Split, load_split, load_subset, read_images, read_labels
from reference.data.images import to_images

__all__ = ["CLASS_NAMES", "Split", "load_split", "load_subset", "read_images", "read_labels", "to_images"]
