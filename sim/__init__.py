"""Runs designs in simulators and compares every word in every cycle with the prediction."""
