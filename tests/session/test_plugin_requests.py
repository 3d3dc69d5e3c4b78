"""A wrong request ends in exit code 4 and one line that says what is wrong, with nothing run."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalogue_runs import SUBJECT, Project, new_project

MINE = "--subject mine=my_block:"
SHAPE = " --input-shape 3,32,32"
WRONG: dict[str, tuple[str, str]] = {
    "unknown name": ("--subject resnet51", "subject 'resnet51' is not a reference network: name one of alexnet"),
    "unknown name, remedy": ("--subject resnet51", "--subject NAME=package.module:attribute --input-shape C,H,W"),
    "no shape": (f"{MINE}Mine", "subject 'mine' is not a reference network"),
    "bad name": ("--subject my/net=my_block:Mine" + SHAPE, "subject name 'my/net': allowed are letters"),
    "no module": ("--subject mine=absent:Mine" + SHAPE, "mine=absent:Mine: ModuleNotFoundError: No module named"),
    "no attribute": (f"{MINE}Absent{SHAPE}", "mine=my_block:Absent: AttributeError"),
    "not a reference to code": ("--subject mine=my_block" + SHAPE, "expected mine=package.module:attribute"),
    "not callable": (f"{MINE}not_callable{SHAPE}", "not_callable is not callable"),
    "not a block": (f"{MINE}not_a_block{SHAPE}", "expected a HybridBlock, actual int"),
    "arguments": (f"{MINE}NeedsArguments{SHAPE}", "build() does not work"),
    "claim without classes": ("--subject alexnet=my_block:not_a_block", "build(classes=1000) does not work"),
    "letters in shape": (f"{MINE}Mine --input-shape 3,x", "--input-shape '3,x': expected integers"),
    "zero in shape": (f"{MINE}Mine --input-shape 3,0,4", "allowed are one to four positive integers"),
    "shape alone": ("--input-shape 3,32,32", "--input-shape, --weights, --reference and --images need a --subject"),
    "given twice": ("--subject vgg11 --subject vgg11", "subject 'vgg11' is given twice"),
    "unknown family": ("--family structures", "family 'structures': allowed are structure, parameters"),
    "no weights": ("--subject vgg11 --weights absent.params", "absent.params: no such file"),
    "weights do not fit": (f"{MINE}Mine{SHAPE} --weights other.params", "other.params does not fit"),
    "no loop": (f"{MINE}Mine{SHAPE} --trainer absent:fit", "trainer absent:fit: ModuleNotFoundError: No module named"),
    "no callable loop": (f"{MINE}Mine{SHAPE} --trainer my_block:not_callable", "not_callable is not callable"),
    "loop without a seed": (
        "--subject alexnet --trainer own_loops:without_seed",
        "cannot be called as (net, train",
    ),
    "not a reference to a loop": ("--trainer fit", "trainer=fit: expected trainer=package.module:attribute"),
    "time limit": ("--subject vgg11 --time-limit 0", "--time-limit 0: allowed are positive seconds"),
    "device": ("--ctx tpu", "--ctx: invalid choice: 'tpu'"),
    "update in two processes": ("--subject vgg11 --snapshot-update -n 2", "--snapshot-update needs one process"),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Give a project with a file that is not a parameter file."""
    project = new_project(tmp_path_factory.mktemp("project"))
    project.write("other.params", "no parameters")
    return project


@pytest.mark.parametrize("case", WRONG)
def test_wrong_request_ends_in_one_line(case: str, project: Project) -> None:
    """A wrong request ends in exit code 4 and one line that names the fault."""
    arguments, says = WRONG[case]
    run = project.catalogue("-q", *arguments.split())
    assert 4 == run.code, run.text
    assert says in run.text
    assert "Traceback" not in run.text
    assert 1 == len([line for line in run.text.splitlines() if line.startswith(("ERROR", "__main__.py: error"))])


def test_weights_that_fit_are_used(tmp_path: Path) -> None:
    """A network is checked with the user's trained weights."""
    project = new_project(tmp_path)
    project.write(
        "save.py",
        "import pytest, my_block\nfrom reference.runtime.mxnet_compat import mx\nnet = my_block.Mine()\n"
        "net.initialize(mx.init.One())\nnet(mx.nd.zeros((1, 3, 32, 32)))\nnet.save_parameters('mine.params')\n",
    )
    project.write("conftest.py", "import save\n")
    assert 5 == project.pytest("--co").code
    project.write("conftest.py", "")
    run = project.catalogue(*SUBJECT, "--weights", "mine.params", "--family", "files")
    assert 0 == run.code, run.text
