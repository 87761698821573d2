# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""crack_mapper: the lifecycle node that fuses the detections of all sources into one persistent map."""

from __future__ import annotations

import math
import time
from concurrent import futures
from typing import TypeVar

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from map_msgs.srv import GetPointMapROI
from rcl_interfaces.msg import SetParametersResult
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.task import Future
from sensor_msgs.msg import CompressedImage, PointCloud2
from std_msgs.msg import Header
from std_srvs.srv import Trigger

from crack_perception.errors import UserError
from crack_perception.geometry.poses.checks import too_far_from_origin
from crack_perception.ros.common.crack_points import CRACK_POINT, cloud_of
from crack_perception.ros.common.diagnostics import DiagnosticsPacer, check_interval_s, diagnostic_array
from crack_perception.ros.common.frame_statistics import FrameStatistics
from crack_perception.ros.common.health import Health
from crack_perception.ros.common.lifecycle import ManagedNode, report_failure, run
from crack_perception.ros.common.stamps import stamp_ns
from crack_perception.ros.mapper.coverage import CoveragePublisher
from crack_perception.ros.mapper.diagnostics import evidence_figures, map_figures
from crack_perception.ros.mapper.inputs import MapperInputs
from crack_perception.ros.mapper.keeper import MapKeeper
from crack_perception.ros.mapper.messages import inside
from crack_perception.ros.mapper.observation import BadFrame, observation_of, view_of
from crack_perception.ros.mapper.pairing import FrameMessages
from crack_perception.ros.mapper.parameters import TABLE, MapperSettings
from crack_perception.ros.mapper.photographs import BadPhotograph, photograph_of_message
from crack_perception.ros.mapper.publisher import MapPublisher

_PROBLEM_MEMORY_S = 3.0
_TICK_S = 0.05
_SLOW_DISK_S = 3.0
# Longest wait of a reset for the disk.
_RESET_S = 30.0
# How long the end waits for a disk that makes no progress, twice: for the tables and then for the database. Together
# less than drone.launch.py's sigkill_timeout.
_DISK_PATIENCE_S = 15.0

Result = TypeVar("Result")


