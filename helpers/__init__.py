"""Shared code of the series *From Zero to (Mechanistic) Interpretability*.

Importing this package imports nothing heavy: `helpers.task` needs torch, and only the functions
of `helpers.model` that build a TransformerBridge import TransformerLens.
"""
