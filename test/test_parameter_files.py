# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the detection of parameters without effect: keys that do not match, unknown names."""

from __future__ import annotations

from pathlib import Path

import pytest

from crack_perception.errors import UserError
from crack_perception.parameter_files import (
    ParameterBlock,
    copy_mark,
    ineffective_arguments,
    ineffective_settings,
    parameter_values,
    read_parameter_file,
)

KNOWN = ("threshold", "severity_preset", "noise.attitude_deg", "standoff_m", "map_frame")
NODE = "/replay/crack_node"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return path


def test_read_parameter_file_with_arrays_as_launch_writes_them_reads_the_names(tmp_path: Path) -> None:
    import yaml

    text = yaml.dump({"/**": {"ros__parameters": {"sources": ("a", "b"), "noise.attitude_deg": 1.0}}})
    assert "!!python/tuple" in text
    (block,) = read_parameter_file(write(tmp_path, text))
    assert (block.key, block.names) == ("/**", ("noise.attitude_deg", "sources"))


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.system [true]", "!other {a: 1}", "!!python/name:os.system x"]
)
def test_read_parameter_file_with_unknown_tags_runs_nothing(tag: str, tmp_path: Path) -> None:
    path = write(tmp_path, f"/**:\n  ros__parameters:\n    threshold: {tag}\n")
    assert [block.key for block in read_parameter_file(path)] == ["/**"]


@pytest.mark.parametrize(
    ("key", "in_root", "in_namespace"),
    [
        # Behaviour of rclpy of Kilted for each of these keys.
        ("/**", True, True),
        ("**", True, True),
        ("/*", True, False),
        ("*", True, False),
        ("/ns/crack_node", False, True),
        ("ns/crack_node", False, True),
        ("/*/crack_node", False, True),
        ("*/crack_node", False, True),
        ("/**/crack_node", True, True),
        ("**/crack_node", True, True),
        ("crack_node", True, False),
        ("/crack_node", True, False),
        ("/ns/*", False, True),
        ("/ns/**", False, True),
        ("/ns", False, False),
        ("/*/*", False, True),
        ("/**/*", True, True),
        ("/other", False, False),
    ],
)
def test_applies_to_key_matches_as_in_rcl(key: str, in_root: bool, in_namespace: bool) -> None:
    block = ParameterBlock(key, {})
    assert block.applies_to("/crack_node") is in_root
    assert block.applies_to("/ns/crack_node") is in_namespace


def test_read_parameter_file_nested_keys_and_names_are_joined(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "replay:\n  crack_node:\n    ros__parameters:\n      noise:\n        attitude_deg: 1.0\n"
        "  '*':\n    ros__parameters: {a.b: 1}\n/**:\n  ros__parameters:\n",
    )
    assert read_parameter_file(path) == [
        ParameterBlock("replay/crack_node", {"noise.attitude_deg": 1.0}),
        ParameterBlock("replay/*", {"a.b": 1}),
        ParameterBlock("/**", {}),
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: [1", "is not YAML"),
        ("\x00", "is not YAML"),
        ("threshold: 0.9\n", "'threshold' holds no 'ros__parameters'"),
        ("[1, 2]", "it holds no 'ros__parameters'"),
        ("/**:\n  ros__parameters: 3\n", "'ros__parameters' of '/\\*\\*' holds no names"),
    ],
)
def test_read_parameter_file_other_content_refused_with_reason(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason) as caught:
        read_parameter_file(write(tmp_path, text))
    assert "mine.yaml" in str(caught.value) and caught.value.remedy


def test_parameter_values_later_blocks_of_the_node_prevail(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "/**:\n  ros__parameters: {a: 1, c: {d: [1.0, 2.0]}}\n/replay/crack_node:\n  ros__parameters: {a: 2}\n"
        "/other:\n  ros__parameters: {a: 3}\n",
    )
    assert parameter_values(path, NODE) == {"a": 2, "c.d": [1.0, 2.0]}


def test_read_parameter_file_valid_for_ros_accepted(tmp_path: Path) -> None:
    for nothing in ("", "# nothing yet\n"):
        path = write(tmp_path, nothing)
        assert read_parameter_file(path) == []
        assert "sets nothing" in ineffective_settings(path, NODE, KNOWN)[0]
    two = "---\n/**:\n  ros__parameters: {a: 1}\n---\n/*:\n  ros__parameters: {b: 1}\n"
    assert read_parameter_file(write(tmp_path, two)) == [
        ParameterBlock("/**", {"a": 1}),
        ParameterBlock("/*", {"b": 1}),
    ]


def test_read_parameter_file_missing_refused_with_reason(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such parameter file"):
        read_parameter_file(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "crack_node:\n  ros__parameters: {threshold: 0.9}\n",
        "/**:\n  ros__parameters: {treshold: 0.9}",
        "/**:\n  ros__parameters:\n    threshold: 0.9\n    threshold: 0.8\n",
        "",
    ],
)
def test_ineffective_settings_of_a_marked_copy_name_its_source(tmp_path: Path, text: str) -> None:
    original = write(tmp_path, text)
    copy = tmp_path / "launch_params_x7"
    copy.write_text(text + copy_mark(str(original)))
    found = ineffective_settings(copy, NODE, KNOWN)
    assert found == ineffective_settings(original, NODE, KNOWN)
    assert found and str(original) in found[0] and "launch_params" not in found[0]
    arguments = ["crack_node", "--ros-args", "--params-file", str(copy)]
    assert ineffective_arguments(arguments, NODE, KNOWN) == found