class CrackMapper(ManagedNode):
    """The crack map of one or several cameras.

    Configure opens the database, activate subscribes and maps, deactivate saves, cleanup closes the database. Mapping
    runs in the executor's thread; the disk is accessed in a separate thread.
    """

    def __init__(self, parameter_overrides: list[Parameter] | None = None) -> None:
        super().__init__("crack_mapper", parameter_overrides=parameter_overrides)
        self._bad_overrides = TABLE.declare(self)
        self._ineffective_settings = TABLE.report_ineffective(self, parameter_overrides)
        self._settings: MapperSettings | None = None
        self._keeper: MapKeeper | None = None
        self._publisher: MapPublisher | None = None
        self._coverage: CoveragePublisher | None = None
        self._inputs: MapperInputs | None = None
        self._health = Health(self.log_warning)
        self._statistics = FrameStatistics()
        self._incomplete_before = 0
        self._save_at_s = 0.0
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # Not the node's clock: a simulated clock that stands still must not stop the saving.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._pacer = DiagnosticsPacer()
        self._period_s = float(self.get_parameter("diagnostics_period_s").value)
        self._timer = self.create_timer(check_interval_s(self._period_s), self._on_timer, clock=steady)
        self._ticks = self.create_timer(_TICK_S, self._on_tick, clock=steady)
        # A separate group: frames are mapped while files are written.
        slow = MutuallyExclusiveCallbackGroup()
        self.create_service(Trigger, "~/save", self._on_save, callback_group=slow)
        self.create_service(Trigger, "~/reset", self._on_reset, callback_group=slow)
        self.create_service(GetPointMapROI, "~/query", self._on_query)
        self.add_on_set_parameters_callback(self._on_parameters)

    @report_failure
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Check the parameters, open the database, create the outputs."""
        if self._bad_overrides:
            raise UserError("; ".join(self._bad_overrides.values()), "Set them to valid values and configure again")
        self.bond.check()
        settings = TABLE.settings_from(TABLE.values_of(self))
        self._health = Health(self.log_warning)
        self._statistics = FrameStatistics()
        self._incomplete_before = 0
        self._keeper = MapKeeper(settings)
        self._publisher = MapPublisher(self, settings)
        self._coverage = CoveragePublisher(self, settings, self._health)
        self._settings = settings
        self._period_s = settings.diagnostics_period_s
        self._timer.timer_period_ns = int(check_interval_s(self._period_s) * 1e9)
        self._timer.reset()
        if self._keeper.rescue:
            self._health.report("database_rescued", self._keeper.rescue)
        for crack in self._keeper.cracks():
            if too_far := too_far_from_origin(crack.line_m):
                self._health.report("far_from_origin", f"A crack of the map is not exact in ~/map_points: {too_far}")
                break
        place = settings.database or "no file (it ends with the node)"
        self.log_info(f"The map has {len(self._keeper.cracks())} cracks and is kept in {place}")
        return super().on_configure(state)

    @report_failure
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Publish the map, then subscribe to the sources."""
        assert self._settings and self._keeper and self._publisher  # set by on_configure
        inputs = MapperInputs(
            self, self._settings, self._on_frame, self._on_photograph, self._on_footprint, self._health
        )
        result = super().on_activate(state)
        self._inputs = inputs
        self._publisher.use(self._settings)
        self._publisher.publish(self._keeper.cracks())
        if self._coverage is not None:
            self._coverage.use(self._settings)
        self.log_info(f"Mapping the detections of {', '.join(self._settings.sources)}")
        return result

    @report_failure
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe, map and save the frames that have arrived, report the final figures."""
        self._unsubscribe()
        self._export_at_end()
        self._publish_diagnostics()
        return super().on_deactivate(state)

    def stop(self) -> None:
        """Save everything, report the final figures, and free."""
        if self._keeper is not None:
            self.loss = ""  # of an earlier end; this one saves all of it
        self._unsubscribe()
        self._export_at_end()
        if self.context.ok():
            self._publish_diagnostics()
        self.free()

    def _unsubscribe(self) -> None:
        if self._inputs is not None:
            self._inputs.process_rest()
            if self._keeper is not None:
                self._keeper.place_photographs(all_of_them=True)
            self._incomplete_before += self._inputs.incomplete_frames
            self._inputs.destroy()
            self._inputs = None

    def _export_at_end(self) -> None:
        """Write the tables if they are enabled and out of date; a failure is logged, the database holds all data.

        The plan is left to ``crack_perception plan``: drawing a large map takes longer than a shutdown may take.
        """
        if self._keeper is None or self._settings is None:
            return
        self._keeper.flush()
        wanted = self._settings.save_on_shutdown and self._settings.output_folder is not None
        if not wanted or self._keeper.is_exported:
            return
        try:
            paths = self._keeper.export_tables_at_end(self._settings, _DISK_PATIENCE_S)
            self.log_info(f"Saved {', '.join(map(str, paths))}")
            if self._settings.database is not None:
                self.log_info(f"Draw the plan with: crack_perception plan {self._settings.database}")
        except Exception as error:
            self._report_loss(f"The map was not exported completely: {error}")

    def free(self) -> None:
        if self._keeper is not None:
            self._keeper.stop(_DISK_PATIENCE_S)
            if self._keeper.failure:
                self._report_loss(f"The newest changes are lost: {self._keeper.failure}")
            elif self._keeper.unsaved_s:
                self._report_loss("The newest changes may be lost: the disk does not answer")
            self._keeper = None
        if self._publisher is not None:
            self._publisher.destroy()
            self._publisher = None
        if self._coverage is not None:
            self._coverage.destroy()
            self._coverage = None
        self._settings = None

    def _report_loss(self, text: str) -> None:
        self.loss = self.log_error(text)

    def _on_frame(self, source: str, frame: FrameMessages) -> None:
        assert self._settings and self._keeper and frame.detections  # there are inputs only while the node is active
        began_s = time.monotonic()
        self._statistics.count_received()
        try:
            sigma_m = self._settings.unknown_position_sigma_m
            self._keeper.add(observation_of(frame, source, self._settings.map_frame, sigma_m, self._health.report))
        except BadFrame as error:
            self._fail(error.kind, str(error))
        except Exception as error:  # one frame must not end the mapping
            self._fail("internal", f"A frame was not mapped, please report it: {type(error).__name__}: {error}")
        else:
            done_s = time.monotonic()
            age_ms = (self.get_clock().now().nanoseconds - stamp_ns(frame.detections.header.stamp)) / 1e6
            self._statistics.count_processed(age_ms, (done_s - began_s) * 1000.0, done_s)

    def _on_photograph(self, source: str, message: CompressedImage) -> None:
        assert self._settings and self._keeper
        try:
            self._keeper.offer_photograph(*photograph_of_message(message, source, self._settings.map_frame))
        except BadPhotograph as error:
            self._keeper.count_damaged_photograph()
            self._health.report("bad_photograph", f"A photograph of '{source}' was refused: {error}")
        except Exception as error:  # one photograph must not end the mapping
            self._keeper.count_damaged_photograph()
            self._health.report(
                "internal", f"A photograph was not kept, please report it: {type(error).__name__}: {error}"
            )

    def _on_footprint(self, source: str, message: PointCloud2) -> None:
        assert self._settings and self._keeper
        try:
            view = view_of(message, source, self._settings.map_frame)
            if view is not None:
                self._keeper.add_view(source, view)
        except BadFrame as error:
            self._health.report(error.kind, str(error))
        except Exception as error:  # one footprint must not end the mapping
            self._health.report(
                "internal", f"A footprint was not added, please report it: {type(error).__name__}: {error}"
            )

    def _fail(self, kind: str, text: str) -> None:
        self._statistics.count_failed()
        self._health.report(kind, text)

    def _on_tick(self) -> None:
        if self._inputs is None or self._keeper is None or self._settings is None or self._publisher is None:
            return
        self._inputs.receive()
        self._keeper.place_photographs()
        now_s = time.monotonic()
        if now_s >= self._save_at_s:
            self._save_at_s = now_s + self._settings.save_period_s
            self._keeper.flush()
        self._publisher.publish(self._keeper.cracks())
        if self._coverage is not None:
            self._coverage.publish(self._keeper)

    async def _on_save(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            keeper, settings = self._current_map()
            paths = await _awaitable(keeper.export(settings, with_plan=True))
            response.success, response.message = True, f"Saved {', '.join(map(str, paths))}"
        except Exception as error:  # reported to the caller; the node stays alive
            response.success, response.message = False, f"Not saved: {error}"
        return response

    async def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            keeper = self._current_map()[0]
            archived = await _awaitable(keeper.archive(_RESET_S))
            keeper.reset()
            kept = f"the previous one is kept as {archived}" if archived else "the previous one had no file and is lost"
            response.success, response.message = True, f"The map is empty, {kept}"
        except Exception as error:
            response.success, response.message = False, f"Not reset: {error}"
        return response

    def _on_query(self, request: GetPointMapROI.Request, response: GetPointMapROI.Response) -> GetPointMapROI.Response:
        self._receive()
        header = Header(stamp=self.get_clock().now().to_msg())
        rows = np.zeros(0, CRACK_POINT)
        if self._keeper and self._publisher and self._settings:
            header.frame_id = self._settings.map_frame
            rows = self._publisher.rows(self._keeper.cracks())
        region = (request.x, request.y, request.z, request.r, request.l_x, request.l_y, request.l_z)
        if any(map(math.isnan, region)):
            self._health.report("bad_query", f"A query has the region {region}, which holds NaN. Send finite numbers")
        response.sub_map = cloud_of(header, inside(rows, region[:3], region[3], region[4:]))
        return response

    def _current_map(self) -> tuple[MapKeeper, MapperSettings]:
        """Return the map, with all frames that have arrived, and the settings."""
        if self._keeper is None or self._settings is None:
            raise UserError("there is no map", "Configure the node first")
        self._receive()
        return self._keeper, self._settings

    def _receive(self) -> None:
        if self._inputs is not None:
            self._inputs.receive()

    def _on_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        try:
            if self._settings is None:
                TABLE.check_alone(self, changes)
            else:
                self._settings = TABLE.settings_after(self, changes)
        except UserError as error:
            return SetParametersResult(successful=False, reason=str(error))
        for change in changes:
            self._bad_overrides.pop(change.name, None)
        if self._publisher is not None and self._settings is not None:
            self._publisher.use(self._settings)
        if self._coverage is not None and self._settings is not None:
            self._coverage.use(self._settings)
        return SetParametersResult(successful=True)

    def _on_timer(self) -> None:
        if not self._pacer.is_due(time.monotonic(), self._faults()):
            return
        if self._inputs is not None:
            self._inputs.check_publishers()
        if self._keeper is not None and self._settings is not None:
            unsaved_s = self._keeper.unsaved_s
            if unsaved_s > self._settings.save_period_s + _SLOW_DISK_S:
                self._health.report("slow_disk", f"Changes have waited {unsaved_s:.0f} s for the disk. Check the disk")
        self._publish_diagnostics()

    def _failure(self) -> str:
        return self.failure or (self._keeper.failure if self._keeper else "")

    def _faults(self) -> tuple[object, ...]:
        """Return everything that determines level and state of the diagnostics, to detect changes."""
        return self._state(), self._failure(), self._health.present_kinds(_PROBLEM_MEMORY_S)

    def _state(self) -> str:
        return "active" if self._inputs else "inactive" if self._settings else "unconfigured"

    def _publish_diagnostics(self) -> None:
        self._pacer.note_published(time.monotonic(), self._faults(), self._period_s)
        keeper = self._keeper
        figures = {"state": self._state()}
        if self._settings is not None and keeper is not None:
            figures["sources"] = ", ".join(self._settings.sources)
            figures["database"] = str(self._settings.database or "none")
            figures["unsaved_s"] = f"{keeper.unsaved_s:.1f}"
            incomplete = self._incomplete_before + (self._inputs.incomplete_frames if self._inputs else 0)
            figures |= evidence_figures(keeper.evidence)
            if self._coverage is not None:
                figures |= self._coverage.figures()
                figures["views_without_coverage"] = str(keeper.coverage.refused)
            figures |= map_figures(keeper.cracks(), self._statistics.snapshot(time.monotonic()), incomplete)
            refused = [f"{count} times {reason}" for reason, count in sorted(keeper.refused.items())]
            figures["lines_refused"] = "; ".join(refused) or "0"
        if self._ineffective_settings:
            figures["problems_parameters"] = str(len(self._ineffective_settings))
        figures |= {f"problems_{kind}": str(count) for kind, count in self._health.counts().items()}
        self._diagnostics.publish(
            diagnostic_array(
                self.get_clock().now().to_msg(),
                self.get_fully_qualified_name(),
                "crack map",
                self._failure(),
                [*self._ineffective_settings, *self._health.present(_PROBLEM_MEMORY_S)],
                figures,
                part="crack map",
            )
        )


def _awaitable(outcome: futures.Future[Result]) -> Future[Result]:
    """Convert the result of another thread to a future that a callback can await while others run."""
    awaited: Future[Result] = Future()

    def settle(done: futures.Future[Result]) -> None:
        error = done.exception()
        if error is None:
            awaited.set_result(done.result())
        else:
            awaited.set_exception(error)

    outcome.add_done_callback(settle)
    return awaited


def main(args: list[str] | None = None) -> int:
    """Run the node until it is interrupted or shut down."""
    return run(CrackMapper, args)
