"""The networks. These modules import torch, so nothing imports them before a method is prepared or
counted.
"""
