# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

# NVIDIA Jetson with JetPack 6: the nodes with TensorRT. The base image has ROS 2 Humble built from source, TensorRT and
# CUDA of the JetPack release in its tag; choose yours with --build-arg BASE=...
#
#   docker build -f docker/jetson.Dockerfile -t crack_perception .
#   docker run --rm -it --runtime nvidia --net=host --ipc=host -v "$PWD/flights:/flights" -v engines:/root/.cache \
#       crack_perception ros2 launch crack_perception drone.launch.py backend:=tensorrt stack:=px4 camera:=realsense
#
# stack:=px4 needs px4_msgs of the PX4 release on the vehicle: docker build --build-arg PX4_MSGS=release/1.15 ...
# Build the engine once: crack_perception build-engine (the volume "engines" keeps it).
ARG BASE=dustynv/ros:humble-ros-base-l4t-r36.4.0
FROM ${BASE}
# Branch of px4_msgs, that of your PX4's release; empty: without PX4's own messages (MAVROS needs none).
ARG PX4_MSGS=release/1.16
SHELL ["/bin/bash", "-c"]
ENV PIP_NO_CACHE_DIR=1
WORKDIR /ws
# The message packages that the base image lacks; it has no binary packages of ROS. Those of videos are in interfaces/.
RUN git clone --depth 1 --branch ros2 https://github.com/ros-perception/vision_msgs.git src/vision_msgs \
    && git clone --depth 1 --branch humble https://github.com/ros-planning/navigation_msgs.git src/navigation_msgs
RUN if [ -n "$PX4_MSGS" ]; then \
      git clone --depth 1 --branch "$PX4_MSGS" https://github.com/PX4/px4_msgs.git src/px4_msgs; fi
COPY . src/crack_perception
RUN python3 -m pip install av onnxruntime psutil pycuda rosbags simplejpeg
RUN source "/opt/ros/$ROS_DISTRO/install/setup.bash" \
    && if [ -d src/px4_msgs ]; then packages=px4_msgs; fi \
    && colcon build --packages-select vision_msgs map_msgs $packages ffmpeg_image_transport_msgs foxglove_msgs \
      crack_perception --base-paths src src/crack_perception/interfaces/ffmpeg_image_transport_msgs \
      src/crack_perception/interfaces/foxglove_msgs
ENTRYPOINT ["/ws/src/crack_perception/docker/entrypoint.sh"]
CMD ["ros2", "launch", "crack_perception", "drone.launch.py", "backend:=tensorrt"]
