"""``python -m conformance``: the table of checks, and the doctor on good and broken builds of MXNet."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance import CHECKS
from conformance.__main__ import main, write_between_markers

COMMANDS = {
    "": ": the following arguments are required: command",
    "recall": ": argument command: invalid choice: 'recall'",
    "record": " record: the following arguments are required: DIR",
    "compare A": " compare: the following arguments are required: B",
    "compare no/such A": " compare: no/such: no recordings (*.json.xz) there",
    "doctor --ctx tpu": " doctor: argument --ctx: invalid choice: 'tpu'",
    "catalogue --into": " catalogue: argument --into: expected one argument",
    "catalogue --into no/such/file": ": --into no/such/file: [Errno 2] No such file",
    "catalogue extra": ": unrecognized arguments: extra",
}


def test_catalogue_has_a_row_a_check(capsys: pytest.CaptureFixture[str]) -> None:
    """The table names every check once, with what holds and the variants it is run in."""
    main(["catalogue"])

    rows = capsys.readouterr().out.splitlines()[2:]
    assert [f"`{check.id}`" for check in CHECKS] == [row.split(" | ")[0].removeprefix("| ") for row in rows]
    for check, row in zip(CHECKS, rows, strict=True):
        assert check.title.replace("``", "`") in row
        assert ", ".join(check.variants) in row
        assert check.source.split()[0] in row


def test_catalogue_is_written_between_markers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What stands around the markers stays, and writing twice changes nothing."""
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- checks -->\nold\n<!-- /checks -->\nafter\n")

    main(["catalogue", "--into", str(page)])

    written = page.read_text()
    main(["catalogue"])
    table = capsys.readouterr().out
    assert f"before\n<!-- checks -->\n\n{table}\n<!-- /checks -->\nafter\n" == written
    write_between_markers(page)
    assert written == page.read_text()


def test_catalogue_refuses_a_file_without_markers(tmp_path: Path) -> None:
    """A file that has no place for the table is left as it is."""
    page = tmp_path / "page.md"
    page.write_text("text\n")

    with pytest.raises(ValueError, match="no lines <!-- checks --> and <!-- /checks -->"):
        write_between_markers(page)
    assert "text\n" == page.read_text()


@pytest.mark.parametrize("command", COMMANDS)
def test_bad_command_is_refused_in_one_line(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong command is answered by one line on stderr and exit code 2."""
    with pytest.raises(SystemExit) as refusal:
        main(command.split())

    output = capsys.readouterr()
    assert (2, "") == (refusal.value.code, output.out)
    assert output.err.startswith(f"python -m conformance{COMMANDS[command]}")
    assert 1 == output.err.count("\n")
