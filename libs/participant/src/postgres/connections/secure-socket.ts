import { Socket, isIP } from 'node:net';
import { Duplex } from 'node:stream';
import { connect as connectTls, TLSSocket, type ConnectionOptions, type PeerCertificate } from 'node:tls';
import { guarded, invariant } from '@concordat/foundation';
import { DatabaseConnectionError } from '../errors.js';

/** How a connection to the server is secured. */
export interface SocketSecurity {
  /** goes on in plain text with a server that has no TLS */
  readonly mayBePlain: boolean;
  /** TLS from the first byte: PostgreSQL 17 and newer */
  readonly isDirect: boolean;
  /** asked for each connection; throws what must be changed */
  readonly options: () => ConnectionOptions;
}

/** "Do you speak TLS?": length and code of an `SSLRequest`. The answer is one byte. */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);
const DIRECT_PROTOCOL = 'postgresql';

/**
 * A socket for `pg` over which nothing leaves in plain text before the server has agreed on TLS. Emits `connect` when
 * the connection is secure. `pg` itself cannot go on without TLS, nor read its files anew for each connection; and what
 * is written in one turn is one record here, as with `GatheringSocket`.
 *
 * States: connecting → asking (not when direct) → handshake (not when plain) → open → destroyed. What is wrong with the
 * server's TLS ends it with a `DatabaseConnectionError`; what may pass (a reset, a time-out), with the error of Node.js.
 */
export class SecureSocket extends Duplex {
  private readonly socket = new Socket();
  /** the socket, or TLS on it; undefined until `connect` is emitted */
  private carrier: Socket | undefined;
  private gathering = false;

  constructor(private readonly security: SocketSecurity) {
    super({ allowHalfOpen: false });
    this.follow(this.socket);
  }

  connect(port: number, host: string): this {
    this.socket.once(
      'connect',
      guarded(() => (this.security.isDirect ? this.encrypt(host) : this.ask(host)), this.fail),
    );
    this.socket.connect(port, host);
    return this;
  }

  setNoDelay(isOn?: boolean): this {
    this.socket.setNoDelay(isOn);
    return this;
  }

  setKeepAlive(isOn?: boolean, delayMs?: number): this {
    this.socket.setKeepAlive(isOn, delayMs);
    return this;
  }

  ref(): this {
    this.socket.ref();
    return this;
  }

  unref(): this {
    this.socket.unref();
    return this;
  }

  override write(...given: unknown[]): boolean {
    if (!this.gathering) {
      this.gathering = true;
      this.cork();
      setImmediate(() => {
        this.gathering = false;
        this.uncork();
      });
    }
    return super.write(...(given as Parameters<Duplex['write']>));
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    invariant(this.carrier !== undefined, 'nothing is written before the connection is open');
    this.carrier.write(chunk, done);
  }

  override _writev(chunks: readonly { readonly chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), '', done);
  }

  override _read(): void {
    this.carrier?.resume();
  }

  override _final(done: (error?: Error | null) => void): void {
    this.carrier?.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.carrier?.destroy();
    this.socket.destroy();
    done(error);
  }

  /** Whether what is sent now is encrypted. */
  get isEncrypted(): boolean {
    return this.carrier instanceof TLSSocket;
  }

  /** Of the server, which `pg` binds the password to where `enableChannelBinding` is on. */
  getPeerCertificate(): PeerCertificate | undefined {
    return this.carrier instanceof TLSSocket ? this.carrier.getPeerCertificate() : undefined;
  }

  /** Of the server. */
  get remoteAddress(): string | undefined {
    return this.socket.remoteAddress;
  }

  private readonly fail = (error: unknown): void => {
    this.destroy(error instanceof Error ? error : new Error(String(error)));
  };

  /** The end of what carries this is its end. */
  private follow(socket: Socket): void {
    socket.on(
      'error',
      guarded((error: Error) => this.fail(explained(error)), this.fail),
    );
    socket.on(
      'close',
      guarded(() => this.destroy(), this.fail),
    );
  }

  private ask(host: string): void {
    this.socket.once(
      'data',
      guarded((answer: Buffer) => this.onAnswer(answer, host), this.fail),
    );
    this.socket.write(SSL_REQUEST);
  }

  private onAnswer(answer: Buffer, host: string): void {
    const text = answer.toString('latin1');
    if (text === 'S') return this.encrypt(host); // more than this byte would be from somebody else
    if (text === 'N' && this.security.mayBePlain) return this.open(this.socket);
    if (text === 'N') {
      throw new DatabaseConnectionError(
        'DATABASE_TLS_FAILED',
        `the server at ${host} does not speak TLS`,
        'set ssl = on in its postgresql.conf, with a certificate and a key; only where nobody else can listen or answer, ' +
          'use sslmode=disable',
      );
    }
    throw new Error(`the server at ${host} did not answer the question for TLS as PostgreSQL does`);
  }

  private encrypt(host: string): void {
    const secured = connectTls({
      minVersion: 'TLSv1.2',
      ...this.security.options(),
      ...(this.security.isDirect && { ALPNProtocols: [DIRECT_PROTOCOL] }),
      socket: this.socket,
      host,
      ...(isIP(host) === 0 && { servername: host }), // RFC 6066, section 3
    });
    this.follow(secured);
    secured.once(
      'secureConnect',
      guarded(() => this.open(secured), this.fail),
    );
  }

  private open(carrier: Socket): void {
    this.carrier = carrier;
    carrier.on(
      'data',
      guarded((chunk: Buffer) => {
        if (!this.push(chunk)) carrier.pause();
      }, this.fail),
    );
    carrier.on(
      'end',
      guarded(() => this.push(null), this.fail),
    );
    this.emit('connect');
  }
}

/** Codes of Node.js and of X.509 have an underscore; those of a network that fails have none, and may pass. */
function explained(error: Error): Error {
  const { code } = error as { readonly code?: unknown };
  if (typeof code !== 'string' || !code.includes('_') || /^ERR_(SOCKET|STREAM)_/.test(code)) return error;
  const [sentence, fix] = faultOf(code, error.message.trim()); // that of OpenSSL ends its line
  return new DatabaseConnectionError('DATABASE_TLS_FAILED', sentence, fix, { cause: error });
}

function faultOf(code: string, message: string): readonly [sentence: string, fix: string] {
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return [
      `the certificate of the server is of another host: ${message}`,
      'connect by a name that is in its certificate, or give it a certificate with this name; sslmode=verify-ca does not ' +
        'compare names',
    ];
  }
  if (code.includes('_ALERT_')) {
    return [
      `the server refuses TLS: ${message} (${code})`,
      'give a client certificate (sslcert and sslkey, or certificate and key) that is valid now, of an authority that the ' +
        'server trusts (its ssl_ca_file)',
    ];
  }
  return [
    `TLS to the server failed: ${message} (${code})`,
    'give the authority that signed its certificate (sslrootcert, or ca), and check that the certificate has not ended',
  ];
}
