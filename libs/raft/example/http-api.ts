import type { IncomingMessage, ServerResponse } from 'node:http';
import { errorMessage } from '@concordat/foundation';
import { NotLeaderError, ProposalDroppedError, ProposalUnknownError, type RaftNode } from '@concordat/raft';
import { encodeCommand, type KeyValueMachine } from './key-value-machine.js';

const maximumValueBytes = 64 * 1024;

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly location?: string;
}

/**
 * `GET`, `PUT` and `DELETE /keys/<key>` and `GET /status`, on any node. Reads are linearizable and are served from
 * the node that was asked; writes go to the leader, and another node answers with where that is.
 */
export class HttpApi {
  constructor(
    private readonly node: RaftNode<string | undefined>,
    private readonly machine: KeyValueMachine,
  ) {}

  /** Answers one request; never rejects. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const answer = await this.answer(request).catch((error: unknown) => this.failure(error, request.url ?? '/'));
    if (answer.location !== undefined) response.setHeader('Location', answer.location);
    if (answer.status === 503) response.setHeader('Retry-After', '1');
    response.writeHead(answer.status, { 'Content-Type': 'text/plain; charset=utf-8' }).end(`${answer.text}\n`);
  }

  private async answer(request: IncomingMessage): Promise<Answer> {
    const path = request.url ?? '/';
    if (path === '/status') return { status: 200, text: JSON.stringify(this.node.status(), undefined, 2) };
    const key = keyOf(path);
    if (key === undefined) return { status: 404, text: 'there is /keys/<key> and /status' };
    switch (request.method) {
      case 'GET':
        return this.read(key);
      case 'PUT': {
        const value = await bodyOf(request);
        if (value === undefined) return { status: 413, text: `a value has at most ${maximumValueBytes} bytes` };
        await this.node.propose(encodeCommand({ type: 'put', key, value }));
        return { status: 200, text: 'stored' };
      }
      case 'DELETE': {
        const { result: before } = await this.node.propose(encodeCommand({ type: 'delete', key }));
        return before === undefined ? notFound(key) : { status: 200, text: 'deleted' };
      }
      default:
        return { status: 405, text: 'use GET, PUT or DELETE' };
    }
  }

  private async read(key: string): Promise<Answer> {
    await this.node.readIndex(); // from here on this copy holds all that was stored before the request came
    const value = this.machine.get(key);
    return value === undefined ? notFound(key) : { status: 200, text: value };
  }

  private failure(error: unknown, path: string): Answer {
    if (error instanceof NotLeaderError) {
      const leader = this.node.status().configuration.members.find(({ nodeId }) => nodeId === error.leaderId);
      return leader
        ? { status: 307, text: error.message, location: `${leader.data}${path}` }
        : { status: 503, text: error.message };
    }
    if (error instanceof ProposalDroppedError) return { status: 503, text: error.message };
    if (error instanceof ProposalUnknownError)
      return { status: 504, text: 'this may have been done or not: read the key, or do it again' };
    return { status: 500, text: errorMessage(error) };
  }
}

const notFound = (key: string): Answer => ({ status: 404, text: `there is no key "${key}"` });

function keyOf(path: string): string | undefined {
  const encoded = /^\/keys\/([^/?]{1,512})$/.exec(path)?.[1];
  try {
    return encoded === undefined ? undefined : decodeURIComponent(encoded);
  } catch {
    return undefined; // a stray percent sign
  }
}

async function bodyOf(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    if (sizeBytes > maximumValueBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}
