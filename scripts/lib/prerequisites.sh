# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

# Finds a Python and checks the prerequisites of the set-up; sourced by scripts/setup.
# Every error has one line for the problem and one for the remedy.

readonly OLDEST_PYTHON=310
readonly NEWEST_WHEEL_PYTHON=314

refuse() {
  printf 'error: %s\nremedy: %s\n' "$1" "$2" >&2
  exit 1
}

# Prints 311 for Python 3.11; nothing if the program is not Python.
python_version() {
  "$1" -c 'import sys; print(sys.version_info[0] * 100 + sys.version_info[1])' 2>/dev/null
}

version_of_python() {
  command -v "$1" >/dev/null && "$1" --version 2>&1 || printf 'no program %s' "$1"
}

# Behind version managers and out of an active virtual environment, which may be the one to be replaced.
path_of_python() {
  "$1" -c 'import sys; print(getattr(sys, "_base_executable", None) or sys.executable)'
}

# A distribution's ROS 2 is used when its setup file was sourced; otherwise ROS 2 comes from wheels.
ros_is_sourced() {
  [ -n "${ROS_DISTRO:-}" ] && [ -n "${AMENT_PREFIX_PATH:-}" ]
}

python_suits() {
  local version
  version=$(python_version "$1") && [ -n "$version" ] && [ "$version" -ge "$OLDEST_PYTHON" ] || return 1
  if ros_is_sourced; then
    "$1" -c 'import rclpy' 2>/dev/null
  else
    [ "$version" -le "$NEWEST_WHEEL_PYTHON" ]
  fi
}

# Prints the path of the Python to build on: $PYTHON where set, else the first that suits.
choose_python() {
  local candidate wanted remedy
  if ros_is_sourced; then
    wanted="Python 3.10 or newer that can import rclpy of ROS 2 $ROS_DISTRO"
    remedy="set PYTHON to the Python of that ROS 2, or start from a shell without ROS"
  else
    wanted="Python 3.10 to 3.14"
    remedy="sudo apt install python3 python3-venv python3-dev, or set PYTHON=/path/to/python3"
  fi
  if [ -n "${PYTHON:-}" ]; then
    python_suits "$PYTHON" ||
      refuse "PYTHON=$PYTHON is not $wanted ($(version_of_python "$PYTHON"))" "$remedy"
    path_of_python "$PYTHON"
    return
  fi
  for candidate in python3 python3.14 python3.13 python3.12 python3.11 python3.10 /usr/bin/python3; do
    if python_suits "$candidate"; then
      path_of_python "$candidate"
      return
    fi
  done
  refuse "no $wanted was found ($(version_of_python python3))" "$remedy"
}

check_venv_module() {
  "$1" -c 'import ensurepip, venv' 2>/dev/null ||
    refuse "$1 cannot make virtual environments" "sudo apt install python3-venv (or python3.X-venv of that Python)"
}

check_distribution_packages() {
  "$1" -c 'import map_msgs.srv, tf2_msgs.msg, vision_msgs.msg' 2>/dev/null ||
    refuse "ROS 2 $ROS_DISTRO is sourced, but $1 cannot import its map_msgs, tf2_msgs or vision_msgs" \
      "sudo apt install ros-$ROS_DISTRO-map-msgs ros-$ROS_DISTRO-tf2-msgs ros-$ROS_DISTRO-vision-msgs, or start from a shell without ROS"
}

check_wheel_platform() {
  [ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] ||
    refuse "ROS 2 exists as wheels for Linux on x86-64 only, and this is $(uname -s) on $(uname -m)" \
      "install a distribution's ROS 2 with its vision-msgs, source its setup.bash, and start again"
}

# CMake and Ninja come as wheels; the compiler and the headers of Python cannot.
check_compiler() {
  local python=$1 compiler=${CXX:-c++} headers
  command -v "${compiler%% *}" >/dev/null ||
    refuse "no C++ compiler ($compiler) to build the interface packages" "sudo apt install g++, or set CXX"
  command -v "${CC:-cc}" >/dev/null || refuse "no C compiler (${CC:-cc})" "sudo apt install gcc, or set CC"
  headers=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
  [ -f "$headers/Python.h" ] ||
    refuse "the headers of $python ($headers/Python.h) are missing" "sudo apt install python3-dev (or python3.X-dev)"
}
