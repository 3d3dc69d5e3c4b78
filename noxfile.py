"""One session per intent. `nox` alone runs lint and tests; `nox -l` lists all.

Versions of Python and of every dependency are read from pyproject.toml, nowhere else.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import nox

nox.options.sessions = ["lint", "tests"]
nox.options.reuse_existing_virtualenvs = True

PYPROJECT = nox.project.load_toml("pyproject.toml")
PYTHON_VERSIONS = nox.project.python_versions(PYPROJECT)
# The version whose wheels need no compiler and whose NumPy needs no aliases put back.
MAIN_PYTHON = "3.11"
CORES = str(len(os.sched_getaffinity(0)))
# What every build of MXNet 1.x needs of NumPy, whether an extra brings the build or not.
NUMPY = [each for each in PYPROJECT["project"]["optional-dependencies"]["cpu"] if each.startswith("numpy")]
ONE_THREAD = {"OMP_NUM_THREADS": "1"}  # where several processes share the cores
CATALOGUE = ("python", "-m", "pytest", "--pyargs", "conformance")


@nox.session(python=MAIN_PYTHON)
def cpu(session: nox.Session) -> None:
    """Run the catalogue on the CPU; arguments go to pytest: `nox -s cpu -- -k resnet50`."""
    session.install("-e", ".[cpu,report]")
    session.run(*CATALOGUE, *_reports("cpu"), *_workers(session.posargs), *session.posargs)


@nox.session(python=MAIN_PYTHON, reuse_venv=False)
def build_under_test(session: nox.Session) -> None:
    """Run the catalogue on a build of MXNet: `nox -s build_under_test -- "mxnet==1.8.0.post0" -k alexnet`.

    First the build, a requirement or a wheel file, which is installed into a new environment; or `current`, which is
    the default: what is installed where nox was started. Further arguments go to pytest.
    """
    named = bool(session.posargs) and not session.posargs[0].startswith("-")
    build, arguments = (session.posargs[0], session.posargs[1:]) if named else ("current", session.posargs)
    python = "python"
    if build == "current":
        python = shutil.which("python") or sys.executable
    else:
        session.install("-e", ".[report]", *NUMPY)
        session.install(build, *NUMPY)  # by itself, so that it may be this project's own ".[gpu]"
    known = ("--expected-failures", "conformance/known_builds.toml")
    # An environment that is not ours may lack what a report is written with.
    reports = () if build == "current" else _reports("build_under_test")
    session.run(python, *CATALOGUE[1:], *known, *reports, *_workers(arguments), *arguments, external=True)


@nox.session(python=MAIN_PYTHON)
def gpu(session: nox.Session) -> None:
    """Run the catalogue on the GPUs, or say why none can be used; arguments go to pytest: `nox -s gpu -- -k resnet50`.

    The GPU build comes with its CUDA libraries, so that nothing but a driver is needed. A CUDA of the system's is
    used with GLUON_CONFORMANCE_CUDA=system, or with the folder that it is in.
    """
    session.install("-e", ".[gpu,report]")
    session.run("python", "-m", "conformance", "doctor", "--ctx", "gpu")
    # Each process takes a place on a device or waits for one, so there is no use in one a core.
    chosen = _workers(session.posargs) and ("-n", str(min(4, int(CORES))))
    session.run(*CATALOGUE, "--ctx", "gpu", "--time-limit", "600", *_reports("gpu"), *chosen, *session.posargs)


@nox.session(python=MAIN_PYTHON)
def gpu_build(session: nox.Session) -> None:
    """Test the GPU build without a GPU, on a stub of the driver: installation, doctor, and the catalogue on its CPU."""
    session.install("-e", ".[gpu]", *nox.project.dependency_groups(PYPROJECT, "test"))
    session.run("python", "-m", "pytest", "tests/gpu", *session.posargs)


@nox.session(python=MAIN_PYTHON)
def faults(session: nox.Session) -> None:
    """Run the corpus of faults and write docs/kill-matrix.md; a part of it: `nox -s faults -- --only wiring`."""
    session.install("-e", ".[cpu]")
    write = () if "--only" in session.posargs else ("--write", "docs/kill-matrix.md")
    environment = {**ONE_THREAD, "PYTHONPATH": "tests/support"}
    command = ("python", "tests/faults/kill_matrix.py", "--processes", CORES)
    session.run(*command, *write, *session.posargs, env=environment)


@nox.session(python=MAIN_PYTHON)
def flakes(session: nox.Session) -> None:
    """Look for false alarms over seeds and orders: `nox -s flakes -- 17` is 17 rounds of the 12 networks."""
    session.install("-e", ".[cpu]")
    session.run("python", "tests/tools/flakes.py", *session.posargs)


@nox.session(python=MAIN_PYTHON)
def tolerances(session: nox.Session) -> None:
    """Measure again what the tolerances bound and report drift, with one thread and with all."""
    session.install("-e", ".[cpu]")
    for threads in dict.fromkeys(("1", CORES)):
        environment = {"OMP_NUM_THREADS": threads}
        session.run("python", "benchmarks/tolerances.py", *session.posargs, env=environment)


@nox.session(python=MAIN_PYTHON)
def engines(session: nox.Session) -> None:
    """Compare the 12 networks with ONNX Runtime and PyTorch, and test ports as subjects; arguments go to pytest."""
    session.install("-e", ".[cpu,onnx,torch,train]")
    spread = ("-n", CORES, "--dist", "loadfile")  # a file builds each network once
    # As `SPARING` of conformance/worker/process.py: what one engine gives back, the other finds; in large pages.
    sparing = {"MALLOC_MMAP_THRESHOLD_": str(8 << 20), "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
    environment = {**ONE_THREAD, "MXNET_CPU_TEMP_COPY": "1", **sparing}
    session.run("python", "-m", "pytest", "tests/ports", *spread, *session.posargs, env=environment)


@nox.session(python=MAIN_PYTHON)
def benchmarks(session: nox.Session) -> None:
    """Measure the training loop beside the article's and PyTorch's; arguments go to benchmarks/training.py."""
    session.install("-e", ".[cpu]", *nox.project.dependency_groups(PYPROJECT, "benchmarks"))
    session.run("python", "benchmarks/training.py", *session.posargs)


@nox.session(python=PYTHON_VERSIONS)
def tests(session: nox.Session) -> None:
    """Test the project: all of it with coverage on one Python, a smoke test on the others."""
    session.install("-e", ".[cpu]", *nox.project.dependency_groups(PYPROJECT, "test"))
    if session.python != MAIN_PYTHON:
        session.run("python", "-m", "pytest", "tests", "-m", "smoke", *session.posargs)
        return
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", "tests", "-n", CORES, *session.posargs)
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")


@nox.session(python=MAIN_PYTHON)
def browser(session: nox.Session) -> None:
    """Open report and site in headless Chromium: console, filters, links, zoom, a phone's width, accessibility."""
    if not any(shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")):
        session.error("the browser tests need Chromium: apt-get install chromium")
    session.install("-e", ".[cpu,report]", *nox.project.dependency_groups(PYPROJECT, "browser", "docs"))
    session.run("python", "-m", "pytest", "tests/site/browser", *session.posargs, env=ONE_THREAD)


@nox.session(python=MAIN_PYTHON)
def lint(session: nox.Session) -> None:
    """Run every hook of .pre-commit-config.yaml on all files."""
    session.install("-e", ".", *nox.project.dependency_groups(PYPROJECT, "lint"))
    session.run("pre-commit", "run", "--all-files", "--show-diff-on-failure", *session.posargs)


@nox.session(python=MAIN_PYTHON)
def docs(session: nox.Session) -> None:
    """Build the site, where a warning is an error, and run every code block of every page; arguments go to pytest."""
    session.install("-e", ".[cpu,train,report]", *nox.project.dependency_groups(PYPROJECT, "docs"))
    session.run("python", "-m", "mkdocs", "build", "--strict", env={"NO_MKDOCS_2_WARNING": "1"})
    session.run(
        "python", "-m", "pytest", "tests/site/docs", *_workers(session.posargs), *session.posargs, env=ONE_THREAD
    )


@nox.session(python=MAIN_PYTHON)
def snapshots(session: nox.Session) -> None:
    """Record the snapshots again and show what changed."""
    session.install("-e", ".[cpu]")
    # One process: entries of a file that several workers update can be lost.
    session.run(*CATALOGUE, "--family", "structure", "--snapshot-update", *session.posargs)
    session.run("git", "diff", "--stat", "--", "snapshots", external=True)


@nox.session(python=MAIN_PYTHON, reuse_venv=False)
def build(session: nox.Session) -> None:
    """Build sdist and wheel, and use the installed wheel as a project that depends on it does."""
    downstream = Path("examples/downstream").resolve()
    shutil.rmtree("dist", ignore_errors=True)
    session.install("build")
    session.run("python", "-m", "build")
    (wheel,) = Path("dist").glob("*.whl")
    session.install(f"{wheel}[cpu]")
    before = _installed_files(session)
    # From an unrelated folder, so that nothing is found in the checkout.
    with session.chdir(session.create_tmp()):
        session.run("python", "-m", "pytest", str(downstream), *session.posargs)
    changed = {name for name, _ in before ^ _installed_files(session)}
    if changed:
        session.error(f"a run changed site-packages: {', '.join(sorted(changed))}")


def _workers(arguments: Sequence[str]) -> tuple[str, ...]:
    """One process a core, unless the arguments say how many."""
    chosen = any(argument.startswith(("-n", "--numprocesses")) for argument in arguments)
    return () if chosen else ("-n", CORES)


def _reports(name: str) -> tuple[str, ...]:
    """Where a session leaves its report: index.html, report.json, and report.xml as pytest writes it."""
    return "--conformance-report", f"reports/{name}", "--junitxml", f"reports/{name}/report.xml"


def _installed_files(session: nox.Session) -> set[tuple[str, int]]:
    """Return the files in the session's site-packages but bytecode, with the time each last changed."""
    site_packages = next(Path(session.virtualenv.location).glob("lib/python*/site-packages"))
    files = (path for path in site_packages.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {(str(path.relative_to(site_packages)), path.stat().st_mtime_ns) for path in files}
