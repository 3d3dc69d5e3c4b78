"""Downloads go on where they broke off, and what comes is verified before it is used."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from reference import data
from reference.data import download

PACKAGED = Path(data.__file__).parents[1] / "fashion_mnist"
FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


CONTENT = bytes(range(256)) * 1000


class Server(BaseHTTPRequestHandler):
    """Serves one file; an address with ``broken`` breaks off, one with ``whole`` knows no ranges."""

    def do_GET(self) -> None:
        """Answer with the content, or with the rest of it."""
        asked = self.headers.get("Range")
        first = int(asked.removeprefix("bytes=").rstrip("-")) if asked and "whole" not in self.path else 0
        if "missing" in self.path or first >= len(CONTENT):
            self.send_error(404 if "missing" in self.path else 416)
            return
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(CONTENT) - first))
        self.end_headers()
        self.wfile.write(CONTENT[first : first + 100_000] if "broken" in self.path else CONTENT[first:])

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Return the address of a server on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


SHA1 = hashlib.sha1(CONTENT).hexdigest()


@pytest.mark.parametrize("address", ["/file", "/whole"])
def test_fetch_goes_on_where_it_broke_off(server: str, address: str, tmp_path: Path) -> None:
    """What a transfer left is kept, and the rest fetched, or all where the server sends all."""
    path = tmp_path / "file"
    with pytest.raises(OSError, match="broke off after 100000 of 256000 bytes"):
        download.fetch(server + "/broken", path, SHA1)
    assert 100_000 == (tmp_path / "file.part").stat().st_size
    download.fetch(server + address, path, SHA1)
    assert CONTENT == path.read_bytes()
    assert [path] == list(tmp_path.iterdir())


def test_fetch_finishes_what_is_complete(server: str, tmp_path: Path) -> None:
    """A transfer that ended just before its file was put in place is not repeated."""
    (tmp_path / "file.part").write_bytes(CONTENT)
    download.fetch(server + "/file", tmp_path / "file", SHA1)
    assert CONTENT == (tmp_path / "file").read_bytes()


def test_fetch_refuses_another_checksum(server: str, tmp_path: Path) -> None:
    """A file with another sum is thrown away."""
    with pytest.raises(OSError, match=f"SHA-1 sum {SHA1}, expected 00"):
        download.fetch(server + "/file", tmp_path / "file", "00")
    assert [] == list(tmp_path.iterdir())


def test_download_tries_every_place(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The first place that has a file gives it; where none has, all are named."""
    monkeypatch.setattr(download, "SHA1", {"file": SHA1})
    download.download(tmp_path / "new", [f"{server}/missing/", f"{server}/"])
    assert CONTENT == (tmp_path / "new" / "file").read_bytes()
    with pytest.raises(OSError, match=r"missing/file: HTTP Error 404.*; http.*nothing/missing/file"):
        download.download(tmp_path / "none", [f"{server}/missing/", f"{server}/nothing/missing/"])
