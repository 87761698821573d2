# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Values of a similar type are taken, at start and in flight; unchanged values are never refused."""

from __future__ import annotations

import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

import yaml
from flying_node import Flight, TakeOff, init_ros
from rcl_interfaces.srv import SetParameters
from rclpy.node import Node
from rclpy.parameter import Parameter, parameter_dict_from_yaml_file

from crack_perception.errors import UserError
from crack_perception.paths import config_file
from crack_perception.ros.common.parameter_table import ParameterSpec, ParameterTable
from crack_perception.ros.detector import parameters
from crack_perception.ros.mapper import parameters as mapper_parameters

SPECS = (
    ParameterSpec("share", 0.5, "A share", 0.0, 10.0, live=True),
    ParameterSpec("count", 2, "A count", 0, 10, live=True),
    ParameterSpec("is_on", False, "A switch", live=True),
    ParameterSpec("edges", [0.1, 0.2], "Edges", live=True),
    ParameterSpec("names", ["a"], "Names", live=True),
    ParameterSpec("kind", "x", "A kind", choices=("x", "y"), live=True),
    ParameterSpec("fixed", [1.0, 2.0], "Read when configured"),
)
TABLE: ParameterTable[dict[str, Any]] = ParameterTable(SPECS, dict)


@pytest.fixture
def node() -> Iterator[Any]:
    init_ros()
    made: list[Node] = []

    def make(**values: Any) -> tuple[Node, dict[str, str]]:
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        made.append(Node("table", parameter_overrides=overrides))
        return made[-1], TABLE.declare(made[-1])

    yield make
    for each in made:
        each.destroy_node()


@pytest.mark.parametrize(
    ("name", "given", "taken"),
    [
        ("share", 3, 3.0),
        ("count", 3.0, 3),
        ("is_on", 1, True),
        ("is_on", 0, False),
        ("edges", [1, 2], [1.0, 2.0]),
        ("edges", array.array("d", [1.0, 2.0]), [1.0, 2.0]),
        ("fixed", (1, 2), [1.0, 2.0]),
    ],
)
def test_declare_similar_type_is_converted(node: Any, name: str, given: Any, taken: Any) -> None:
    made, refused = node(**{name: given})
    assert refused == {}
    value = TABLE.values_of(made)[name]
    assert value == taken and type(value) is type(taken)
    assert TABLE.settings_from(TABLE.values_of(made))[name] == taken


@pytest.mark.parametrize(
    ("name", "given", "reason"),
    [
        ("share", "far", "share takes a number, got 'far'"),
        ("share", True, "share takes a number, got True"),
        ("share", 11, "share must lie between 0 and 10, got 11"),
        ("share", 11.0, "share must lie between 0 and 10, got 11"),
        ("count", 2.5, "count takes a whole number, got 2.5"),
        ("count", 11, "count must lie between 0 and 10, got 11"),
        ("is_on", 2, "is_on takes true or false, got 2"),
        ("is_on", "yes", "is_on takes true or false, got 'yes'"),
        ("edges", [True, False], "edges takes a list of numbers"),
        ("edges", ["a"], "edges takes a list of numbers"),
        ("edges", 0.3, "edges takes a list of numbers, got 0.3"),
        ("names", "a", "names takes a list of texts, got 'a'"),
        ("kind", False, "kind takes a text, got False"),
    ],
)
def test_declare_invalid_value_is_refused_and_default_is_used(node: Any, name: str, given: Any, reason: str) -> None:
    made, refused = node(**{name: given})
    assert list(refused) == [name] and refused[name].startswith(reason)
    assert TABLE.values_of(made)[name] == next(spec.default for spec in SPECS if spec.name == name)


@pytest.mark.skipif(not hasattr(Node, "add_pre_set_parameters_callback"), reason="ROS 2 Humble cannot convert")
def test_set_parameters_similar_type_is_converted(node: Any) -> None:
    made, _ = node()
    changes = [("share", 3), ("count", 4.0), ("is_on", 1), ("edges", [1, 2]), ("names", ["b"])]
    results = made.set_parameters([Parameter(name, value=value) for name, value in changes])
    assert [result.reason for result in results] == [""] * 5
    values = TABLE.values_of(made)
    assert [values[name] for name, _ in changes] == [3.0, 4, True, [1.0, 2.0], ["b"]]
    assert not made.set_parameters([Parameter("share", value="far")])[0].successful
    assert TABLE.values_of(made) == values


