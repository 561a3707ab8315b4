"""Encrypted averaging in Flower: a mod for the clients' app and a strategy for the server's.

The modules import Flower, this package does not.
"""
