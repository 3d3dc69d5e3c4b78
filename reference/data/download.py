"""Fetching Fashion-MNIST's four files from its official places; a transfer that broke off is continued.

Source: https://github.com/zalandoresearch/fashion-mnist#get-the-data
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

PLACES = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
)
#: SHA-1 sums of the compressed files, as in mxnet/gluon/data/vision/datasets.py.
SHA1 = {
    "train-images-idx3-ubyte.gz": "0cf37b0d40ed5169c6b3aba31069a9770ac9043d",
    "train-labels-idx1-ubyte.gz": "236021d52f1e40852b06a4c3008d8de8aef1e40b",
    "t10k-images-idx3-ubyte.gz": "626ed6a7c06dd17c0eec72fa3be1740f146a2863",
    "t10k-labels-idx1-ubyte.gz": "17f9ab60e7257a1620f4ad76bbbaf857c3920701",
}
NAMES = tuple(SHA1)
TIMEOUT = 10.0
CHUNK = 1 << 16


def download(folder: Path, places: Sequence[str] = PLACES) -> None:
    """Put the four files into a folder, each once it is complete and has its checksum.

    Args:
        folder: Created where it does not exist; what is unfinished stays there as ``NAME.part``.
        places: Addresses to try in turn, each ending in a slash.

    Raises:
        OSError: If no place gives a file, or what it gives has another checksum; in one line.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, sha1 in SHA1.items():
        if not (folder / name).exists():
            _fetch_from_any(folder / name, sha1, places)


def _fetch_from_any(path: Path, sha1: str, places: Sequence[str]) -> None:
    errors = []
    for place in places:
        try:
            return fetch(place + path.name, path, sha1)
        except OSError as error:
            errors.append(str(error))
    raise OSError("; ".join(errors))


def fetch(address: str, path: Path, sha1: str) -> None:
    """Fetch one file, from where the last attempt broke off.

    Raises:
        OSError: If the transfer fails, or the file has another checksum; in one line with the address.
    """
    part = path.with_name(f"{path.name}.part")
    have = part.stat().st_size if part.exists() else 0
    try:
        _transfer(address, part, have)
    except (OSError, HTTPException) as error:
        if not (isinstance(error, HTTPError) and error.code == 416):  # 416: nothing is left to be transferred
            raise OSError(f"{address}: {str(error).splitlines()[0]}") from error
    actual = hashlib.sha1(part.read_bytes()).hexdigest()
    if actual != sha1:
        part.unlink()
        raise OSError(f"{address}: SHA-1 sum {actual}, expected {sha1}")
    os.replace(part, path)


def _transfer(address: str, part: Path, have: int) -> None:
    request = Request(address, headers={"Range": f"bytes={have}-"} if have else {})
    with urlopen(request, timeout=TIMEOUT) as answer:
        # 206: the rest; else the server sends the whole file, whatever was asked for.
        with part.open("ab" if answer.status == 206 else "wb") as file:
            while chunk := answer.read(CHUNK):
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        expected = answer.headers.get("Content-Length")
    received = part.stat().st_size - (have if answer.status == 206 else 0)
    if expected is not None and received != int(expected):
        raise OSError(f"broke off after {received} of {expected} bytes")
