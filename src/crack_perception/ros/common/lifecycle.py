# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Base class of the lifecycle nodes, which reports why a transition fails, and their main function."""

from __future__ import annotations

import logging
import os
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import TypeVar

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future

from crack_perception.errors import UserError, printable
from crack_perception.parameter_files import check_parameter_files
from crack_perception.recognition.backends.protocol import InferenceFailed
from crack_perception.ros.common.bond import ManagerBond
from crack_perception.ros.common.end_signals import EndSignals

# Characters of a log line; the errors of several parameters may stand in one.
_MOST_LOGGED = 2000

Node = TypeVar("Node", bound="ManagedNode")
_Transition = Callable[[Node, LifecycleState], TransitionCallbackReturn]


def report_failure(transition: _Transition[Node]) -> _Transition[Node]:
    """Decorate a transition so that it logs and keeps the reason of a failure, which rclpy does not log."""

    @wraps(transition)
    def reporting(self: Node, state: LifecycleState) -> TransitionCallbackReturn:
        name = transition.__name__.removeprefix("on_")
        try:
            result = transition(self, state)
        except (UserError, InferenceFailed) as error:
            self.failure = self.log_error(f"Cannot {name}: {error}")
            return TransitionCallbackReturn.FAILURE
        except Exception as error:
            self.failure = self.log_error(f"Cannot {name}: {type(error).__name__}: {error}")
            raise
        self.failure = ""
        return result

    return reporting


class ManagedNode(ABC, LifecycleNode):
    """Lifecycle node with a parameter ``autostart`` that reports why a transition fails.

    Attributes:
        failure: Why the last transition failed; empty when it did not.
        loss: What could not be saved when the node was stopped last; empty when everything was.
    """

    failure: str = ""
    loss: str = ""
    _bond: ManagerBond | None = None

    @property
    def bond(self) -> ManagerBond:
        """Bond with a lifecycle manager."""
        if self._bond is None:
            self._bond = ManagerBond(self)
        return self._bond

    def log_info(self, text: str) -> None:
        """Log a line, without control characters, which names of topics, frames and files may contain."""
        self.get_logger().info(printable(text, _MOST_LOGGED))

    def log_warning(self, text: str) -> None:
        """Log a warning; as ``log_info``."""
        self.get_logger().warning(printable(text, _MOST_LOGGED))

    def log_error(self, text: str) -> str:
        """Log an error and return its line; as ``log_info``."""
        line = printable(text, _MOST_LOGGED)
        self.get_logger().error(line)
        return line

    @abstractmethod
    def free(self) -> None:
        """Release what the configure transition acquired, and remove the outputs from the graph."""

    @abstractmethod
    def stop(self) -> None:
        """End the threads, save, publish the last diagnostics and free, from any state."""

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Activate the publishers and open the bond."""
        result = super().on_activate(state)
        self.bond.open()
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close the bond and deactivate the publishers."""
        self.bond.close()
        return super().on_deactivate(state)

    @report_failure
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Return to the unconfigured state."""
        self.free()
        return TransitionCallbackReturn.SUCCESS

    @report_failure
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Save and free, from whatever state.

        The process stays, finalized and without timers, until a signal ends it: lifecycle managers and launch watch
        the process and would take its exit for a crash.
        """
        self.bond.close()
        self.stop()
        for timer in self.timers:
            timer.cancel()
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Return to the unconfigured state after a transition raised an exception."""
        self.bond.close()
        self.stop()
        return TransitionCallbackReturn.SUCCESS


def _start_ros(args: list[str] | None) -> None:
    """Initialise ROS.

    Raises:
        UserError: The command line or one of its parameter files is invalid.
    """
    check_parameter_files(sys.argv if args is None else args)
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    except Exception as error:  # RCLError and others of rclpy's compiled part
        raise UserError(f"ROS cannot start: {error}", "Check what follows --ros-args") from error


def run(make: Callable[[], ManagedNode], args: list[str] | None = None) -> int:
    """Run a node until a signal or a shutdown of its context.

    Returns:
        Exit code: 0, 1 when something could not be saved at the end, 2 for a wrong command line.

    The callback or transition in progress is finished, then timers stop, the node saves and publishes its last
    diagnostics, and only then the context is shut down. Further signals have no effect.
    """
    ended: Future[None] = Future()

    def end(number: int) -> None:
        if not ended.done():
            ended.set_result(None)

    with EndSignals(end):
        try:
            _start_ros(args)
        except UserError as error:
            print(printable(str(error), _MOST_LOGGED), file=sys.stderr)
            return 2
        try:
            code = _run_until(make, ended)
        finally:
            rclpy.try_shutdown()
    _end_at_once_if_threads_remain(code)
    return code


def _run_until(make: Callable[[], ManagedNode], ended: Future[None]) -> int:
    """Create the node, spin until the future is done, and bring the node down; the exit code."""
    node = make()
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        is_configured = (
            node.get_parameter("autostart").value
            and not ended.done()
            and node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        )
        if is_configured and not ended.done():
            node.trigger_activate()
        executor.spin_until_future_complete(ended)
    except ExternalShutdownException:
        pass
    finally:
        for timer in node.timers:
            timer.cancel()
        node.bond.close()
        node.stop()
        executor.shutdown()
        node.destroy_node()
    return 1 if node.loss else 0


def _end_at_once_if_threads_remain(code: int) -> None:
    """Exit now if a thread still works, on a plan or a disk that does not answer.

    All that can be saved is saved. The interpreter would end that thread inside native code, which aborts the process.
    """
    if threading.active_count() > 1:
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
