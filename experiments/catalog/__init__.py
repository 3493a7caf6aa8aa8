"""What there is to choose from in the lab, and where each thing comes from. Imports in milliseconds: no torch, no
transformers.
"""
