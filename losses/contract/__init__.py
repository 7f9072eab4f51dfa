"""What every loss promises, and the instruments that hold it to it; ours and a stranger's alike.

Builds and trains losses on made-up embeddings; touches no file and no image.
"""
