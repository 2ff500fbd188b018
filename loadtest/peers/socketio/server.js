// A bare Socket.IO server: the in-memory adapter, WebSocket alone, clients that may join any room and publish into any.
// It prints its address and serves until it is killed.
//
//   node server.js [--deflate]
//
// Compression is what perMessageDeflate gives: from 1 KiB up, for each member anew, at zlib's cheapest level and without
// a context that would cost each connection its memory.
import { createServer } from "node:http";
import { Server } from "socket.io";

const deflate = process.argv.includes("--deflate");

const http = createServer();
const io = new Server(http, {
  transports: ["websocket"],
  serveClient: false,
  perMessageDeflate: deflate && {
    threshold: 1024,
    zlibDeflateOptions: { level: 1 },
    serverNoContextTakeover: true,
    clientNoContextTakeover: true,
  },
});

io.on("connection", (socket) => {
  socket.on("join", (room, answer) => {
    socket.join(room);
    answer("ok");
  });
  socket.on("publish", (room, data, answer) => {
    io.to(room).emit("LOADTEST", data);
    answer("ok");
  });
});

http.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${http.address().port}`));
