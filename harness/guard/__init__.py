"""Is this installation still right? Golden values, the canary's training, and what the doctor finds.

Reads and accepts references, and changes no result.
"""
