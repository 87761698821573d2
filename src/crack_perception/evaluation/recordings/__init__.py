# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Reading of recordings, damaged and unfinished ones included: rosbag2 (MCAP, sqlite3) and ROS 1 bags.

For other rooms: ``bag.open_bag`` opens any recording; ``messages`` reads headers and deserializes messages,
``images`` and ``poses`` give what they show.
"""
