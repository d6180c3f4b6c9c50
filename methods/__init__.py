"""Methods that ship with the suite, registered through entry points as an outside package
would be.
"""
