# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Table of a node's parameters, which declares, checks and documents them.

What declares them imports ROS; what checks values works without it.
"""

from __future__ import annotations

import array
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from crack_perception.errors import UserError, printable
from crack_perception.parameter_files import ineffective_arguments, unknown_names

if TYPE_CHECKING:
    from rcl_interfaces.msg import ParameterDescriptor
    from rclpy.node import Node
    from rclpy.parameter import Parameter

_MOST_SHOWN = 80

Value = bool | int | float | str | list[float] | list[str]


@dataclass(frozen=True)
class ParameterSpec:
    """Specification of one parameter.

    Attributes:
        name, default, description: As declared in ROS.
        lower, upper: Inclusive range of a number.
        choices: Allowed values of a text.
        length: Number of elements of an array; None for any.
        live: Whether a change takes effect at the next frame; the other parameters are read when the node is
            configured and cannot be changed before it is cleaned up.
        start_only: Whether it is set only at the start of the node (command line, launch, parameter file), because the
            node writes to the path that it names, which nobody on the network may choose. A parameter that is read-only
            in ROS would refuse even its present value, as ``ros2 param load`` sends it.
    """

    name: str
    default: Value
    description: str
    lower: float | None = None
    upper: float | None = None
    choices: tuple[str, ...] = ()
    length: int | None = None
    live: bool = False
    start_only: bool = False

    def converted(self, value: Any) -> Any:
        """Convert a value to the parameter's type where no information is lost; arrays become lists.

        YAML and ``ros2 param set`` read ``3`` as an integer where a double is declared. Integral doubles are converted
        to integers, 0 and 1 to booleans; a boolean is never converted to a number.
        """
        if isinstance(value, (array.array, tuple, list)):
            return [_converted(element, self._element_type) for element in value]
        return _converted(value, type(self.default))

    @property
    def ros_type(self) -> Parameter.Type:
        """Type of the parameter in ROS."""
        from rclpy.parameter import Parameter

        return Parameter.Type.from_parameter_value(self.default)

    @property
    def _element_type(self) -> type:
        return type(self.default[0]) if isinstance(self.default, list) and self.default else object

    def has_type_of(self, value: Any) -> bool:
        """Return whether a value (after ``converted``) has the parameter's type."""
        if isinstance(self.default, list):
            return isinstance(value, list) and all(isinstance(element, self._element_type) for element in value)
        return type(value) is type(self.default)

    def problem_with(self, value: Any) -> str:
        """Return why a value (after ``converted``) is invalid; empty if it is valid."""
        if not self.has_type_of(value):
            return f"{self.name} takes {_TYPE_WORDS[self._type_key]}, got {_shown(value)}"
        if self.choices and value not in self.choices:
            return f"{self.name} must be one of {', '.join(self.choices)}, got {_shown(value)}"
        if isinstance(self.default, list):
            if self.length is not None and len(value) != self.length:
                return f"{self.name} takes {self.length} numbers, got {len(value)}"
            if not all(isinstance(element, str) or math.isfinite(element) for element in value):
                return f"{self.name} must hold finite numbers, got {_shown(value)}"
        elif isinstance(self.default, (int, float)) and not isinstance(self.default, bool):
            if not math.isfinite(value):
                return f"{self.name} must be a finite number, got {value:g}"
            if self.lower is not None and self.upper is not None and not self.lower <= value <= self.upper:
                return f"{self.name} must lie between {self.lower:g} and {self.upper:g}, got {value:g}"
        return ""

    @property
    def _type_key(self) -> tuple[bool, type]:
        is_array = isinstance(self.default, list)
        return is_array, self._element_type if is_array else type(self.default)

    def descriptor(self) -> ParameterDescriptor:
        """Return type, range and description for ROS."""
        from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

        descriptor = ParameterDescriptor(name=self.name, description=self.description)
        if self.choices:
            descriptor.additional_constraints = f"one of {', '.join(self.choices)}"
        if self.start_only:
            descriptor.additional_constraints = "set only at the start of the node"
        if self.lower is not None and self.upper is not None:
            if isinstance(self.default, float):
                descriptor.floating_point_range = [FloatingPointRange(from_value=self.lower, to_value=self.upper)]
            else:
                descriptor.integer_range = [IntegerRange(from_value=int(self.lower), to_value=int(self.upper), step=1)]
        return descriptor


_TYPE_WORDS: Mapping[tuple[bool, type], str] = {
    (False, bool): "true or false",
    (False, int): "a whole number",
    (False, float): "a number",
    (False, str): "a text",
    (True, float): "a list of numbers",
    (True, str): "a list of texts",
}


def _shown(value: Any) -> str:
    """A value as it stands in errors."""
    return printable(repr(value), _MOST_SHOWN)


def _converted(value: Any, wanted: type) -> Any:
    if wanted is float and type(value) is int:
        return float(value)
    if wanted is int and type(value) is float and value.is_integer():
        return int(value)
    if wanted is bool and type(value) is int and value in (0, 1):
        return bool(value)
    return value


def _start_value(node: Node, name: str) -> Any:
    """Return the start value of an undeclared parameter, of any type."""
    from rcl_interfaces.msg import ParameterDescriptor

    value = node.declare_parameter(name, None, ParameterDescriptor(dynamic_typing=True)).value
    node.undeclare_parameter(name)
    return value


