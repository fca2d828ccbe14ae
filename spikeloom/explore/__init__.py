"""The design space: explored exactly, on one machine or many, and shown."""
