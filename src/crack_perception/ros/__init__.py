"""ROS shell: the two nodes, which convert messages, schedule frames and report their state.

Entry points are ``detector.node`` (crack_node) and ``mapper.node`` (crack_mapper). ``detector`` and ``mapper`` may use
``common`` and the core rooms, but not each other.
"""
