# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

# Raspberry Pi 4 and 5 with a 64-bit system: the nodes with the model nano, without graphics.
#
#   docker build -f docker/raspberry_pi.Dockerfile -t crack_perception .
#   docker run --rm -it --net=host --ipc=host -v "$PWD/flights:/flights" crack_perception \
#       ros2 launch crack_perception drone.launch.py model:=nano stack:=px4 camera:=camera_ros map_folder:=/flights/bridge_7
#
# stack:=px4 needs px4_msgs of the PX4 release on the vehicle: docker build --build-arg PX4_MSGS=release/1.15 ... Its 200
# messages build for half an hour; with MAVROS, --build-arg PX4_MSGS= leaves them out.
#
# The camera driver runs beside it, on the host or in its own container; --ipc=host lets both share memory.
ARG BASE=ros:jazzy-ros-base
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
    && rosdep install --from-paths src --ignore-src -y --rosdistro "$ROS_DISTRO" --dependency-types exec \
    && rm -rf /var/lib/apt/lists/*
RUN source "/opt/ros/$ROS_DISTRO/setup.bash" && colcon build --executor sequential
RUN python3 -m pip install --ignore-installed --no-deps simplejpeg av
ENTRYPOINT ["/ws/src/crack_perception/docker/entrypoint.sh"]
CMD ["ros2", "launch", "crack_perception", "drone.launch.py", "model:=nano"]
