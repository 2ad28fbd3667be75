"""Types shared by every part of audiojob: resources, parameters, reasons, and the operator-runner contract.

Imports pydantic and the standard library only, so that the runner image stays small and the types stay pure.
"""
