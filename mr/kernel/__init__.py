"""The compiled scanner: what it agrees on with Python, its code, and how it is built and loaded."""
