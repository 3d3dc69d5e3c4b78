"""The checks of devices, on two CPU contexts as devices: each fails on a fault of the second, and passes without."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest

from benches import bench, run_check, runs_of
from broken_devices import BROKEN_DEVICES, DEVICE, BrokenDevice, claim, nothing, own, stand_in
from conformance import CHECKS, Subject
from conformance.contract.outcomes import NotApplicable, Vacuous
from conformance.contract.subject import RequestError
from conformance.contract.switches import REPEATABLE
from conformance.contract.tolerances import DEVICE_LAYERS
from conformance.experiments.devices.operators import operators
from conformance.experiments.variants import SETUP
from conformance.graphs.rewriting import layer_names
from conformance.session.cases import cases
from conformance.tensors.comparison import compare
from conformance.worker.bench import Bench
from reference.runtime.mxnet_compat import mx
from small_networks import BUILD
from small_networks import own as network

CHECK = {check.id: check for check in CHECKS}
ON_DEVICES = [check for check in CHECKS if check.ctx == "gpu"]
FLAWS = [
    pytest.param(broken, variant, id="-".join(filter(None, (broken.check, variant, str(number)))))
    for number, broken in enumerate(BROKEN_DEVICES)
    # The variants of the layers differ in their process's environment alone, which no CPU knows of.
    for variant in (broken.variants[:2] if broken.check == "device.layers" else broken.variants)
]

RIGHT = [(check.id, variant) for check in ON_DEVICES for variant in check.variants or ("",)]

#: The checks that are not made for devices, on a block of one's own, and those of claims on a claim.
EVERYWHERE = [
    ("own" if "own" in check.kinds else "claim", check.id, variant)
    for check in CHECKS
    if not check.ctx and check.family != "convergence"
    if check.id != "training.loader_workers"  # without workers, Gluon's DataLoader makes arrays on the default context
    for variant in check.variants or ("",)
]


@pytest.fixture(autouse=True)
def devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a CPU context stand for a device."""
    stand_in(monkeypatch)


def run(check: str, variant: str, subject: Subject) -> None:
    """Run a check on the second CPU context."""
    run_check(check, bench(subject, DEVICE), variant)


@pytest.mark.parametrize(("broken", "variant"), FLAWS)
def test_check_fails_on_a_faulty_device(broken: BrokenDevice, variant: str) -> None:
    """A check fails where only the device is at fault, and says what is wrong."""
    with pytest.raises(AssertionError) as failure:
        run(broken.check, variant, broken.subject(broken.patch))
    assert broken.says in str(failure.value)


@pytest.mark.parametrize(("check", "variant"), RIGHT)
def test_check_passes_on_a_right_device(check: str, variant: str) -> None:
    """A check passes where the device gives what the CPU gives."""
    subject = next(broken.subject for broken in BROKEN_DEVICES if broken.check == check)
    run(check, variant, subject(nothing))


@pytest.fixture(scope="module")
def benches() -> dict[str, Bench]:
    """Give benches of a block of one's own and of a claim, on the second CPU context."""
    return {subject.kind: bench(subject, DEVICE) for subject in (own(nothing), claim(nothing))}


@pytest.mark.parametrize(("kind", "check", "variant"), EVERYWHERE)
def test_catalogue_runs_on_another_device(kind: str, check: str, variant: str, benches: dict[str, Bench]) -> None:
    """Every other check computes on the device that it is given: an array made for none would go to a missing GPU."""
    with mx.gpu():
        run_check(check, benches[kind], variant)


def test_fused_variant_belongs_to_the_cpu() -> None:
    """OneDNN's fused operators do not apply to a GPU."""
    with pytest.raises(NotApplicable, match="oneDNN computes on the CPU"):
        SETUP["fused"](None, SimpleNamespace(context=SimpleNamespace(device_type="gpu")))


@pytest.mark.parametrize("name", ["resnet", "densenet", "thin-alexnet", "padded"])
def test_operators_of_every_family_run_by_themselves(name: str) -> None:
    """Every operator of a network is cut out and run alone, and gives what it gave in the network."""
    runs = runs_of(network(name, BUILD[name]))
    found = list(operators(runs, layer_names(runs.graph)))
    assert [node.operator for node in runs.graph.nodes] == [op.label.split(" ")[0] for op in found]
    for operator, following in itertools.pairwise(found):
        if following.label.startswith("Activation"):
            output = operator.run(runs.network.ctx)["output in train mode"]
            # Not bit for bit: what a convolution passes on in oneDNN's own layout is summed in another order.
            assert not list(compare("output", following.values["input 0"], output, DEVICE_LAYERS.bound))


def test_maximum_gets_no_equal_inputs() -> None:
    """No two neighbours that a maximum is taken of are equal, so that its gradient has one place to go."""
    runs = runs_of(network("thin-alexnet", BUILD["thin-alexnet"]))
    pools = [op for op in operators(runs, layer_names(runs.graph)) if op.label.startswith("Pooling")]
    assert pools
    for pool in pools:
        images = pool.values["input 0"]
        assert (images[..., 1:] != images[..., :-1]).mean() > 0.999


def test_layers_without_a_gradient_are_vacuous(monkeypatch: pytest.MonkeyPatch) -> None:
    """A comparison in which nothing is compared, or every gradient is zero, proves nothing."""
    on = bench(own(nothing), DEVICE)
    monkeypatch.setattr(on.part("devices"), "layer_pairs", lambda: iter(()))
    with pytest.raises(Vacuous, match="no operator was compared"):
        run_check("device.layers", on, "repeatable")


def test_checks_of_devices_belong_to_gpu_runs() -> None:
    """A run on the CPU has no check of devices and refuses their family; a GPU run has them besides all others."""
    subject = own(nothing)
    on_cpu = {case.check.id for case in cases([subject])}
    on_gpu = {case.check.id for case in cases([subject], ctx="gpu")}
    assert {check.id for check in ON_DEVICES if "own" in check.kinds} == on_gpu - on_cpu
    assert on_cpu < on_gpu
    with pytest.raises(RequestError, match=r"^family 'device' \(with --ctx gpu\): allowed are structure, "):
        list(cases([subject], ["device"]))


def test_variants_of_one_process_stand_together() -> None:
    """Cases that share an environment follow each other, those of the run's own environment first."""
    switches = [case.check.switches(case.variant) for case in cases([own(nothing)], ctx="gpu")]
    assert () == switches[0]
    assert len(set(switches)) == 1 + sum(left != right for left, right in itertools.pairwise(switches))
    known = {name for name, _ in REPEATABLE} | {"GLUON_CONFORMANCE_PROCESS"}
    assert {name for pairs in switches for name, _ in pairs} <= known