@pytest.mark.parametrize("same", [[1.0, 2.0], array.array("d", [1.0, 2.0]), [1, 2]])
def test_settings_after_unchanged_array_is_not_refused(node: Any, same: Any) -> None:
    made, _ = node()
    assert TABLE.settings_after(made, [Parameter("fixed", value=same)])["fixed"] == [1.0, 2.0]
    with pytest.raises(UserError, match="fixed is read when the node is configured"):
        TABLE.settings_after(made, [Parameter("fixed", value=[1.0, 3.0])])


@pytest.mark.parametrize(
    ("file", "table"), [("drone.yaml", parameters.TABLE), ("mapper.yaml", mapper_parameters.TABLE)]
)
def test_shipped_file_loaded_twice_changes_nothing(file: str, table: ParameterTable[Any]) -> None:
    init_ros()
    values = parameter_dict_from_yaml_file(str(config_file(file)), use_wildcard=True)
    loaded = [Parameter.from_parameter_msg(value) for value in values.values()]
    made = Node("loaded", parameter_overrides=loaded)
    try:
        assert table.declare(made) == {}
        table.settings_after(made, loaded)
    finally:
        made.destroy_node()


FOREIGN = "/tmp/elsewhere"


@pytest.mark.parametrize(
    ("table", "name"),
    [
        (mapper_parameters.TABLE, "database"),
        (mapper_parameters.TABLE, "output_folder"),
        (parameters.TABLE, "collect_tiles_folder"),
    ],
)
def test_path_that_is_written_is_set_only_at_the_start(table: ParameterTable[Any], name: str) -> None:
    init_ros()
    made = Node("paths", parameter_overrides=[Parameter(name, value="/mine")])
    try:
        assert table.declare(made) == {}
        assert made.get_parameter(name).value == "/mine"
        assert "start" in made.describe_parameter(name).additional_constraints
        for check in (table.check_alone, table.settings_after):
            check(made, [Parameter(name, value="/mine")])
            for foreign in (FOREIGN, ""):
                with pytest.raises(UserError, match=f"{name} is set only at the start of the node"):
                    check(made, [Parameter(name, value=foreign)])
    finally:
        made.destroy_node()


def test_node_refuses_a_path_from_the_network_in_every_state(take_off: TakeOff) -> None:
    flight: Flight = take_off()

    def reason() -> str:
        change = Parameter("collect_tiles_folder", value=FOREIGN)
        (result,) = flight.in_node(lambda: flight.node.set_parameters([change]))
        return "" if result.successful else str(result.reason)

    assert "set only at the start" in reason()
    flight.start()
    assert "set only at the start" in reason()
    assert flight.node.get_parameter("collect_tiles_folder").value == ""


def test_active_node_loads_the_file_that_it_was_started_with(
    take_off: TakeOff, tmp_path: Path, tiny_model: Path
) -> None:
    tree = yaml.safe_load(config_file("drone.yaml").read_text())
    tree["/**"]["ros__parameters"] |= {"model": str(tiny_model), "standoff_m": 3}
    path = tmp_path / "drone.yaml"
    path.write_text(yaml.safe_dump(tree))
    # What `ros2 param load` sends.
    request = SetParameters.Request(
        parameters=list(parameter_dict_from_yaml_file(str(path), use_wildcard=True).values())
    )
    start = {value.name: Parameter.from_parameter_msg(value).value for value in request.parameters}
    flight: Flight = take_off(**start).start()
    client = flight.peer.create_client(SetParameters, "/crack_node/set_parameters")
    flight.wait(client.service_is_ready)
    future = flight.in_peer(lambda: client.call_async(request))
    flight.wait(future.done)
    assert [result.reason for result in future.result().results if not result.successful] == []
    assert flight.node.get_parameter("standoff_m").value == 3.0
