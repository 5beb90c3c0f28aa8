import { Client } from 'undici';
import type { Attempt } from './closed-loop.js';

/** What a secured system wants of a client. */
export interface RestAccess {
  /** in PEM */
  readonly ca?: string | undefined;
  readonly token?: string | undefined;
}

/** Of bank-a and of bank-b. */
export type Accounts = readonly [string, string];

/** Moves 1 from the first to the second, begun and committed by one request. */
export function transferBody([from, to]: Accounts, withKeys: boolean): string {
  return JSON.stringify({
    branches: [branch('bank-a', 'debit', from, withKeys), branch('bank-b', 'credit', to, withKeys)],
  });
}

/** One keep-alive connection per client to one coordinator, or to one service. */
export class RestClients {
  private readonly connections: readonly Client[];
  private readonly headers: Readonly<Record<string, string>>;

  /** @param access what a secured system wants */
  constructor(url: string, clients: number, { ca, token }: RestAccess = {}) {
    this.headers = { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) };
    const options = { pipelining: 1, ...(ca && { connect: { ca } }) };
    this.connections = Array.from({ length: clients }, () => new Client(url, options));
  }

  /** Transfers 1 from bank-a to bank-b by one `execute`. */
  transfer(accounts: (client: number) => Accounts, withKeys: boolean): Attempt {
    return this.execute((client) => transferBody(accounts(client), withKeys));
  }

  /** Begins and commits by one request; the body is made anew for each. */
  execute(body: (client: number) => string): Attempt {
    return this.post('/v1/transactions/execute', body);
  }

  /** One request whose answer says what became of it, by its status. */
  post(path: string, body: (client: number) => string): Attempt {
    return async (client) => {
      const answer = await this.connections[client]!.request({
        method: 'POST',
        path,
        headers: this.headers,
        body: body(client),
      });
      const text = await answer.body.text();
      if (answer.statusCode === 200 || answer.statusCode === 201) return undefined;
      const problem = JSON.parse(text) as { code?: string; reason?: string; participantCode?: string };
      return problem.participantCode ?? problem.reason ?? problem.code ?? `HTTP ${answer.statusCode}`;
    };
  }

  async close(): Promise<void> {
    await Promise.all(this.connections.map((connection) => connection.close()));
  }
}

function branch(participant: string, operation: string, account: string, withKeys: boolean): object {
  return { participant, operation, payload: { account, amount: 1 }, ...(withKeys && { keys: [account] }) };
}
