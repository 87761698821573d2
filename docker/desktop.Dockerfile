# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

# Ground station or x86-64 drone: the nodes, RViz, reports and video input.
#
#   docker build -f docker/desktop.Dockerfile -t crack_perception .
#   docker run --rm -it --net=host --ipc=host -v "$PWD/flights:/flights" crack_perception \
#       ros2 launch crack_perception drone.launch.py stack:=px4_mavros camera:=usb_cam map_folder:=/flights/bridge_7
ARG BASE=osrf/ros:jazzy-desktop
FROM ${BASE}
SHELL ["/bin/bash", "-c"]
ENV PIP_BREAK_SYSTEM_PACKAGES=1 PIP_NO_CACHE_DIR=1
WORKDIR /ws
COPY . src/crack_perception
RUN apt-get update && apt-get install -y --no-install-recommends python3-pip \
    && rosdep update --rosdistro "$ROS_DISTRO" \
    && rosdep install --from-paths src --ignore-src -y --rosdistro "$ROS_DISTRO" \
    && rm -rf /var/lib/apt/lists/*
RUN source "/opt/ros/$ROS_DISTRO/setup.bash" && colcon build --packages-select crack_perception
RUN python3 -m pip install --ignore-installed --no-deps simplejpeg av
ENTRYPOINT ["/ws/src/crack_perception/docker/entrypoint.sh"]
CMD ["ros2", "launch", "crack_perception", "drone.launch.py"]
