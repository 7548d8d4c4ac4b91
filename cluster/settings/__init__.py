"""Every setting, as one strict tree: `tree.Settings`, and a module for each of its branches.

An unknown key or a wrong type fails at load. `cluster.config` reads it from files and the environment.
"""
