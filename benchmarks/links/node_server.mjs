// The same on the protocol's reference server, socket.io on ws. Prints its address.
import { createServer } from 'node:http';
import { createRequire } from 'node:module';

const { Server } = createRequire(process.argv[2])('socket.io');
const http = createServer();
const io = new Server(http, { transports: ['websocket'], perMessageDeflate: false, pingInterval: 25000, pingTimeout: 60000 });
const yes = { ok: true, data: {} };
const agents = new Set();

io.on('connection', (socket) => {
  socket.on('disconnect', () => agents.delete(socket));
  socket.on('agent_register', (payload, answer) => {
    agents.add(socket);
    socket.emit('registration_success', { agent_id: payload.agent_id });
    answer(yes);
  });
  socket.on('ping', (_payload, answer) => {
    socket.emit('pong', {});
    answer(yes);
  });
  socket.on('task_updates', (_payload, answer) => answer(yes));
  socket.on('fan_out', (_payload, answer) => {
    for (const agent of agents) agent.emit('task_assigned', { task_id: '0'.repeat(32), command: ['echo', 'hi'] });
    answer(yes);
  });
});
http.listen(0, '127.0.0.1', 2048, () => console.log(`http://127.0.0.1:${http.address().port}`));
