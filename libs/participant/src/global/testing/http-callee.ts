import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { CONTEXT_HEADER, INVITATION_HEADER } from '../context-header.js';
import { OFFER_HEADER } from '../joining-answer.js';
import { join } from '../joining.js';
import type { FakeService } from './global-system.js';

/** A service behind real HTTP, whose handler joins. */
export interface HttpCallee {
  readonly host: string;
  readonly url: string;
  /** the headers of all requests, in order */
  readonly requests: IncomingHttpHeaders[];
  /** what its handler does; it joins */
  work: () => Promise<unknown>;
  /** false: the handler works without, and proves nothing */
  joins: boolean;
  /** answers in another way; `true`: this request is done with */
  instead: (request: IncomingMessage, response: ServerResponse) => boolean;
  stop(): Promise<void>;
}

/** Starts one on a free port. */
export async function startHttpCallee(service: FakeService): Promise<HttpCallee> {
  const server = createServer((request, response) => {
    void answer(request, response);
  });
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    callee.requests.push(request.headers);
    if (callee.instead(request, response)) return;
    const { [CONTEXT_HEADER]: context, [OFFER_HEADER]: offer, [INVITATION_HEADER]: invitation } = request.headers;
    const call = { context, offer, invitation, audiences: [service.participant, callee.host] };
    try {
      if (callee.joins) {
        await join(service.transactions, call, {}, callee.work, (headers) => {
          for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
        });
      }
      response.setHeader('content-type', 'application/json').end('{"done":true}');
    } catch (error) {
      response.writeHead(500).end(String(error));
    }
  };
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const callee: HttpCallee = {
    host,
    url: `http://${host}/`,
    requests: [],
    work: async () => service.transactions.currentClient()!.query(`add ${service.participant}`),
    joins: true,
    instead: () => false,
    stop: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
  return callee;
}
