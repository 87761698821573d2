# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Replay of a recording into the real nodes over DDS, with a report on the results.

For other rooms: ``runner.replay`` runs a replay with the options of ``plan``, ``files`` names its files, ``demo`` has
the decisions of the demo, and ``node_process``, ``node_client`` and ``ros_isolation`` start and control nodes.
"""
