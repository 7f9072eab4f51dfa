"""The machines of a Ray cluster: a connection, the jobs that it has, and what a job does on a node.

Imports `ray`, which is an extra, so that nothing imports this but where a cluster was asked for.
"""
