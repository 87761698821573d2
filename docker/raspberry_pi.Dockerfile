# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

# Raspberry Pi 4 and 5 with a 64-bit system: the nodes with the model nano, without graphics.
#
#   docker build -f docker/raspberry_pi.Dockerfile -t crack_perception .
#   docker run --rm -it --net=host --ipc=host -v "$PWD/flights:/flights" crack_perception \
#       ros2 launch crack_perception drone.launch.py model:=nano stack:=px4 camera:=camera_ros map_folder:=/flights/bridge_7
#
# The camera driver runs beside it, on the host or in its own container; --ipc=host lets both share memory.
ARG BASE=ros:jazzy-ros-base
FROM ${BASE}
SHELL ["/bin/bash", "-c"]
ENV PIP_BREAK_SYSTEM_PACKAGES=1 PIP_NO_CACHE_DIR=1
WORKDIR /ws
COPY . src/crack_perception
RUN apt-get update && apt-get install -y --no-install-recommends python3-pip \
    && rosdep update --rosdistro "$ROS_DISTRO" \
    && rosdep install --from-paths src --ignore-src -y --rosdistro "$ROS_DISTRO" --dependency-types exec \
    && rm -rf /var/lib/apt/lists/*
RUN source "/opt/ros/$ROS_DISTRO/setup.bash" && colcon build --packages-select crack_perception
ENTRYPOINT ["/ws/src/crack_perception/docker/entrypoint.sh"]
CMD ["ros2", "launch", "crack_perception", "drone.launch.py", "model:=nano"]
