# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

# NVIDIA Jetson with JetPack 6: the nodes with TensorRT. The base image has ROS 2 Humble built from source, TensorRT and
# CUDA of the JetPack release in its tag; choose yours with --build-arg BASE=...
#
#   docker build -f docker/jetson.Dockerfile -t crack_perception .
#   docker run --rm -it --runtime nvidia --net=host --ipc=host -v "$PWD/flights:/flights" -v engines:/root/.cache \
#       crack_perception ros2 launch crack_perception drone.launch.py backend:=tensorrt stack:=px4 camera:=realsense
#
# Build the engine once: crack_perception build-engine (the volume "engines" keeps it).
ARG BASE=dustynv/ros:humble-ros-base-l4t-r36.4.0
FROM ${BASE}
SHELL ["/bin/bash", "-c"]
ENV PIP_NO_CACHE_DIR=1
WORKDIR /ws
# The message packages that the base image lacks; it has no binary packages of ROS.
RUN git clone --depth 1 --branch ros2 https://github.com/ros-perception/vision_msgs.git src/vision_msgs \
    && git clone --depth 1 --branch humble https://github.com/ros-planning/navigation_msgs.git src/navigation_msgs
COPY . src/crack_perception
RUN python3 -m pip install onnxruntime psutil pycuda rosbags simplejpeg
RUN source "/opt/ros/$ROS_DISTRO/install/setup.bash" \
    && colcon build --packages-select vision_msgs map_msgs crack_perception
ENTRYPOINT ["/ws/src/crack_perception/docker/entrypoint.sh"]
CMD ["ros2", "launch", "crack_perception", "drone.launch.py", "backend:=tensorrt"]
