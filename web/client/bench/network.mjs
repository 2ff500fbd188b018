// A network between clients and the server on port process.argv[2], in a process of its own. Its parent tells it to be away or back.
import { connect, createServer } from 'node:net';

let away = false;
const sockets = new Set();
const network = createServer((near) => {
  near.on('error', () => {});
  if (away) return near.resetAndDestroy();
  const far = connect(Number(process.argv[2]), '127.0.0.1');
  for (const [socket, other] of [[near, far], [far, near]]) {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => {
      sockets.delete(socket);
      other.destroy();
    });
    socket.pipe(other);
  }
});
process.on('message', (order) => {
  away = order === 'away';
  if (away) for (const socket of sockets) socket.resetAndDestroy();
  process.send(order);
});
process.on('disconnect', () => process.exit());
network.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => process.send(network.address().port));
