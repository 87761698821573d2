"""What the lifecycle nodes have in common: transitions that say why they fail, and a main function."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from crack_perception.errors import UserError
from crack_perception.recognition.backend import InferenceFailed


class TellingNode(LifecycleNode):
    """A lifecycle node with a parameter ``autostart``.

    Attributes:
        failure: Why the last transition failed; empty when it did not.
    """

    failure: str = ""

    def stop(self) -> None:
        """End the threads, and keep what must be kept, before the process ends."""
        raise NotImplementedError


Node = TypeVar("Node", bound=TellingNode)
_Transition = Callable[[Node, LifecycleState], TransitionCallbackReturn]


def telling_why(transition: _Transition[Node]) -> _Transition[Node]:
    """Log and keep what stops a transition: rclpy turns exceptions into ERROR without a word."""

    @wraps(transition)
    def told(self: Node, state: LifecycleState) -> TransitionCallbackReturn:
        name = transition.__name__.removeprefix("on_")
        try:
            result = transition(self, state)
        except (UserError, InferenceFailed) as error:
            self.failure = f"Cannot {name}: {error}"
            self.get_logger().error(self.failure)
            return TransitionCallbackReturn.FAILURE
        except Exception as error:
            self.failure = f"Cannot {name}: {type(error).__name__}: {error}"
            self.get_logger().error(self.failure)
            raise
        self.failure = ""
        return result

    return told


def run(make: Callable[[], TellingNode], args: list[str] | None = None) -> int:
    """Run a node until it is interrupted or shut down; the exit code."""
    rclpy.init(args=args)
    node = make()
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        if node.get_parameter("autostart").value and node.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            node.trigger_activate()
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.stop()
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()
    return 0
