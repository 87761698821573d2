# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Speed benchmark of the models, the pipeline stages and the whole node, compared within one run.

For other rooms: ``runner.Benchmark`` measures, ``options`` has its settings, ``document`` reads and writes the result
and ``markdown`` renders it.
"""
