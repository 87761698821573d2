# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Maps, recordings and running nodes shown in Rerun: ``scene`` for files, ``live`` for running nodes."""
