"""Methods that are networks: what they share, one module for each; the networks themselves are in
`networks`.
"""
