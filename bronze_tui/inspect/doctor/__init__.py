"""Examines a configuration end to end and says what to fix: `bronze doctor` and the preflight.

It changes nothing but probe objects of its own, which it removes.
"""
