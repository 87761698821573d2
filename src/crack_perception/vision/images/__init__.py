# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Images: encodings, files, video packets and checks for damage.

Other rooms use ``files`` (pictures), ``encodings`` (raw images), ``video`` and ``video_packets`` (videos and streams),
``jpeg`` (damage), ``thermal`` and ``samples`` (kind of camera).
"""
