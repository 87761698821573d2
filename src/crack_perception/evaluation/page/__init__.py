# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""HTML page and terminal summary of a replay.

``html.write_html`` writes the page and ``summary.summary_lines`` returns the lines for the terminal; the other modules
render parts of the page.
"""
