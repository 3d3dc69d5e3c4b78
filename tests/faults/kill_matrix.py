"""Run the corpus of faults through the catalogue, and write down which checks caught which fault.

``python tests/faults/kill_matrix.py [--processes N] [--only TEXT] [--write FILE]``, with ``tests/support`` on
PYTHONPATH, prints a line a fault. It ends with exit code 1 where a fault survives as a claim or too few of their places
are named.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benches import answer, runs_of, server
from conformance import Subject
from conformance.contract.outcomes import Refused
from conformance.contract.specification import SPECIFICATIONS
from conformance.experiments.runs import Runs
from conformance.session.cases import cases
from conformance.session.snapshots import manifest_differences
from conformance.worker.serving import Server
from corpus import Fault
from corpus_execution import EXECUTION
from corpus_layers import LAYERS
from corpus_training import TRAINING
from corpus_wiring import WIRING
from kill_table import NAMED_AT_LEAST, SNAPSHOT, Kill, Row, summary, table
from small_networks import BUILD, claim, own

CORPUS: tuple[Fault, ...] = (*LAYERS, *WIRING, *EXECUTION, *TRAINING)
TIME_LIMIT = 120.0
"""Seconds for one fault in one setting; a crash or a hang counts as caught, as the suite reports it by name."""


@cache
def reference(network: str) -> Runs:
    """Runs of a right small network, shared by all claims to be it."""
    runs = runs_of(claim(network, BUILD[network]).original)
    _ = runs.trainings.usual, runs.predictions.usual
    return runs


@cache
def right_manifest(network: str) -> str:
    """The manifest of the right network as a block of one's own."""
    return answer(own(network, BUILD[network]), SNAPSHOT).payload or ""


def failures(subject: Subject, on: Server, families: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    """Every check that fails: its id, its place, its message; a manifest is compared with the right one."""
    for case in cases([subject], families):
        if case.check.unless(subject):
            continue
        result = answer(on, case.check.id, case.variant)
        failed, text, place = result.outcome in ("failed", "refused"), result.text, result.place
        if result.payload is not None and result.payload != right_manifest(subject.name):
            refused = Refused(manifest_differences(right_manifest(subject.name), result.payload))
            failed, text, place = True, str(refused), refused.place
        if failed:
            yield case.check.id, place, text


def _in_child(connection: Any, fault: Fault, setting: str) -> None:
    """Run one fault in one setting and send what it met."""
    warnings.simplefilter("ignore")
    subject = fault.claim if setting == "claim" else fault.own
    shared = fault.network not in SPECIFICATIONS and setting == "claim"
    on = server(subject, reference(fault.network) if shared else None)
    found = list(failures(subject, on, fault.families))
    _, place, text = found[0] if found else ("", "", "")
    connection.send(Kill(tuple(dict.fromkeys(check for check, _, _ in found)), place, text))


def prepare() -> None:
    """Run every right network once, so that processes forked from this one need not; MXNet then rests here."""
    warnings.simplefilter("ignore")
    for network in BUILD:
        _ = reference(network), right_manifest(network)
    gc.collect()
    gc.freeze()


def isolated(fault: Fault, setting: str) -> Kill:
    """Run one fault in a process of its own: it may crash or hang."""
    context = get_context("fork")  # MXNet and the reference are there already
    ours, theirs = context.Pipe()
    child = context.Process(target=_in_child, args=(theirs, fault, setting))
    child.start()
    theirs.close()
    try:
        found: Kill = ours.recv() if ours.poll(TIME_LIMIT) else Kill(("hung",))
    except EOFError:
        found = Kill(("crashed",))
    child.kill()
    child.join()
    return found


def run(number: int) -> Row:
    """Put one fault through the catalogue in every setting."""
    fault, start = CORPUS[number], time.monotonic()
    if fault.network in SPECIFICATIONS:
        return Row(fault.bare, isolated(fault, "claim"), None, time.monotonic() - start)
    return Row(fault.bare, isolated(fault, "claim"), isolated(fault, "own"), time.monotonic() - start)


def main(argv: list[str]) -> None:
    """Run the corpus, or the faults whose kind or id contains a text.

    Raises:
        SystemExit: With code 1 where a fault survives or its place is named too rarely.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2, help="faults tried at one time")
    parser.add_argument("--only", default="", help="a text that a fault's kind or id contains")
    parser.add_argument("--write", type=Path, help="write the table into a Markdown file")
    arguments = parser.parse_args(argv)
    chosen = [number for number, fault in enumerate(CORPUS) if arguments.only in f"{fault.kind} {fault.id}"]
    rows: list[Row] = []
    with ProcessPoolExecutor(arguments.processes, get_context("spawn"), prepare) as pool:
        for row in pool.map(run, chosen):
            rows.append(row)
            print(f"{len(rows)}/{len(chosen)} {row}", flush=True)
    if not rows:
        parser.error(f"--only {arguments.only!r}: no fault's kind or id contains it")
    found = summary(rows)
    print("\n".join(found.lines))
    if arguments.write:
        arguments.write.write_text(table(rows), encoding="utf-8")
    if found.survivors or found.named < NAMED_AT_LEAST:
        raise SystemExit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
