"""Who does the jobs, and what becomes of a job whose process dies: workers on this machine, or a Ray cluster.

Starts and ends processes; decides nothing about a score.
"""
