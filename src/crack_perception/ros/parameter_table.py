"""A node's parameters as one table that declares, checks and documents them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from crack_perception.errors import UserError

Value = bool | int | float | str | list[float] | list[str]


@dataclass(frozen=True)
class ParameterSpec:
    """One parameter.

    Attributes:
        name, default, description: As declared.
        lower, upper: Inclusive range of a number.
        choices: Allowed values of a text.
        length: Number of elements of an array; None for any.
        live: Takes effect at the next frame; the others are read when the node is configured and cannot be changed
            before it is cleaned up.
    """

    name: str
    default: Value
    description: str
    lower: float | None = None
    upper: float | None = None
    choices: tuple[str, ...] = ()
    length: int | None = None
    live: bool = False

    def problem_with(self, value: Any) -> str:
        """Why this value cannot be taken; empty if it can."""
        if self.choices and value not in self.choices:
            return f"{self.name} must be one of {', '.join(self.choices)}, got '{value}'"
        if isinstance(self.default, list):
            if self.length is not None and len(value) != self.length:
                return f"{self.name} takes {self.length} numbers, got {len(value)}"
            if not all(isinstance(element, str) or math.isfinite(element) for element in value):
                return f"{self.name} must hold finite numbers"
        elif isinstance(self.default, float):
            if not math.isfinite(value):
                return f"{self.name} must be a finite number"
            if self.lower is not None and self.upper is not None and not self.lower <= value <= self.upper:
                return f"{self.name} must lie between {self.lower:g} and {self.upper:g}, got {value:g}"
        return ""

    def descriptor(self) -> ParameterDescriptor:
        """Type, range and description for the ROS graph."""
        descriptor = ParameterDescriptor(name=self.name, description=self.description)
        if self.choices:
            descriptor.additional_constraints = f"one of {', '.join(self.choices)}"
        if self.lower is not None and self.upper is not None:
            if isinstance(self.default, float):
                descriptor.floating_point_range = [FloatingPointRange(from_value=self.lower, to_value=self.upper)]
            else:
                descriptor.integer_range = [IntegerRange(from_value=int(self.lower), to_value=int(self.upper), step=1)]
        return descriptor


Settings = TypeVar("Settings")


class ParameterTable(Generic[Settings]):
    """All parameters of a node.

    Args:
        specs: One each.
        settings_of: Makes settings of a complete set of values; raises UserError where two values contradict each
            other. Every value has been checked by its own spec.
    """

    def __init__(self, specs: tuple[ParameterSpec, ...], settings_of: Callable[[Mapping[str, Any]], Settings]) -> None:
        self.specs = specs
        self._by_name = {spec.name: spec for spec in specs}
        self._settings_of = settings_of

    def declare(self, node: Node) -> dict[str, str]:
        """Declare every parameter with type, range and description.

        Returns:
            For every parameter whose start value (command line, launch file, YAML) cannot be taken: why. It then holds
            its default.
        """
        refused = {}
        for spec in self.specs:
            try:
                node.declare_parameter(spec.name, spec.default, spec.descriptor())
            except (InvalidParameterTypeException, InvalidParameterValueException) as error:
                refused[spec.name] = f"the start value of {spec.name} cannot be taken: {error}"
                node.declare_parameter(spec.name, spec.default, spec.descriptor(), ignore_override=True)
        return refused

    def values_of(self, node: Node) -> dict[str, Any]:
        """The present values by name."""
        return {spec.name: node.get_parameter(spec.name).value for spec in self.specs}

    def settings_after(self, node: Node, changes: Iterable[Parameter]) -> Settings:
        """The settings of a configured node after a change of parameters.

        Raises:
            UserError: The change cannot be taken, with a reason a person can act on.
        """
        values = self.values_of(node)
        for change in changes:
            spec = self._by_name.get(change.name)
            if spec is None:
                continue
            if not spec.live and change.value != values[change.name]:
                raise UserError(
                    f"{change.name} is read when the node is configured", "Deactivate and clean it up first"
                )
            values[change.name] = change.value
        return self.settings_from(values)

    def check_alone(self, changes: Iterable[Parameter]) -> None:
        """Judge a change before the node is configured: by itself, so that bad values can be mended one by one.

        Raises:
            UserError: As in ``settings_after``.
        """
        defaults = {spec.name: spec.default for spec in self.specs}
        self.settings_from(defaults | {change.name: change.value for change in changes if change.name in self._by_name})

    def settings_from(self, values: Mapping[str, Any]) -> Settings:
        """The settings that a complete set of values makes.

        Raises:
            UserError: A value is out of its range or two values contradict each other.
        """
        for name, value in values.items():
            problem = self._by_name[name].problem_with(value)
            if problem:
                raise UserError(problem)
        return self._settings_of(values)
