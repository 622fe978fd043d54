"""What is said of the machine."""

from sidecar.bench.machine import describe_machine


def test_it_names_what_figures_depend_on() -> None:
    machine = describe_machine()
    assert int(machine["cores"]) >= 1
    assert machine["memory"].endswith(" GiB")
    assert {"processor", "system", "python", "rescore-sidecar", "openvino"} <= machine.keys()
    assert all(machine.values())
