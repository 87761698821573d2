# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Head of a model in numpy: projection, random Fourier features and linear readouts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from crack_perception.training.export.onnx_graph import quantise_per_channel

Matrix = npt.NDArray[np.float32]

LOG_WIDTH_RANGE = (float(np.log(0.2)), float(np.log(60.0)))
LOG_SIGMA_RANGE = (float(np.log(0.05)), float(np.log(2.0)))


@dataclass(frozen=True)
class TileHead:
    """Mapping of pooled features ``(N, F)`` to the four outputs of a model.

    ``fourier = cos((features @ projection + projection_bias) @ frequencies + phases)``, then one linear layer with the
    columns crack logit, wide logit, log width in pixels, log of its standard deviation.

    Args:
        projection: ``(F, P)``, standardisation and principal components in one matrix.
        projection_bias: ``(P,)``.
        frequencies: ``(P, D)`` of the random Fourier features.
        phases: ``(D,)``.
        coefficients: ``(D, 4)``.
        intercepts: ``(4,)``.
    """

    projection: Matrix
    projection_bias: Matrix
    frequencies: Matrix
    phases: Matrix
    coefficients: Matrix
    intercepts: Matrix

    def fourier(self, features: Matrix) -> Matrix:
        """Random Fourier features ``(N, D)`` float32 of pooled features ``(N, F)``."""
        return np.cos((features @ self.projection + self.projection_bias) @ self.frequencies + self.phases)

    def outputs(self, features: Matrix) -> dict[str, Matrix]:
        """Outputs of the model by name, each ``(N,)`` float32, for pooled features ``(N, F)``."""
        crack, wide, log_width, log_sigma = (self.fourier(features) @ self.coefficients + self.intercepts).T
        return {
            "crack_score": _sigmoid(crack),
            "wide_score": _sigmoid(wide),
            "log_width_px": np.clip(log_width, *LOG_WIDTH_RANGE),
            "log_width_sigma": np.exp(np.clip(log_sigma, *LOG_SIGMA_RANGE)),
        }

    def with_int8_weights(self) -> TileHead:
        """Return the head with its three matrices rounded to int8, as they are stored."""
        return replace(
            self,
            projection=_rounded(self.projection),
            frequencies=_rounded(self.frequencies),
            coefficients=_rounded(self.coefficients),
        )


def _rounded(matrix: Matrix) -> Matrix:
    levels, scales = quantise_per_channel(matrix, 1)
    return levels.astype(np.float32) * scales


def _sigmoid(logits: Matrix) -> Matrix:
    return np.asarray(1.0 / (1.0 + np.exp(-logits)), np.float32)
