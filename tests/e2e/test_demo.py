"""`make demo` as a terminal would start it: devices of several people are there, one can sign in, it ends clean."""

import asyncio
import os
import re
import signal
import sys
from pathlib import Path

import httpx2

from tests.support.postgres import free_port

ROOT = Path(__file__).resolve().parents[2]
START_S = 100.0


async def test_the_demonstration_has_devices_of_several_people_and_leaves_nothing(tmp_path: Path) -> None:
    demo = await asyncio.create_subprocess_exec(
        *(sys.executable, ROOT / "tools" / "demo.py", "10"),
        env={"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path), "DEPLOYX_PORT": str(free_port())},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        assert demo.stdout is not None
        said = (await asyncio.wait_for(demo.stdout.readuntil(b"Ctrl-C ends it."), START_S)).decode()
        url, email, password = re.findall(r"http://\S+:\d+|(?<=Sign in as)\s+\S+|(?<=Password)\s+\S+", said)
        async with httpx2.AsyncClient(base_url=f"{url}/api/v1", headers={"sec-fetch-site": "same-origin"}) as client:
            who = {"email": email.strip(), "password": password.strip()}
            answer = await client.post("/auth/login", json=who)
            cookie = answer.raise_for_status().headers["set-cookie"].partition(";")[0]
            devices = (await client.get("/devices", headers={"cookie": cookie})).json()["items"]
        assert len(devices) == 10
        assert len({device["owner"] for device in devices}) == 3
        assert {device["trust"] for device in devices} == {"trusted"}
        demo.send_signal(signal.SIGINT)
        rest = (await demo.communicate())[0].decode()
    finally:
        if demo.returncode is None:
            demo.kill()
            await demo.wait()
    assert (demo.returncode, rest.strip().splitlines()[-1][:8]) == (0, "Stopped:")
    assert not list(tmp_path.iterdir())
