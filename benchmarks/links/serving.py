"""How both servers in Python are served: on a free port, with the collector as the product sets it."""

import gc
import socket
from typing import Any

import uvicorn

from app.serve import allow_many_connections


def serve(app: Any, **options: Any) -> None:
    """Print the address, and serve until killed."""
    allow_many_connections()
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, **options)
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 1000)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    uvicorn.Server(config).run(sockets=[listener])
