"""Encrypted averaging in NVIDIA FLARE's horizontal training: a pair of filters, an aggregator, a persistor.

`job.add_encrypted_averaging` puts them into a job. The modules import FLARE, this package does not.
"""
