"""The files of a replay, by their places in its folder."""

from __future__ import annotations

from pathlib import Path

from crack_perception.errors import file_error
from crack_perception.evaluation.replay.mapper_session import MAP_NAME, clear_map_folder

REPORT = "report.json"
REPORT_HTML = "report.html"


class ReplayFiles:
    """Where everything goes.

    Args:
        out: Folder of the replay.

    Attributes:
        report, page, detections, video: What is written about the replay.
        node_log, mapper_log: What the nodes logged.
        parameters: The user's parameter file, where its keys had to be replaced.
        map_folder: What the mapper writes.
        map_geojson: The map as it saves it.
        pictures: Spool of the annotated pictures, gone at the end.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self.report = out / REPORT
        self.page = out / REPORT_HTML
        self.detections = out / "detections.json"
        self.video = out / "annotated.mp4"
        self.node_log = out / "crack_node.log"
        self.mapper_log = out / "crack_mapper.log"
        self.parameters = out / "node_parameters.yaml"
        self.map_folder = out / "map"
        self.map_geojson = self.map_folder / f"{MAP_NAME}.geojson"
        self.pictures = out / "annotated.part"

    def prepare(self, with_map: bool) -> None:
        """Make the folder (and that of the map) and remove what an earlier replay has left in them.

        Raises:
            UserError: That is not possible.
        """
        try:
            (self.map_folder if with_map else self._out).mkdir(parents=True, exist_ok=True)
            for file in (
                self.report,
                self.page,
                self.detections,
                self.video,
                self.node_log,
                self.mapper_log,
                self.parameters,
            ):
                file.unlink(missing_ok=True)
            clear_map_folder(self.map_folder)
        except OSError as error:
            raise file_error(error.filename or self._out, error, "Choose another folder with --out") from error
