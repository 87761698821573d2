#!/usr/bin/env bash
# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

# Sets the environment of ROS 2 and of the workspace, then runs the command.
set -e
for setup in "/opt/ros/$ROS_DISTRO/setup.bash" "/opt/ros/$ROS_DISTRO/install/setup.bash" /ws/install/setup.bash; do
  # shellcheck disable=SC1090
  if [ -f "$setup" ]; then . "$setup"; fi
done
exec "$@"
