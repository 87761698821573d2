# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Knowledge distillation: small student models trained from a large teacher.

:func:`pipeline.train_student` is the entry point; :mod:`students` holds the network architectures, :mod:`losses` the
loss terms and their settings, :mod:`training` the training loop.
"""
