"""What `mlrc new-loss` writes: a file or a package with a loss that keeps the contract as it stands.

Writes below the folder it is told, and never over what is there.
"""
