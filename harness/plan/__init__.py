"""What is to be done, as values: jobs, studies, splits, schedules, the next proposal, and what is ready.

Values in, values out: touches no file, clock or process, and draws from no generator but its own seeded ones.
"""
