"""The client against the real server: the program that ZONECAST_BIN names, or bin/zonecast."""

import asyncio
import contextlib
import json
import logging
import os
import re
import signal
import subprocess
import tempfile
import time
import unittest
import unittest.mock
from pathlib import Path

from zonecast import Event, Subscription, ZonecastError, publish

PROGRAM = os.environ.get("ZONECAST_BIN") or str(Path(__file__).parents[3] / "bin" / "zonecast")
PATIENCE = 60
ZONE = "zone:w:a"


class Server:
    """A server of its own, ended with the test."""

    def __init__(self, address: str = "127.0.0.1:0", **settings: str):
        environment = {"PATH": os.environ["PATH"], "HOME": "/", "LISTEN": address, "LOG_FORMAT": "json", **settings}
        self.process = subprocess.Popen([PROGRAM], env=environment, stderr=subprocess.PIPE, text=True)
        said = []
        for line in self.process.stderr:
            said.append(line)
            if found := re.search(r'"addr":"(127\.0\.0\.1:\d+)"', line):
                self.address = found[1]
                break
        else:
            raise RuntimeError("".join(said))
        self.url = f"http://{self.address}"
        # What it says further is drained, so that it never blocks.
        self.drain = asyncio.get_running_loop().run_in_executor(None, self.process.stderr.read)

    async def end(self, by: int = signal.SIGKILL) -> int:
        self.process.send_signal(by)
        await self.drain
        code = self.process.wait()
        self.process.stderr.close()
        return code


