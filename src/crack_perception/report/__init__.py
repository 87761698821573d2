# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Deliverables for the owner of a structure: documents, tables, GIS and CAD files of a crack map.

The contents are collected once, as a ``Survey`` (``contents``); ``formats`` holds one module for each kind of
file, ``document`` the PDF and the HTML page, ``writing`` the list of all of them. Nothing here runs on a drone.
"""
