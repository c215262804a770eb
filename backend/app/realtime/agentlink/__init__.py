"""The agents' own link: Engine.IO 4 and Socket.IO 5 over a websocket, on picows, without a task for each connection.

What it does not speak, long-polling and the upgrade from it, stays with ``app.realtime.link``; ``app.realtime.links``
makes one of both for whoever stands above.
"""
