"""Deployments: a release for many devices, in waves that stop and undo themselves."""