class ClientTest(unittest.IsolatedAsyncioTestCase):
    def setUp(self) -> None:
        logging.getLogger("asyncio").setLevel(logging.ERROR)  # a busy machine is slow

    async def start(self, *args: str, **settings: str) -> Server:
        server = Server(*args, **settings)

        async def end() -> None:
            if server.process.poll() is None:
                await server.end()

        self.addAsyncCleanup(end)
        return server

    def follow(self, sub: Subscription, events: list[Event]) -> asyncio.Task:
        """Collects what a subscription brings."""

        async def run() -> None:
            async for event in sub:
                events.append(event)

        task = asyncio.create_task(run())

        async def stop() -> None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, ZonecastError):
                await task

        self.addAsyncCleanup(stop)
        return task

    async def until(self, what: str, holds) -> None:
        end = time.monotonic() + PATIENCE
        while not holds():
            self.assertLess(time.monotonic(), end, f"still not so: {what}")
            await asyncio.sleep(0.01)

    async def joined(self, sub: Subscription) -> None:
        await self.until("the server has let it in", lambda: sub.cursor != "")

    async def test_what_is_published_arrives_in_order_and_once(self) -> None:
        server = await self.start()
        sub, events = Subscription(server.url, [ZONE, "warehouse:w"]), []
        self.follow(sub, events)
        await self.joined(sub)
        first = await publish(server.url, "w", "a", "E", {"n": 0}, idempotency_key="k")
        again = await publish(server.url, "w", "a", "E", {"n": 0}, idempotency_key="k")
        self.assertEqual(first, again)
        for n in range(1, 50):
            await publish(server.url, "w", "a", "E", {"n": n})
        await publish(server.url, "w", None, "ALERT", {"id": "1"})
        await self.until("all came", lambda: len(events) == 51)
        zone = [event.data["n"] for event in events if event.room == ZONE]
        self.assertEqual(zone, list(range(50)))
        alert = next(event for event in events if event.room == "warehouse:w")
        self.assertEqual((alert.kind, alert.name, alert.data), ("message", "ALERT", {"id": "1"}))
        self.assertAlmostEqual(alert.time, time.time(), delta=PATIENCE)

    async def test_a_cursor_goes_on_where_another_loop_stood(self) -> None:
        server = await self.start()
        await publish(server.url, "w", "a", "STATE", 1, retain=True)
        sub = Subscription(server.url, [ZONE])
        await publish(server.url, "w", "a", "STATE", 2, retain=True)
        await publish(server.url, "w", "a", "E", 3)
        async for event in sub:  # which is left at this event: it counts as not handled
            self.assertTrue(event.retained)
            break
        await publish(server.url, "w", "a", "E", 4)
        got = []
        async for event in Subscription(server.url, [ZONE], cursor=sub.cursor):
            got.append((event.data, event.retained))
            if event.data == 4:
                break
        self.assertEqual(got, [(2, True), (4, False)])

    async def test_retained_events_survive_a_connection_that_breaks_before_they_came(self) -> None:
        server = await self.start()
        await publish(server.url, "w", "a", "STATE", 1, retain=True)
        host, port = server.address.split(":")
        cuts = 2  # connections that break right after connected

        async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal cuts
            up, down = await asyncio.open_connection(host, int(port))
            down.write(await reader.readuntil(b"\r\n\r\n"))
            if cuts:
                cuts -= 1
                writer.write(await up.readuntil(b"\r\n\r\n"))
                writer.write(await up.readuntil(b"\n\n"))
            else:
                while part := await up.read(4096):
                    writer.write(part)
            writer.close()
            down.close()

        proxy = await asyncio.start_server(forward, "127.0.0.1", 0)
        self.addAsyncCleanup(proxy.wait_closed)
        self.addCleanup(proxy.close)
        address = "http://%s:%d" % proxy.sockets[0].getsockname()
        sub, events = Subscription(address, [ZONE], backoff=(0.01, 0.05)), []
        self.follow(sub, events)
        await self.until("the retained event came", lambda: len(events) == 1)
        await publish(server.url, "w", "a", "E", 2)
        await self.until("the message came", lambda: len(events) == 2)
        self.assertEqual([(event.data, event.retained) for event in events], [(1, True), (2, False)])
        self.assertEqual(cuts, 0)
        await server.end()

    async def test_what_passes_is_tried_again(self) -> None:
        """A server that never answers, a proxy's own 404, frames that are none, a token function that fails."""
        server = await self.start(AUTH_TOKEN_SECRET="0123456789abcdef0123456789abcdef")
        tries, asked = [], 0

        async def door(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            tries.append(await reader.readuntil(b"\r\n\r\n"))
            if len(tries) == 1:
                await reader.read()  # until the client gives up
            elif len(tries) == 2:
                writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone")
            elif len(tries) == 3:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: {}\n\n")
            else:
                host, port = server.address.split(":")
                up, down = await asyncio.open_connection(host, int(port))
                down.write(tries[-1])
                while part := await up.read(4096):
                    writer.write(part)
                down.close()
            writer.close()

        def token() -> str:
            nonlocal asked
            asked += 1
            if asked == 2:
                raise RuntimeError("the issuer is down")
            return "wrong"

        proxy = await asyncio.start_server(door, "127.0.0.1", 0)
        self.addAsyncCleanup(proxy.wait_closed)
        self.addCleanup(proxy.close)
        sub = Subscription("http://%s:%d" % proxy.sockets[0].getsockname(), [ZONE], token=token, backoff=(0.01, 0.05))
        with unittest.mock.patch("zonecast.subscribing._CONNECT_TIMEOUT", 0.5):
            with self.assertRaises(ZonecastError) as refused:  # by the server itself, three tokens later
                async with asyncio.timeout(PATIENCE):
                    async for _ in sub:
                        pass
        self.assertEqual(refused.exception.code, "unauthenticated")
        self.assertEqual((len(tries), asked), (6, 7))

    async def test_what_comes_over_connections_that_break_is_judged_as_any_history(self) -> None:
        server = await self.start()
        host, port = server.address.split(":")
        connections = 0

        async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            up, down = await asyncio.open_connection(host, int(port))
            down.write(await reader.readuntil(b"\r\n\r\n"))
            left = 3000  # bytes until it breaks, anywhere within an event
            while left > 0 and (part := await up.read(left)):
                left -= len(part)
                writer.write(part)
            writer.close()
            down.close()

        proxy = await asyncio.start_server(forward, "127.0.0.1", 0)
        self.addAsyncCleanup(proxy.wait_closed)
        self.addCleanup(proxy.close)
        sub, events = Subscription("http://%s:%d" % proxy.sockets[0].getsockname(), [ZONE], backoff=(0.01, 0.05)), []
        following = self.follow(sub, events)
        await self.joined(sub)
        start = sub.cursor.partition("@")[2]
        told = [{"kind": "join", "who": "python", "room": ZONE, "offset": start}]
        for n in range(100):
            offset = (await publish(server.url, "w", "a", "E", {"n": n}, idempotency_key=f"key-{n}"))["offset"]
            told.append({"kind": "publish", "who": "publisher", "room": ZONE, "event": "E", "hash": f"{n}", "key": f"key-{n}",
                         "outcome": "ok", "offset": offset})
        await self.until("the last message came", lambda: events and events[-1].offset == offset)
        for event in events:
            told.append({"kind": "event", "who": "python", "room": ZONE, "offset": event.offset, "event": event.name,
                         "hash": f"{event.data['n']}"} if event.kind == "message" else
                        {"kind": event.kind, "who": "python", "room": ZONE, "from": event.start, "to": event.offset})
        told.append({"kind": "newest", "room": ZONE, "offset": offset})
        self.assertGreater(connections, 3)

        async def judge(records: list[dict]) -> str:
            with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
                file.writelines(json.dumps(record) + "\n" for record in records)
                file.flush()
                run = await asyncio.create_subprocess_exec(PROGRAM, "check-history", file.name, stdout=subprocess.PIPE,
                                                           stderr=subprocess.STDOUT)
                return (await run.communicate())[0].decode()

        self.assertIn("keep every promise", await judge(told))
        self.assertIn("silent hole", await judge(told[:110] + told[111:]))
        following.cancel()
        await server.end()

    async def test_a_lost_history_is_told_as_a_gap(self) -> None:
        server = await self.start()
        await publish(server.url, "w", "a", "E", 0)
        sub, events = Subscription(server.url, [ZONE], backoff=(0.05, 0.2)), []
        self.follow(sub, events)
        await self.joined(sub)
        await publish(server.url, "w", "a", "E", 1)
        await self.until("the message came", lambda: len(events) == 1)
        await server.end()
        await self.start(server.address)  # whose memory is empty
        await self.until("the gap came", lambda: len(events) == 2)
        await publish(server.url, "w", "a", "E", 2)
        await self.until("the message came", lambda: len(events) == 3)
        self.assertEqual([event.kind for event in events], ["message", "gap", "message"])
        self.assertEqual(events[1].start, events[0].offset)

    async def test_publishing_bridges_a_restart(self) -> None:
        server = await self.start()
        await server.end()
        task = asyncio.create_task(publish(server.url, "w", "a", "E", 1))
        await asyncio.sleep(0.3)
        await self.start(server.address)
        self.assertEqual((await task)["room"], ZONE)

    async def test_a_drain_is_obeyed(self) -> None:
        server = await self.start()
        sub, events = Subscription(server.url, [ZONE], backoff=(0.05, 0.2)), []
        self.follow(sub, events)
        await self.joined(sub)
        self.assertEqual(await server.end(signal.SIGTERM), 0)
        await self.start(server.address)
        # Its memory was that of the other one, so what the loop gets begins with a gap.
        await publish(server.url, "w", "a", "E", 1)
        await self.until("the message came", lambda: [event.kind for event in events] == ["gap", "message"])

    async def test_refusals_say_what_to_change(self) -> None:
        server = await self.start(AUTH_TOKEN_SECRET="s" * 32, PUBLISH_KEYS="k" * 16)
        with self.assertRaisesRegex(ZonecastError, r"answered 401 \(unauthenticated\)"):
            await publish(server.url, "w", "a", "E")
        asked = []

        async def token() -> str:
            asked.append(1)
            return "nonsense"

        with self.assertRaisesRegex(ZonecastError, "unauthenticated"):
            async for _ in Subscription(server.url, [ZONE], token=token, backoff=(0.01, 0.01)):
                pass
        self.assertEqual(len(asked), 3)
        with self.assertRaisesRegex(ZonecastError, "400"):
            await publish(server.url, "w", "a", "connected", key="k" * 16)

    async def test_a_token_function_may_be_slow_or_say_that_it_is_over(self) -> None:
        asked = 0

        async def token() -> str:
            nonlocal asked
            asked += 1
            if asked == 1:
                await asyncio.sleep(PATIENCE)
            if asked == 2:
                return ""
            raise ZonecastError(code="unauthenticated", detail="signed out")

        with unittest.mock.patch("zonecast.subscribing._CONNECT_TIMEOUT", 0.1), self.assertLogs("zonecast") as logs:
            with self.assertRaisesRegex(ZonecastError, r"^refused \(unauthenticated\): signed out$"):
                async for _ in Subscription("http://127.0.0.1:1", [ZONE], token=token, backoff=(0.01, 0.01)):
                    pass
        self.assertEqual(asked, 3)
        self.assertRegex(logs.output[0], "the token function failed: no token within 0.1 s")
        self.assertRegex(logs.output[1], "the token function failed: .*it returned none")

    async def test_publishing_bridges_a_server_that_hangs(self) -> None:
        server = await self.start()
        tries: list[bytes] = []

        async def door(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            tries.append(await reader.readuntil(b"\r\n\r\n"))
            body = await reader.readexactly(int(re.search(rb"Content-Length: (\d+)", tries[-1])[1]))
            if len(tries) > 1:
                host, port = server.address.split(":")
                up, down = await asyncio.open_connection(host, int(port))
                down.write(tries[-1] + body)
                writer.write(await up.read())
                down.close()
            else:
                await reader.read()  # until the client gives up
            writer.close()

        proxy = await asyncio.start_server(door, "127.0.0.1", 0)
        self.addAsyncCleanup(proxy.wait_closed)
        self.addCleanup(proxy.close)
        with unittest.mock.patch("zonecast.publishing._ATTEMPT_TIMEOUT", 1):
            answer = await publish("http://%s:%d" % proxy.sockets[0].getsockname(), "w", "a", "E", 1, within=PATIENCE)
        self.assertEqual(answer["room"], ZONE)
        self.assertGreaterEqual(len(tries), 2)
        keys = {re.search(rb"Idempotency-Key: (\S+)", text)[1] for text in tries}
        self.assertEqual(len(keys), 1)
        with unittest.mock.patch("zonecast.publishing._ATTEMPT_TIMEOUT", PATIENCE), self.assertRaises(TimeoutError):
            tries.clear()
            await publish("http://%s:%d" % proxy.sockets[0].getsockname(), "w", "a", "E", 1, within=0.3)

    async def test_mistakes_are_named(self) -> None:
        for want, call in {
            "url is": lambda: Subscription("ftp://x", [ZONE]),
            "no room": lambda: Subscription("http://x", ["zone-a"]),
            "name 1 to 128": lambda: Subscription("http://x", []),
            "cursor's part": lambda: Subscription("http://x", [ZONE], cursor="x"),
        }.items():
            with self.assertRaisesRegex(ValueError, want):
                call()
        with self.assertRaises(ValueError):
            await publish("http://127.0.0.1:1", "w", "a", "E", float("nan"))
        for data in (b"bytes", {1, 2}, {"at": object()}):
            with self.assertRaisesRegex(ValueError, "data has no JSON form"):
                await publish("http://127.0.0.1:1", "w", "a", "E", data)

    async def test_the_curl_of_the_documentation_publishes(self) -> None:
        server = await self.start()
        text = (Path(__file__).parents[3] / "docs" / "publishing.md").read_text()
        command = re.search(r"^curl .*?'\n", text, re.S | re.M)
        self.assertIsNotNone(command, "docs/publishing.md has no curl")
        run = await asyncio.create_subprocess_shell(command[0].replace("http://127.0.0.1:3001", server.url),
                                                    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        out, _ = await run.communicate()
        self.assertIn("offset", json.loads(out))


if __name__ == "__main__":
    unittest.main()
