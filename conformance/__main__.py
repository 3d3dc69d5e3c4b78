"""``python -m conformance``: list the checks, or see what they would run on."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from conformance.checks.catalogue import CHECKS
from conformance.contract.check import EVERY, Check
from conformance.contract.subject import RequestError
from conformance.machine.asking import Unusable
from conformance.machine.doctor import run_doctor
from conformance.ports.export import add_export_options, run_export
from conformance.report.diff import add_diff_options, run_diff
from conformance.report.recordings import add_compare_options, run_compare
from conformance.tensors.recording_file import Unreadable
from conformance.worker.record import add_record_options, run_record

BEGIN, END = "<!-- checks -->\n", "<!-- /checks -->\n"

RUN = {"record": run_record, "compare": run_compare, "diff": run_diff, "export": run_export}
"""Commands whose result is their exit code."""


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are one line, with exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, without the usage."""
        self.exit(2, f"{self.prog}: {message}\n")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command ``argv``, or the one Python was started with.

    Raises:
        SystemExit: With code 1 if MXNet or the device cannot be used, with code 2 if the command is wrong;
            one line on stderr says how.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.command == "doctor":
        refusal = run_doctor(arguments.ctx, as_json=arguments.json)
        if refusal:
            raise SystemExit(f"{parser.prog} doctor: {refusal}")
    elif arguments.command in RUN:
        _run(arguments, parser)
    elif arguments.into is None:
        print(catalogue_table(), end="")
    else:
        try:
            write_between_markers(arguments.into)
        except (OSError, ValueError) as error:
            parser.error(f"--into {arguments.into}: {error}")


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(prog="python -m conformance", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("catalogue", help="the table of all checks, as Markdown", allow_abbrev=False)
    listing.add_argument("--into", type=Path, metavar="FILE", help="write it between FILE's markers instead")
    doctor = commands.add_parser("doctor", help="see what the checks would run on", allow_abbrev=False)
    doctor.add_argument("--ctx", choices=("cpu", "gpu"), default="cpu", help="the device to try, default: cpu")
    doctor.add_argument("--json", action="store_true", help="print what was found as JSON (doctor.schema.json)")
    record = commands.add_parser("record", help="write down what this build computes", allow_abbrev=False)
    add_record_options(record)
    compare = commands.add_parser("compare", help="see whether two recordings agree", allow_abbrev=False)
    add_compare_options(compare)
    export = commands.add_parser("export", help="write a network to a file, verified", allow_abbrev=False)
    add_export_options(export)
    diff = commands.add_parser("diff", help="see what changed between two reports", allow_abbrev=False)
    add_diff_options(diff)
    return parser


def _run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Record, compare or diff, and end with the exit code of what was found."""
    try:
        code = RUN[arguments.command](arguments)
    except Unusable as reason:
        raise SystemExit(f"{parser.prog} {arguments.command}: {reason}") from None
    except (RequestError, Unreadable, OSError) as reason:
        parser.exit(2, f"{parser.prog} {arguments.command}: {reason}\n")
    sys.exit(code)


def catalogue_table() -> str:
    """The checks as a Markdown table: id, what holds, variants, kinds of subject and source."""
    rows = ["| check | what holds | variants | subjects | source |", "| --- | --- | --- | --- | --- |"]
    for check in CHECKS:
        kinds = "all" if check.kinds == EVERY else ", ".join(sorted(check.kinds))
        kinds += f"; with `--ctx {check.ctx}`" if check.ctx else ""
        cells = (f"`{check.id}`", _title(check), ", ".join(check.variants) or "–", kinds, _source(check))
        rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(rows) + "\n"


def _title(check: Check) -> str:
    return check.title.replace("``", "`")


def _source(check: Check) -> str:
    """Shorten a link to the last word of its address."""
    if not check.source.startswith("https://"):
        return check.source
    address, _, rest = check.source.partition(" ")
    word = re.split(r"[/#]", address.removesuffix("/index.html").removesuffix(".html"))[-1]
    return f"[{word.rpartition('mxnet.gluon.')[2]}]({address}) {rest}".strip()


def write_between_markers(path: Path) -> None:
    """Put the table of checks between the two markers of a file.

    Raises:
        OSError: If the file cannot be read or written.
        ValueError: If it has no such markers.
    """
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"no lines {BEGIN.strip()} and {END.strip()}")
    path.write_text(f"{before}{BEGIN}\n{catalogue_table()}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
