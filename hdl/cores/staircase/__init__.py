"""The quantiser with a threshold for every step."""
