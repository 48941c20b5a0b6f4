"""The controller's side: from an inventory to hosts that are what it says. One module per service.

`deploy.py` at the top of the repository is the table of contents. Each module has up to three stages:
install (packages, wheels), configure (files) and activate (services).
"""
