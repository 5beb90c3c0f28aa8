/** A place where shipped code lets others connect. */
export interface ListenerRule {
  /** for people; undefined: nobody from outside can reach it */
  readonly stream?: string;
  /** who is let in, and how it shows who it is */
  readonly who: string;
  /** the test that lets others try */
  readonly test?: string;
}

/** Each place in the sources that listens, and who is let in. `docs/security.md` has the table. */
export const LISTENER_RULES: Readonly<Record<string, ListenerRule>> = {
  'apps/coordinator/src/http/http-server.ts FastifyAdapter 1': {
    stream: 'REST in plain text, and its event streams',
    who: 'who may make the call, by token or certificate ([table](#who-may-call-what)); a stream ends with its token',
    test: 'apps/coordinator/src/http/access-guard.spec.ts',
  },
  'apps/coordinator/src/http/http-server.ts FastifyAdapter 2': {
    stream: 'REST over TLS',
    who: 'the same; a certificate of a client counts as a credential, if `CONCORDAT_HTTP_TLS_CA` is set',
    test: 'apps/coordinator/src/http/tls.spec.ts',
  },
  'libs/messaging/src/direct/tcp.ts createServer': {
    stream: 'direct streams of participants (`CONCORDAT_DIRECT`), in plain text',
    who: 'everybody who reaches the port, as any participant: the hello is believed; beyond loopback not without `CONCORDAT_PLAIN_LINKS=accept` or `CONCORDAT_AUTH=none`',
    test: 'libs/messaging/src/direct/direct-bus.spec.ts',
  },
  'libs/messaging/src/direct/tls.ts createServer': {
    stream: 'direct streams over TLS',
    who: 'a certificate `concordat://<cluster>/participant/<name>`; the hello must have that name (`NOT_YOU`), and so must what it says',
    test: 'apps/coordinator/src/inbound/direct-link.tls.spec.ts',
  },
  'libs/raft/src/transport/connection-listener.ts createServer 1': {
    stream: 'Raft between coordinators (`CONCORDAT_RAFT`), in plain text',
    who: 'everybody who reaches the port and says that it is a member; beyond loopback the same',
    test: 'libs/raft/src/transport/grpc-transport.spec.ts',
  },
  'libs/raft/src/transport/connection-listener.ts createServer 2': {
    stream: 'Raft over TLS',
    who: 'a certificate `concordat://<cluster>/node/<id>` of a member; it speaks for that node only',
    test: 'libs/raft/src/transport/grpc-transport.tls.spec.ts',
  },
  'apps/bank/src/bootstrap.ts FastifyAdapter': {
    stream: 'REST of the demo bank',
    who: 'everybody: it is an example, for loopback',
  },
  'apps/shop/src/service.ts FastifyAdapter': {
    stream: 'REST of the demo shop',
    who: 'everybody: it is an example, for loopback',
  },
  'libs/raft/src/storage/directory-claim.ts createServer': {
    who: 'processes of the same user, by a socket in the data directory: it says who holds it, and reads nothing',
    test: 'libs/raft/src/storage/directory-lock.spec.ts',
  },
  'apps/coordinator/src/embedded/door.ts createServer': {
    who: 'the tests of the process that embeds a coordinator, on loopback; its connections go to REST',
    test: 'apps/coordinator/src/embedded/secured.spec.ts',
  },
  'libs/testing/src/databases/embedded-server.ts createServer': {
    who: 'nobody: it finds a port that is free, and closes; the PostgreSQL of tests there asks for a password, on loopback',
  },
  'apps/lab/src/local-system/ports.ts createServer': {
    who: 'nobody: it finds out whether a port is free, and closes',
  },
  'apps/lab/src/local-system/stream-proxy.ts createServer': {
    who: 'who reaches loopback; its connections go to a direct stream, which judges them, and the proxy reads nothing',
    test: 'apps/lab/src/local-system/stream-proxy.spec.ts',
  },
  'apps/lab/src/scenarios/intruder/forged-requests.ts createServer 1': {
    who: 'the coordinator that it fools: a foreign node in the scenario intruder',
  },
  'apps/lab/src/scenarios/intruder/forged-requests.ts createServer 2': { who: 'the same' },
  'apps/cli/src/dev-ports.ts createServer': { who: 'nobody: it finds out whether a port is free, and closes' },
};

/** Where functions that listen come from, and what they are called. `gRPC` listens by the sockets that it is given. */
export const LISTENING_MODULES = [
  'node:net',
  'node:tls',
  'node:http',
  'node:https',
  'node:http2',
  'node:dgram',
  'fastify',
  '@nestjs/platform-fastify',
];
export const LISTENING: ReadonlySet<string> = new Set([
  'createServer',
  'createSecureServer',
  'createSocket',
  'Server',
  'FastifyAdapter',
  'fastify',
]);
