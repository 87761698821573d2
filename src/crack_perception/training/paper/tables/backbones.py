"""Table 1: how well cracks can be told by the features of different backbones, and what each costs."""

from __future__ import annotations

from typing import Any

from crack_perception.training.evaluation.figures import number
from crack_perception.training.paper.tables.bench import Bench, mean_figures, source_figures
from crack_perception.training.paper.tables.contenders import Contender


def backbone_row(bench: Bench, contender: Contender) -> dict[str, Any]:
    """Cost, initialisation and figures on the test tiles of one backbone with an RBF SVM.

    Raises:
        UserError: Too few validation photographs.
    """
    chosen, decide = bench.machine(contender)
    decisions = decide(bench.test_features(contender))
    return {
        "name": contender.name,
        "initialisation": contender.initialisation,
        "parameters": contender.parameters,
        "bytes_fp32": contender.bytes_fp32,
        "bytes_shipped": contender.bytes_shipped,
        "macs_per_tile": contender.macs_per_tile,
        "cross_validated_auc": number(chosen.auc),
        **mean_figures(bench.judged, decisions, chosen.threshold),
        "sources": source_figures(bench.samples.test, decisions, chosen.threshold),
    }
