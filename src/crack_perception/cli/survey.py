# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``crack_perception survey``: many recordings into an archive with a crack map per structure."""

from __future__ import annotations

import argparse
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crack_perception.cli.common import add_preset_argument, print_progress, require_packages
from crack_perception.errors import UsageError, without_control

if TYPE_CHECKING:
    from crack_perception.survey.engine import Engine

HELP = "process many bags and folders of photographs into detections, a crack map per structure and an index page"

_INPUTS = ("image", "camera_info", "pose", "odom", "range", "depth")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument(
        "inputs",
        nargs="*",
        type=Path,
        metavar="INPUT",
        help="bags, folders of photographs, or folders of both; they are added to the archive",
    )
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="output folder, or a URL of fsspec such as s3://bucket/folder"
    )
    parser.add_argument(
        "--structures",
        type=Path,
        metavar="CSV",
        help="table path,structure[,latitude,longitude,height,heading] (default: the first folder below the input)",
    )
    parser.add_argument(
        "--structure", metavar="NAME", help="structure of all recordings of the inputs that --structures does not name"
    )
    parser.add_argument(
        "--remove",
        action="append",
        default=[],
        metavar="NAME",
        help="remove a recording (its name or key in survey.json), or all those of a structure, from the archive; "
        "repeatable",
    )
    parser.add_argument("--model", metavar="NAME", help="name of a shipped model or folder (default: standard)")
    add_preset_argument(parser, default=None)
    parser.add_argument("--params", type=Path, metavar="FILE", help="parameter file of crack_node")
    parser.add_argument(
        "--topic",
        action="append",
        default=[],
        metavar="INPUT=T",
        help=f"topic of all bags for an input ({', '.join(_INPUTS)}); repeatable (default: as in replay)",
    )
    parser.add_argument(
        "--part",
        type=float,
        default=30.0,
        metavar="S",
        help="seconds of a bag that are processed as one piece (default: %(default)s)",
    )
    parser.add_argument(
        "--evidence-mb",
        type=float,
        default=1000.0,
        metavar="MB",
        help="limit for the photographs of the cracks of a structure; 0: none are taken (default: 1000)",
    )
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes on this machine (default: its cores); with --cluster, workers to wait for (default: 1)",
    )
    cluster = parser.add_argument_group("Dask cluster (extra cluster)")
    cluster.add_argument(
        "--cluster", metavar="ADDRESS", help="scheduler, for example tcp://host:8786 or tls://host:8786"
    )
    cluster.add_argument("--tls-ca", type=Path, metavar="PEM", help="certificate of the authority")
    cluster.add_argument("--tls-cert", type=Path, metavar="PEM", help="certificate of this client")
    cluster.add_argument("--tls-key", type=Path, metavar="PEM", help="key of this client")


def run(arguments: argparse.Namespace) -> int:
    """Process everything and return the exit code.

    It is 1 if a recording was skipped, a bag has no place in the map or a structure has no map because of a problem.
    """
    require_packages("rosbags", "pyarrow", "fsspec", "jinja2", extra="survey")
    from crack_perception.recognition.models import load_model
    from crack_perception.survey.archive_lock import exclusive
    from crack_perception.survey.page import PAGE
    from crack_perception.survey.progress import Progress
    from crack_perception.survey.run import SurveyRun
    from crack_perception.survey.settings import survey_settings
    from crack_perception.survey.sources import StructureTable, find_sources, read_structure_table
    from crack_perception.survey.storage import Storage
    from crack_perception.survey.tasks import Job, store_model

    if arguments.workers is not None and arguments.workers < 1:
        raise UsageError(f"--workers {arguments.workers} is not a positive number")
    if not 1 <= arguments.part <= 3600:
        raise UsageError(f"--part {arguments.part:g} is not a number of seconds from 1 to 3600")
    if not arguments.inputs and not arguments.remove:
        raise UsageError("neither recordings nor --remove are given", "Give bags or folders")
    if not 0 <= arguments.evidence_mb <= 1e6:
        raise UsageError(f"--evidence-mb {arguments.evidence_mb:g} is out of range", "Give megabytes, 0 for none")
    settings = survey_settings(
        arguments.params,
        _options(arguments),
        _topics(arguments.topic),
        arguments.part,
        round(1e6 * arguments.evidence_mb),
    )
    storage = Storage(arguments.out)
    table = StructureTable() if arguments.structures is None else read_structure_table(arguments.structures)
    table = replace(table, otherwise=arguments.structure or "")
    sources = find_sources(arguments.inputs, table, storage.folder)
    model = load_model(str(settings.parameters["model"]))
    # Workers have the working directory of their own.
    out = arguments.out if storage.folder is None else str(storage.folder.absolute())
    with exclusive(storage, print_progress), _engine(arguments) as engine:
        job = Job(out, store_model(storage, model), settings)
        structures = len({source.structure for source in sources})
        print_progress(f"{len(sources)} recordings of {structures} structures on {engine.description}")
        summary = SurveyRun(job, sources, table, Progress(), arguments.remove).run(engine)
    print(without_control(_summary_line(summary)))
    print(f"page       {arguments.out}/{PAGE}")
    return 1 if summary["problems"] else 0


def _engine(arguments: argparse.Namespace) -> AbstractContextManager[Engine]:
    from crack_perception.survey.engine import ClusterOptions, cluster_engine, local_engine

    if arguments.cluster is None:
        if arguments.tls_ca or arguments.tls_cert or arguments.tls_key:
            raise UsageError("the TLS files need --cluster")
        return local_engine(arguments.workers)
    require_packages("distributed", extra="cluster")
    options = ClusterOptions(arguments.cluster, arguments.tls_ca, arguments.tls_cert, arguments.tls_key)
    return cluster_engine(options, arguments.workers, print_progress)


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the parameters that options set.

    Raises:
        UsageError: There is no such model or preset.
    """
    from crack_perception.recognition.models import model_directory
    from crack_perception.recognition.severity import SeverityScale

    options: dict[str, Any] = {}
    if arguments.model is not None:
        model_directory(arguments.model)
        options["model"] = arguments.model
    if arguments.preset is not None:
        SeverityScale.of_preset(arguments.preset)
        options["severity_preset"] = arguments.preset
    return options


def _topics(texts: list[str]) -> dict[str, str]:
    topics = {}
    for text in texts:
        name, separator, topic = text.partition("=")
        if not separator or name not in _INPUTS or (name == "image" and not topic):
            raise UsageError(f"--topic {text} is not of the form INPUT=/topic", f"Known inputs: {', '.join(_INPUTS)}")
        topics[name] = topic
    return topics


def _summary_line(summary: dict[str, Any]) -> str:
    cracks = sum(structure["cracks"] or 0 for structure in summary["structures"])
    return (
        f"{summary['recordings'] - summary['skipped']} of {summary['recordings']} recordings "
        f"({summary['resumed']} from an earlier run), {summary['frames']} frames at {summary['rate_hz']:.1f} frames/s, "
        f"{cracks} cracks in {len(summary['structures'])} structures"
    )
