"""Webhooks: what happened to a job, told to its owner's own servers.

A delivery is a row, written in the transaction of the final event that it tells of. Messages only
say that there may be something to send; see sender.py.
"""
