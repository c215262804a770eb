/**
 * The protocol's reference server, with the script that reference.py has as well: what it does is asked for by events.
 * Arguments: the package.json whose packages it uses, and options as JSON. It prints its port, and ends with its input.
 */
import { createRequire } from "node:module";

const require = createRequire(process.argv[2]);
const { Server } = require("socket.io");
const { createServer } = require("node:http");

const options = JSON.parse(process.argv[3]);
const http = createServer();
const io = new Server(http, {
  pingInterval: options.ping_interval_s * 1000,
  pingTimeout: options.ping_timeout_s * 1000,
  maxHttpBufferSize: options.max_bytes,
  transports: ["websocket"],
});

io.use((socket, next) => {
  next(options.refuse && Object.assign(new Error(options.refuse.message), { data: options.refuse.data }));
});
io.on("connection", (socket) => {
  socket.on("who", () => socket.emit("you", socket.handshake.auth));
  socket.on("ask", (payload, acknowledge) => {
    socket.emit("answer", payload);
    acknowledge?.(payload);
  });
  socket.on("question", () => socket.emit("question", {}, (...said) => socket.emit("answered", said)));
  socket.on("later", (seconds) => setTimeout(() => socket.emit("answer", seconds), seconds * 1000));
  socket.on("send_long", (length) => socket.emit("answer", "x".repeat(length)));
  socket.on("send_binary", () => socket.emit("answer", Buffer.from([1, 2, 3])));
  socket.on("leave", () => socket.disconnect());
  socket.on("drop", () => socket.conn.close());
  socket.on("disconnect", (reason) => console.log(`left: ${reason}`));
});

http.listen(0, "127.0.0.1", () => console.log(http.address().port));
process.stdin.on("end", () => process.exit(0)).resume();
