"""Engines that share no code with MXNet: what a network must compute is what they all compute.

Importing this package imports no engine; a module named after an engine does.
"""
