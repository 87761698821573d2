# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""PX4 over uXRCE-DDS: its messages, and the node that publishes its poses on tf.

``transforms`` is the entry point of px4_transforms, ``parameters`` declares its parameters.
"""
