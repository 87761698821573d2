# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Conversions to and from ROS messages that both nodes use: poses and severity hypotheses."""

from __future__ import annotations

from geometry_msgs.msg import Point, PoseWithCovariance, Quaternion
from geometry_msgs.msg import Pose as PoseMessage
from vision_msgs.msg import ObjectHypothesis, ObjectHypothesisWithPose

from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.projection import LocatedRegion
from crack_perception.recognition.severity import NO_STRUCTURE, UNDETERMINED, Severity, SeverityScale


def pose_message(pose: Pose) -> PoseMessage:
    """Return a pose as a message."""
    x, y, z = pose.position_m.tolist()
    qx, qy, qz, qw = pose.quaternion.tolist()
    return PoseMessage(position=Point(x=x, y=y, z=z), orientation=Quaternion(x=qx, y=qy, z=qz, w=qw))


def ranked_classes(crack_score: float, severity: Severity, scale: SeverityScale) -> list[tuple[str, float]]:
    """Return (class, score) pairs, the verdict first and then in descending score.

    The score of a class is the probability that the region is a crack of that class. Where no class is certain enough,
    the first entry is ``undetermined`` with the probability that the region is a crack at all.
    """
    ranked = sorted(
        ((label, crack_score * p) for label, p in zip(scale.labels, severity.probabilities, strict=False)),
        key=lambda pair: -pair[1],
    )
    if severity.verdict == UNDETERMINED:
        return [(UNDETERMINED, crack_score), *ranked]
    return ranked


def hypotheses(
    crack_score: float,
    severity: Severity,
    scale: SeverityScale,
    pose: PoseWithCovariance,
    no_structure_score: float | None = None,
) -> list[ObjectHypothesisWithPose]:
    """Return the ranked classes as hypotheses that share one pose with covariance.

    The last hypothesis is ``NO_STRUCTURE`` where the model gives its score.
    """
    ranked = ranked_classes(crack_score, severity, scale)
    if no_structure_score is not None:
        ranked.append((NO_STRUCTURE, no_structure_score))
    return [
        ObjectHypothesisWithPose(hypothesis=ObjectHypothesis(class_id=label, score=score), pose=pose)
        for label, score in ranked
    ]


def located_hypotheses(
    crack_score: float,
    severity: Severity,
    scale: SeverityScale,
    location: LocatedRegion,
    no_structure_score: float | None = None,
) -> list[ObjectHypothesisWithPose]:
    """Return the hypotheses of a located region, each with its pose and covariance."""
    pose = PoseWithCovariance(pose=pose_message(location.pose), covariance=location.covariance.ravel())
    return hypotheses(crack_score, severity, scale, pose, no_structure_score)
