"""Simulated devices: real agents of the protocol, many in a process, and an oracle that judges the server by them.

Invariant: nothing here knows the server from inside. It speaks the agents' wire and the public REST API, as any client
may, so that its figures are evidence about the server and not the server's own word.
"""
