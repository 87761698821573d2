# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

# Ground station or x86-64 drone: the nodes, RViz, reports and video input.
#
#   docker build -f docker/desktop.Dockerfile -t crack_perception .
#   docker run --rm -it --net=host --ipc=host -v "$PWD/flights:/flights" crack_perception \
#       ros2 launch crack_perception drone.launch.py stack:=px4_mavros camera:=usb_cam map_folder:=/flights/bridge_7
#
# stack:=px4 needs px4_msgs of the PX4 release on the vehicle: docker build --build-arg PX4_MSGS=release/1.15 ...
ARG BASE=osrf/ros:jazzy-desktop
FROM ${BASE}
# Branch of px4_msgs, that of your PX4's release; empty: without PX4's own messages (MAVROS needs none).
ARG PX4_MSGS=release/1.16
SHELL ["/bin/bash", "-c"]
ENV PIP_BREAK_SYSTEM_PACKAGES=1 PIP_NO_CACHE_DIR=1
WORKDIR /ws
RUN apt-get update && apt-get install -y --no-install-recommends git && rm -rf /var/lib/apt/lists/*
RUN if [ -n "$PX4_MSGS" ]; then \
      git clone --depth 1 --branch "$PX4_MSGS" https://github.com/PX4/px4_msgs.git src/px4_msgs; fi
COPY . src/crack_perception
RUN apt-get update && apt-get install -y --no-install-recommends python3-pip \
      "ros-$ROS_DISTRO-ffmpeg-image-transport-msgs" "ros-$ROS_DISTRO-foxglove-msgs" \
    && rosdep update --rosdistro "$ROS_DISTRO" \
    && rosdep install --from-paths src --ignore-src -y --rosdistro "$ROS_DISTRO" \
    && rm -rf /var/lib/apt/lists/*
RUN source "/opt/ros/$ROS_DISTRO/setup.bash" && colcon build
RUN python3 -m pip install --ignore-installed --no-deps simplejpeg av
ENTRYPOINT ["/ws/src/crack_perception/docker/entrypoint.sh"]
CMD ["ros2", "launch", "crack_perception", "drone.launch.py"]