Settings = TypeVar("Settings")


class ParameterTable(Generic[Settings]):
    """All parameters of a node.

    Args:
        specs: Specification of each parameter.
        settings_of: Converts a complete set of values, each checked by its specification, to settings; raises
            UserError where two values contradict each other.
    """

    def __init__(self, specs: tuple[ParameterSpec, ...], settings_of: Callable[[Mapping[str, Any]], Settings]) -> None:
        self.specs = specs
        self._by_name = {spec.name: spec for spec in specs}
        self._settings_of = settings_of

    def declare(self, node: Node) -> dict[str, str]:
        """Declare every parameter with type, range and description.

        From then on the node accepts values of a similar type as described in ``ParameterSpec.converted`` (in ROS 2
        Humble, which has no callback for it, only at start).

        Returns:
            The reason for every parameter whose start value (command line, launch file, YAML) is invalid. The parameter
            then has its default.
        """
        from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException

        refused = {}
        for spec in self.specs:
            try:
                node.declare_parameter(spec.name, spec.default, spec.descriptor())
            except InvalidParameterTypeException:
                value = spec.converted(_start_value(node, spec.name))
                # The parameter could not take its type from an empty list.
                problem = spec.problem_with(value) or ("" if value != [] else f"{spec.name} must not be empty")
                if problem:
                    refused[spec.name] = problem
                start_value = spec.default if problem else value
                node.declare_parameter(spec.name, start_value, spec.descriptor(), ignore_override=True)
            except InvalidParameterValueException as error:
                value = spec.converted(_start_value(node, spec.name))
                refused[spec.name] = spec.problem_with(value) or f"{spec.name} cannot be {_shown(value)}: {error}"
                node.declare_parameter(spec.name, spec.default, spec.descriptor(), ignore_override=True)
        if hasattr(node, "add_pre_set_parameters_callback"):
            node.add_pre_set_parameters_callback(self._converted_changes)
        return refused

    def report_ineffective(self, node: Node, overrides: Sequence[Parameter] | None) -> list[str]:
        """Log every setting of the command line and its parameter files that has no effect on the node.

        Args:
            node: Node with the declared parameters.
            overrides: Parameters that were given to its constructor.

        Returns:
            The logged lines.
        """
        name = node.get_fully_qualified_name()
        found = ineffective_arguments(sys.argv, name, self._by_name)
        found += unknown_names([override.name for override in overrides or ()], name, self._by_name, "The constructor")
        lines = [printable(text) for text in found]
        for line in lines:
            node.get_logger().warning(line)
        return lines

    def _converted_changes(self, changes: list[Parameter]) -> list[Parameter]:
        """Convert the values of changes to the declared types where that is possible."""
        from rclpy.parameter import Parameter

        converted = []
        for change in changes:
            spec = self._by_name.get(change.name)
            if spec is not None and change.type_ not in (spec.ros_type, Parameter.Type.NOT_SET):
                value = spec.converted(change.value)
                if spec.has_type_of(value):
                    change = Parameter(change.name, spec.ros_type, value)
            converted.append(change)
        return converted

    def values_of(self, node: Node) -> dict[str, Any]:
        """Return the present values by name."""
        return {spec.name: spec.converted(node.get_parameter(spec.name).value) for spec in self.specs}

    def settings_after(self, node: Node, changes: Iterable[Parameter]) -> Settings:
        """Return the settings of a configured node after a change of parameters.

        Raises:
            UserError: The change is invalid, or the parameter cannot be changed now.
        """
        values = self.values_of(node)
        for change in changes:
            spec = self._by_name.get(change.name)
            if spec is None:
                continue
            value = spec.converted(change.value)
            self._check_start_only(spec, value, values[change.name])
            if not spec.live and value != values[change.name]:
                raise UserError(
                    f"{change.name} is read when the node is configured", "Deactivate and clean it up first"
                )
            values[change.name] = value
        return self.settings_from(values)

    def check_alone(self, node: Node, changes: Iterable[Parameter]) -> None:
        """Check a change before the node is configured, independently of other values, so that each can be fixed alone.

        Raises:
            UserError: The change is invalid, or the parameter is set only at the start.
        """
        changed = {change.name: change.value for change in changes if change.name in self._by_name}
        for name, value in changed.items():
            spec = self._by_name[name]
            self._check_start_only(spec, spec.converted(value), spec.converted(node.get_parameter(name).value))
        self.settings_from({spec.name: spec.default for spec in self.specs} | changed)

    @staticmethod
    def _check_start_only(spec: ParameterSpec, value: Any, present: Any) -> None:
        if spec.start_only and value != present:
            raise UserError(
                f"{spec.name} is set only at the start of the node, because the node writes there",
                "Set it in the parameter file or in the launch, and start the node again",
            )

    def settings_from(self, values: Mapping[str, Any]) -> Settings:
        """Convert a complete set of values to settings.

        Raises:
            UserError: A value is out of its range or two values contradict each other.
        """
        converted = {name: self._by_name[name].converted(value) for name, value in values.items()}
        for name, value in converted.items():
            problem = self._by_name[name].problem_with(value)
            if problem:
                raise UserError(problem)
        return self._settings_of(converted)
