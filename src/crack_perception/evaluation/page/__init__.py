"""HTML page and terminal summary of a replay.

``html.write_html`` writes the page and ``summary.summary_lines`` returns the lines for the terminal; the other modules
render parts of the page.
"""
