import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { connect as connectSecurely } from 'node:tls';
import { openFilesLimit } from '@concordat/foundation';
import { isRunning } from '../local-system/process-table.js';
import { isBank } from '../local-system/system-file.js';
import { waitUntil } from '../local-system/wait.js';
import type { Scenario } from './scenario.js';
import type { ScenarioLab } from './scenario-lab.js';

const HALF_BODIES = 200;
const IDLE_CONNECTIONS = 2_000;
const SLOW_READERS = 50;
const GARBAGE = 200;
/** Connections at the Raft port, more than it allows. */
const SILENT_NODES = 300;
/** Clients of a bank that stop in the middle of a request. */
const HALF_BANK_REQUESTS = 100;
/** Files that the lab itself needs. */
const OWN_FILES = 256;
const COMMITS = 50;
/** The limit for a whole request is 30 s. */
const GIVEN_UP_TIMEOUT_MS = 60_000;

const HEAD = 'HTTP/1.1\r\nHost: coordinator\r\n';
const HALF = `POST /v1/transactions/execute ${HEAD}Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"branches"`;
const HALF_BANK = `GET /accounts ${HEAD}`;
const STRANGE_TARGETS = ['http://host/v1/transactions/execute', '/v1/transactions/execute#/../x', '/v1#%zz', '*'];

export const badClients: Scenario = {
  name: 'bad-clients',
  title: 'half requests, idle connections by the thousand, slow readers and garbage at every port, under load',
  run: async (lab) => {
    const sockets: Socket[] = [];
    try {
      await misbehave(lab, sockets);
    } finally {
      for (const socket of sockets) socket.destroy();
    }
  },
};

/** Resolves when a handshake is over, one way or the other. */
function ended(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.once('secureConnect', resolve);
    socket.once('close', resolve);
  });
}

async function misbehave(lab: ScenarioLab, sockets: Socket[]): Promise<void> {
  const { narration } = lab;
  const coordinators = lab.coordinators();
  const ports = coordinators.map(({ ports: { http } }) => http!);
  const { security } = lab.context;
  const handshakes: Promise<void>[] = [];
  const open = (port: number, bytes: string | Buffer, reads = true, isSecure = false): Socket => {
    const to = { port, host: '127.0.0.1' };
    const socket = security && isSecure ? connectSecurely({ ...to, ca: security.access.ca }) : connect(to);
    socket.on('error', () => undefined); // a node may refuse it, or end it
    if (security && isSecure) handshakes.push(ended(socket));
    if (reads) socket.resume();
    if (bytes.length > 0) socket.write(bytes);
    sockets.push(socket);
    return socket;
  };
  const each = (count: number, use: (port: number, index: number) => void): void => {
    for (const port of ports) for (let index = 0; index < count; index++) use(port, index);
  };

  narration.action(`at each coordinator: ${HALF_BODIES} clients that send half a request and then nothing`);
  const halves: Socket[] = [];
  each(HALF_BODIES, (port) => halves.push(open(port, HALF, true, true)));

  const affordable =
    Math.floor(((openFilesLimit() ?? Infinity) - OWN_FILES) / ports.length) -
    HALF_BODIES -
    GARBAGE -
    SILENT_NODES -
    HALF_BANK_REQUESTS;
  const idle = Math.max(0, Math.min(IDLE_CONNECTIONS, affordable - SLOW_READERS));
  narration.action(`${idle} idle connections after one request each, and ${SLOW_READERS} slow readers`);
  each(idle, (port) => open(port, `GET /healthz ${HEAD}\r\n`, true, true));
  const credential = security ? `Authorization: Bearer ${security.access.token}\r\n` : '';
  const slow = `GET /v1/events ${HEAD}${credential}Last-Event-ID: 1\r\n\r\n`;
  each(SLOW_READERS, (port) => open(port, slow, false, true));
  await Promise.all(handshakes); // thousands keep this process busy, and what follows measures the system

  narration.action(`${GARBAGE} times garbage at the port for clients and at the port for the other nodes`);
  const bodies = STRANGE_TARGETS.map((target) => `POST ${target} ${HEAD}Content-Length: 2\r\n\r\n{}`);
  each(GARBAGE, (port, index) =>
    // in a secured system garbage also arrives in plain text, where TLS is spoken
    open(port, index % 2 === 0 ? randomBytes(300) : bodies[(index >> 1) % bodies.length]!, true, index % 4 < 2),
  );
  for (const {
    ports: { raft },
  } of coordinators) {
    for (let index = 0; index < GARBAGE / 2; index++) open(raft!, index % 2 === 0 ? randomBytes(300) : '');
  }

  narration.action(`at each port for the other nodes: ${SILENT_NODES} callers that say nothing`);
  const silent: Socket[] = [];
  for (const { ports } of coordinators)
    for (let index = 0; index < SILENT_NODES; index++) silent.push(open(ports.raft!, ''));
  const banks = lab.state().processes.filter(isBank);
  narration.action(`at each bank: ${HALF_BANK_REQUESTS} clients that send half a request and then nothing`);
  for (const { ports } of banks)
    for (let index = 0; index < HALF_BANK_REQUESTS; index++) halves.push(open(ports.http!, HALF_BANK));

  narration.expectation('transfers go on, no process ends, and stalled clients are disconnected');
  const tookMs = await lab.waitForCommits(COMMITS);
  narration.observation(`${COMMITS} further transfers committed within ${tookMs} ms`);
  const waiting = (): number => halves.filter(({ destroyed }) => !destroyed).length;
  await waitUntil(() => waiting() === 0, { timeoutMs: GIVEN_UP_TIMEOUT_MS });
  const left = waiting() === 0 ? [] : [`${waiting()} of ${halves.length} half requests still have their connection`];
  lab.check('half requests are disconnected', left, `all ${halves.length} connections were ended`);
  await waitUntil(() => silent.every(({ destroyed }) => destroyed), { timeoutMs: GIVEN_UP_TIMEOUT_MS });
  const stay = silent.filter(({ destroyed }) => !destroyed).length;
  lab.check(
    'silent callers at the Raft ports are disconnected',
    stay === 0 ? [] : [`${stay} of ${silent.length} still have their connection`],
    `all ${silent.length} connections were ended`,
  );
  const dead = [...coordinators, ...banks]
    .filter((one) => !isRunning(one))
    .map(({ name, pid }) => `${name} (process ${pid}) has died`);
  lab.check('every coordinator and bank lives on', dead, 'all processes are the same as before');
  await lab.waitForCommits(COMMITS);
}
