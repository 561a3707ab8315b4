"""Encrypted averaging in NVIDIA FLARE's horizontal training: a pair of filters, an aggregator, a persistor.

`recipe.EncryptedFedAvgRecipe` takes the place of FLARE's `FedAvgRecipe`, `job.add_encrypted_averaging` puts the parts
into a job. The modules import FLARE, this package does not.
"""
