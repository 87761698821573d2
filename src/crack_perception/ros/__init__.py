# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""ROS shell: the two nodes, which convert messages, schedule frames and report their state.

Entry points are ``detector.node`` (crack_node) and ``mapper.node`` (crack_mapper). ``detector`` and ``mapper`` may use
``common`` and the core rooms, but not each other.
"""
