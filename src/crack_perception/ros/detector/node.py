# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""crack_node: lifecycle node that detects cracks in a camera stream.

It owns the lifecycle, the parameters and the diagnostics; subscriptions, processing and publishers are in the modules
beside it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter

from crack_perception.errors import UserError
from crack_perception.paths import user_path
from crack_perception.recognition.backends.protocol import InferenceBackend
from crack_perception.recognition.backends.selection import open_backend
from crack_perception.recognition.backends.tuning import Tuning, tune
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.recognition.model_choice import AUTO_MODEL, choose_model
from crack_perception.recognition.models import LoadedModel, load_model
from crack_perception.recognition.scheduling import TileCoverage
from crack_perception.ros.common.diagnostics import DiagnosticsPacer, check_interval_s, diagnostic_array, frame_figures
from crack_perception.ros.common.frame_statistics import FrameStatistics
from crack_perception.ros.common.health import Health
from crack_perception.ros.common.lifecycle import ManagedNode, report_failure, run
from crack_perception.ros.detector import parameters
from crack_perception.ros.detector.camera_infos import CameraInfos
from crack_perception.ros.detector.camera_poses import FirstAvailable
from crack_perception.ros.detector.diagnostics import (
    centre_figures,
    coverage_figures,
    listener_figures,
    photograph_figures,
    pose_figures,
)
from crack_perception.ros.detector.hover_filter import HoverFilter
from crack_perception.ros.detector.image_conversion import FrameConverter, ImageInput
from crack_perception.ros.detector.inputs import InputSubscriptions, image_type
from crack_perception.ros.detector.photographer import Photographer, PhotographFigures
from crack_perception.ros.detector.pose_inputs import check_pose_inputs
from crack_perception.ros.detector.processor import CentreView, FrameProcessor
from crack_perception.ros.detector.publisher import ResultPublisher
from crack_perception.ros.detector.surface_sources import SurfaceSources
from crack_perception.ros.detector.tile_collector import TileCollector, default_folder
from crack_perception.ros.detector.warm_up import warm_up
from crack_perception.ros.detector.worker import FrameWorker, can_pipeline
from crack_perception.vision.images.jpeg.decoding import missing_decoder

# A fault stays in the diagnostics for this long after its last occurrence.
_PROBLEM_MEMORY_S = 3.0
# Number of consecutive failed frames that is reported as an error: single bad images are normal.
_FAILED_IN_A_ROW = 3
# A step that processes one frame for longer than this (without the wait for its pose) is blocked.
_BLOCKED_S = 5.0


