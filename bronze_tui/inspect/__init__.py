"""Looks into committed data for people: rows, decoded XDR, checks, searches.

Reads only, in a child process with limits; screens talk to it through ``client``.
"""
