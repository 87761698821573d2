# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The paper's Tables 1-4, measured on a folder of labelled images.

:func:`run.measure` is the entry point and writes JSON, Markdown and charts. :mod:`rows` and :mod:`severity` compute the
rows from the shared data of :mod:`bench`; :mod:`published` holds the paper's own values.
"""