@pytest.mark.parametrize("text", ["/**: {", "/**: 5", "/**:\n  ros__parameters: 5\n"])
def test_read_parameter_file_error_in_a_marked_copy_names_its_source(tmp_path: Path, text: str) -> None:
    copy = tmp_path / "launch_params_x7"
    copy.write_text(text + copy_mark("/home/me/my drone.yaml"))
    with pytest.raises(UserError, match=r"^/home/me/my drone\.yaml: ") as caught:
        read_parameter_file(copy)
    assert "launch_params" not in str(caught.value)


def test_copy_mark_changes_no_parameter(tmp_path: Path) -> None:
    text = "/**:\n  ros__parameters:\n    plan_title: |\n      two\n      lines"
    path = write(tmp_path, text)
    before = parameter_values(path, NODE)
    path.write_text(text + copy_mark("/a/b.yaml"))
    assert {name: str(value).strip() for name, value in parameter_values(path, NODE).items()} == {
        name: str(value).strip() for name, value in before.items()
    }


def test_ineffective_settings_key_without_namespace_names_the_right_key(tmp_path: Path) -> None:
    path = write(tmp_path, "crack_node:\n  ros__parameters:\n    threshold: 0.9\n")
    (text,) = ineffective_settings(path, NODE, KNOWN)
    assert "'crack_node'" in text and str(path) in text and NODE in text and "'/**'" in text
    assert ineffective_settings(path, "/crack_node", KNOWN) == []


def test_ineffective_settings_blocks_of_other_nodes_are_accepted_beside_a_matching_one(tmp_path: Path) -> None:
    text = "crack_mapper:\n  ros__parameters: {database: a}\n/**/crack_node:\n  ros__parameters: {threshold: 0.9}\n"
    assert ineffective_settings(write(tmp_path, text), NODE, KNOWN) == []
    # The same name in another namespace is probably meant to be this node.
    (found,) = ineffective_settings(
        write(tmp_path, text + "crack_node:\n  ros__parameters: {map_frame: odom}\n"), NODE, KNOWN
    )
    assert "'crack_node'" in found and "crack_mapper" not in found


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("treshold", "threshold"),
        ("severity_presets", "severity_preset"),
        ("attitude_deg", "noise.attitude_deg"),
        ("noise.atitude_deg", "noise.attitude_deg"),
        ("standoff", "standoff_m"),
    ],
)
def test_ineffective_settings_misspelt_name_gets_the_nearest_right_one(tmp_path: Path, name: str, meant: str) -> None:
    path = write(tmp_path, f"/**:\n  ros__parameters:\n    {name}: 0.9\n    threshold: 0.5\n    use_sim_time: true\n")
    (text,) = ineffective_settings(path, NODE, KNOWN)
    assert f"'{name}'" in text and f"Did you mean '{meant}'?" in text and str(path) in text


def test_ineffective_settings_unlike_any_name_refers_to_list(tmp_path: Path) -> None:
    path = write(tmp_path, "/**:\n  ros__parameters:\n    xyzzy: 1\n")
    (text,) = ineffective_settings(path, NODE, KNOWN)
    assert "Did you mean" not in text and "ros2 param list" in text
    assert ineffective_settings(path, NODE) == []


def test_ineffective_arguments_all_forms_of_the_command_line(tmp_path: Path) -> None:
    path = write(tmp_path, "/**:\n  ros__parameters:\n    treshold: 0.9\n")
    arguments = ["crack_node", "-p", "before:=1", "--ros-args", "-r", "__ns:=/replay", "--params-file", str(path)]
    arguments += ["-p", "mapframe:=odom", "--param", "threshold:=0.5", "-p", "qos_overrides./image.x:=1"]
    arguments += ["-p", "crack_node:threshold:=0.5", "-p", "other:colour:=1", "--", "-p", "after:=1"]
    texts = ineffective_arguments(arguments, NODE, KNOWN)
    assert len(texts) == 3
    assert "mine.yaml sets 'treshold'" in texts[0]
    assert "'mapframe'" in texts[1] and "'map_frame'" in texts[1]
    # rcl treats the name before the colon as one without namespace.
    assert "is for /crack_node, not for /replay/crack_node" in texts[2]
    assert ineffective_arguments(["x", "--ros-args", "-p", "crack_node:threshold:=1"], "/crack_node", KNOWN) == []


def test_ineffective_arguments_unreadable_file_reported(tmp_path: Path) -> None:
    (text,) = ineffective_arguments(["x", "--ros-args", "--params-file", str(tmp_path / "no.yaml")], NODE, KNOWN)
    assert "no such parameter file" in text


def test_ineffective_settings_repeated_keys_are_reported_with_lines(tmp_path: Path) -> None:
    text = "/**:\n  ros__parameters:\n    threshold: 0.5\n    noise: {attitude_deg: 1.0}\n    threshold: 0.7\n"
    path = write(tmp_path, text + "'/**':\n  ros__parameters: {map_frame: map}\n")
    assert ineffective_settings(path, NODE, KNOWN) == [
        f"{path} sets '/**' in lines 1 and 6, and only the last has an effect. Remove one of them",
        f"{path} sets 'threshold' in lines 3 and 5, and only the last has an effect. Remove one of them",
    ]


def test_ineffective_settings_anchors_that_are_merged_are_not_repeated(tmp_path: Path) -> None:
    text = "x: &x {ros__parameters: {threshold: 0.5}}\n/**: {<<: *x}\n"
    assert ineffective_settings(write(tmp_path, text), NODE, KNOWN) == []
