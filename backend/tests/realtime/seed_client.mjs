/**
 * An agent that knows only the specification, on the protocol's own client: connect, register, heartbeat, leave.
 * Arguments: the package.json whose packages it uses, the server, the transports as JSON or "null" for the default, and
 * the five fields as JSON. Each line that it prints is a JSON list: what happened, and what came with it.
 */
import { createRequire } from 'node:module';

const { io } = createRequire(process.argv[2])('socket.io-client');
const [, , , url, transports, seed] = process.argv;
const say = (...what) => console.log(JSON.stringify(what));
const chosen = JSON.parse(transports);
const socket = io(url, { reconnection: false, ...(chosen && { transports: chosen }) });

socket.on('connect_error', (error) => say('connect_error', error.message));
socket.on('connect', () => {
  say('connect', socket.id);
  socket.emit('agent_register', JSON.parse(seed), (answer) => say('acknowledged', answer));
});
socket.on('registration_success', (payload) => {
  say('registration_success', payload);
  socket.emit('ping', {}, (answer) => say('acknowledged', answer));
});
socket.on('registration_failed', (payload) => say('registration_failed', payload));
socket.on('pong', (payload) => say('pong', payload));
socket.on('session_ended', (payload) => say('session_ended', payload));
socket.on('disconnect', (reason) => say('disconnect', reason));
process.stdin.on('data', () => socket.disconnect());
process.stdin.on('end', () => process.exit(0));