class CrackNode(ManagedNode):
    """Lifecycle node that detects cracks in a camera stream.

    Configure loads the model and runs the warm-up, activate starts subscriptions and results, deactivate stops them,
    cleanup releases all resources. After a failed transition the node stays alive; the log and the diagnostics report
    the reason.

    Args:
        parameter_overrides: Parameter values that take precedence over the defaults.
    """

    def __init__(self, parameter_overrides: list[Parameter] | None = None) -> None:
        super().__init__("crack_node", parameter_overrides=parameter_overrides)
        self._bad_overrides = parameters.declare(self)
        self._ineffective_settings = parameters.report_ineffective(self, parameter_overrides)
        self._settings: parameters.Settings | None = None
        self._active = False
        self._health = Health(self.log_warning)
        self._statistics = FrameStatistics()
        self._detector: FrameDetector | None = None
        self._backend_notes: list[str] = []
        self._tuning: Tuning | None = None
        self._jpeg_decoder = ""
        self._publisher: ResultPublisher | None = None
        self._inputs: InputSubscriptions | None = None
        self._poses: FirstAvailable | None = None
        self._surfaces: SurfaceSources | None = None
        self._processor: FrameProcessor | None = None
        self._worker: FrameWorker | None = None
        self._photographs = PhotographFigures()
        self._collector: TileCollector | None = None
        self._lost_before = 0
        self._last_image_s = 0.0
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # Not the node's clock: a simulated clock that has stopped must not stop the diagnostics.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._pacer = DiagnosticsPacer()
        self._period_s = float(self.get_parameter("diagnostics_period_s").value)
        self._timer = self.create_timer(check_interval_s(self._period_s), self._on_timer, clock=steady)
        self.add_on_set_parameters_callback(self._on_parameters)

    @report_failure
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Check the parameters, load the model, run the warm-up and create the publishers."""
        if self._bad_overrides:
            raise UserError("; ".join(self._bad_overrides.values()), "Set them to valid values and configure again")
        self.bond.check()
        settings = parameters.settings_from(parameters.values_of(self))
        check_pose_inputs(settings)
        image_type(settings.image_transport)
        FrameConverter(settings.image_bridge)
        notes: list[str] = []
        model, backend, tuning = self._open_model(settings, notes)
        detector = FrameDetector(model, backend, settings.tile_overlap)
        detector.warm_up()
        warm_up(settings)
        self._publisher = ResultPublisher(self)
        self._detector = detector
        self._backend_notes = notes
        self._tuning = tuning
        self._settings = settings
        self._period_s = settings.diagnostics_period_s
        self._timer.timer_period_ns = int(check_interval_s(self._period_s) * 1e9)
        self._timer.reset()
        self._health = Health(self.log_warning)
        self._statistics = FrameStatistics()
        self._lost_before = 0
        shape = f", {tuning}" if tuning else ""
        self.log_info(f"Model '{model.name}' ({model.sha256[:12]}) runs on {backend.description}{shape}")
        for note in notes:
            self.log_warning(note)
        self._jpeg_decoder = ""
        if settings.image_transport == "compressed":
            note = missing_decoder()
            self._jpeg_decoder = f"OpenCV: {note}" if note else "simplejpeg"
            if note:
                self.log_warning(note)
        return super().on_configure(state)

    def _open_model(
        self, settings: parameters.Settings, notes: list[str]
    ) -> tuple[LoadedModel, InferenceBackend, Tuning | None]:
        """Load the model, open its backend and tune it; adds to the notes what has to be reported all the time."""
        tunings: dict[str, Tuning | None] = {}

        def opened(model: LoadedModel) -> InferenceBackend:
            backend = open_backend(settings.backend, model, settings.inference_threads, notes.append)
            tunings[model.name] = tune(backend, model)
            return backend

        if settings.model != AUTO_MODEL:
            model = load_model(settings.model)
            return model, opened(model), tunings[model.name]
        choice = choose_model(settings.stream, opened)
        sustained = f"about {choice.sustained_hz:.1f} Hz of {settings.stream.width_px} x {settings.stream.height_px} px"
        self.log_info(f"Model 'auto' is '{choice.model.name}', which sustains {sustained} on this machine")
        if not choice.is_enough:
            notes.append(
                f"No model sustains expected_rate_hz {settings.stream.rate_hz:g}: the fastest, '{choice.model.name}', "
                f"sustains {sustained}, and images will be dropped"
            )
        return choice.model, choice.backend, tunings[choice.model.name]

    @report_failure
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Create the subscriptions and start the threads."""
        assert self._settings and self._detector and self._publisher  # set by on_configure
        cameras = CameraInfos(self._settings.image_is_rectified, self.resolve_topic_name("image"))
        self._surfaces = SurfaceSources(self._settings, self._health)
        self._inputs = InputSubscriptions(
            self, self._settings, self._on_image, self._on_refused, cameras, self._surfaces, self._health
        )
        self._poses = self._inputs.poses
        self._processor = FrameProcessor(
            self._detector,
            FrameConverter(
                self._settings.image_bridge,
                self._settings.image_bits,
                self.resolve_topic_name("image"),
                self._settings.image_is_visible_light,
            ),
            cameras,
            self._poses,
            self._surfaces,
            self._health,
            self._inputs.receive,
        )
        self._collector = self._open_collector(self._settings)
        self._worker = FrameWorker(
            HoverFilter(self._poses),
            self._processor,
            self._publisher,
            self._statistics,
            self._health,
            self._current_settings,
            lambda: self.get_clock().now().nanoseconds,
            can_pipeline(),
            self._photographer,
            self._collector.offer if self._collector else None,
        )
        result = super().on_activate(state)
        self._worker.start()
        self._active = True
        self._last_image_s = time.monotonic()
        self._publisher.publish_labels(self._settings, self._threshold(), self._has_structure_score())
        self.log_info(f"Detecting cracks on '{self._inputs.image_topic}'")
        return result

    @report_failure
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Destroy the subscriptions, finish the frames in progress and publish the final diagnostics."""
        self._stop()
        self._publish_diagnostics()
        return super().on_deactivate(state)

    def stop(self) -> None:
        """End the threads, publish the final diagnostics and release all resources."""
        self._stop()
        if self.context.ok():
            self._publish_diagnostics()
        self.free()

    def _stop(self) -> None:
        self._active = False
        if self._inputs is not None:
            self._lost_before += self._inputs.lost_images
            self._inputs.destroy()
            self._inputs = None
        if self._worker is not None:
            self._worker.stop()
            self._photographs = self._worker.photographs
            self._worker = None
        if self._collector is not None:
            self._collector.stop()
            self._collector = None

    def free(self) -> None:
        """Release publishers, model and backend."""
        if self._publisher is not None:
            self._publisher.destroy()
            self._publisher = None
        if self._detector is not None:
            self._detector.backend.close()
            self._detector = None
            self._tuning = None
            self._jpeg_decoder = ""
            self._backend_notes = []
        self._processor = self._poses = self._surfaces = None
        self._settings = None

    def _photographer(self, has_backlog: Callable[[], bool]) -> Photographer:
        assert self._detector and self._publisher
        model = self._detector.model
        name = self.get_fully_qualified_name()
        return Photographer(self._publisher, name, model.name, model.sha256, has_backlog, self._health)

    def _current_settings(self) -> parameters.Settings:
        assert self._settings is not None  # the worker only runs while the node is configured
        return self._settings

    def _threshold(self) -> float:
        assert self._settings and self._detector
        return self._settings.threshold or self._detector.model.threshold

    def _has_structure_score(self) -> bool:
        assert self._detector
        return self._detector.model.has_structure_score

    def _open_collector(self, settings: parameters.Settings) -> TileCollector | None:
        """Start collecting tiles where asked for; a folder that cannot be used only gives a warning."""
        if not settings.collect_tiles:
            return None

        def report(reason: str) -> None:
            self._health.report("collect_tiles", reason)

        try:
            text = settings.collect_tiles_folder
            folder = user_path(text, "collect_tiles_folder") if text else default_folder()
            return TileCollector(folder, settings.collect_tiles, self._threshold, report)
        except UserError as error:
            report(f"No tiles are collected: {error}")
            return None

    def _on_image(self, message: ImageInput) -> None:
        self._last_image_s = time.monotonic()
        if self._worker is not None:
            self._worker.offer(message)

    def _on_refused(self, reason: str) -> None:
        self._last_image_s = time.monotonic()
        if self._worker is not None:
            self._worker.refuse(reason)

    def _on_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        try:
            if self._settings is None:
                parameters.check_alone(self, changes)
            else:
                self._settings = parameters.settings_after(self, changes)
        except UserError as error:
            return SetParametersResult(successful=False, reason=str(error))
        for change in changes:
            self._bad_overrides.pop(change.name, None)
        if self._active and self._publisher is not None and self._settings is not None:
            self._publisher.publish_labels(self._settings, self._threshold(), self._has_structure_score())
        return SetParametersResult(successful=True)

    def _on_timer(self) -> None:
        now_s = time.monotonic()
        is_silent = self._is_silent(now_s)
        if not is_silent:
            self._health.resolve("no_image")
        is_due = self._pacer.is_due(now_s, self._faults(is_silent))
        if is_silent and is_due and self._inputs is not None:
            self._health.report("no_image", self._inputs.explain_silence())
        if is_due:
            self._publish_diagnostics()

    def _is_silent(self, now_s: float) -> bool:
        """Return whether the node is active and has received no image for ``no_image_warning_s``."""
        if not self._active or self._settings is None:
            return False
        return now_s - self._last_image_s > self._settings.no_image_warning_s

    def _blocked_s(self) -> float:
        """Return the time that a blocked step has spent on one frame [s]; 0 if no step is blocked."""
        if self._worker is None or self._settings is None:
            return 0.0
        blocked_s = self._worker.blocked_s()
        return blocked_s if blocked_s > _BLOCKED_S + self._settings.pose_timeout_s else 0.0

    def _failed_in_a_row(self) -> int:
        """Return the number of consecutive failed frames; 0 if they are few or the last failure is not recent."""
        failed = self._statistics.failed_in_a_row
        is_recent = self._health.present_kinds(_PROBLEM_MEMORY_S) & {"bad_image", "inference", "internal"}
        return failed if is_recent and failed >= _FAILED_IN_A_ROW else 0

    def _faults(self, is_silent: bool) -> tuple[object, ...]:
        """Return everything that determines level and state of the diagnostics; they are published when it changes."""
        kinds = self._health.present_kinds(_PROBLEM_MEMORY_S)
        is_blocked, is_failing = bool(self._blocked_s()), bool(self._failed_in_a_row())
        return self._state(), self.failure, is_silent, is_blocked, is_failing, kinds

    def _state(self) -> str:
        return "active" if self._active else "inactive" if self._settings else "unconfigured"

    def _failure(self, is_silent: bool) -> str:
        """Return why the node gives no results, for level ERROR; empty if it works."""
        if self.failure:
            return self.failure
        if is_silent and self._inputs is not None:
            return self._inputs.explain_silence()
        blocked_s = self._blocked_s()
        if blocked_s:
            return (
                f"One frame has been in progress for {blocked_s:.0f} s: the backend does not answer. Restart the node"
            )
        failed = self._failed_in_a_row()
        return f"No frame is processed: the last {failed} failed" if failed else ""

    def _publish_diagnostics(self) -> None:
        now_s = time.monotonic()
        is_silent = self._is_silent(now_s)
        self._pacer.note_published(now_s, self._faults(is_silent), self._period_s)
        figures: dict[str, str] = {"state": self._state()}
        figures |= frame_figures(self._statistics.snapshot(now_s))
        hardware_id = "no model"
        if self._detector is not None:
            model = self._detector.model
            hardware_id = model.name
            figures["model_name"] = model.name
            figures["model_sha256"] = model.sha256
            figures["backend"] = self._detector.backend.description
            figures |= self._tuning.figures() if self._tuning else {}
        if self._jpeg_decoder:
            figures["jpeg_decoder"] = self._jpeg_decoder
        lost = self._lost_before + (self._inputs.lost_images if self._inputs else 0)
        figures["frames_lost_in_transport"] = str(lost)
        if self._inputs is not None and self._inputs.video is not None:
            figures |= self._inputs.video.figures()
        figures |= pose_figures(self._poses)
        skipped = self._processor.measurement.skipped if self._processor else 0
        figures["regions_left_unmeasured"] = str(skipped)
        figures |= coverage_figures(self._processor.coverage if self._processor else TileCoverage())
        if self._collector is not None:
            figures["tiles_collected"] = str(self._collector.written)
        resolvable_px = self._settings.resolvable_width_px if self._settings else 0.0
        figures |= centre_figures(self._processor.centre if self._processor else CentreView(), resolvable_px)
        figures |= photograph_figures(self._worker.photographs if self._worker else self._photographs)
        figures |= listener_figures(self._publisher.listeners() if self._publisher else {})
        if self._ineffective_settings:
            figures["problems_parameters"] = str(len(self._ineffective_settings))
        figures |= {f"problems_{kind}": str(count) for kind, count in self._health.counts().items()}
        figures |= {f"last_problem_{kind}": text for kind, text in self._health.last_texts().items()}
        self._diagnostics.publish(
            diagnostic_array(
                self.get_clock().now().to_msg(),
                self.get_fully_qualified_name(),
                hardware_id,
                self._failure(is_silent),
                [*self._ineffective_settings, *self._backend_notes, *self._health.present(_PROBLEM_MEMORY_S)],
                figures,
            )
        )


def main(args: list[str] | None = None) -> int:
    """Run the node until it is interrupted or shut down."""
    return run(CrackNode, args)
