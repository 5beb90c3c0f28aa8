import { Client } from 'undici';
import { closedLoop, type Measurement } from '../closed-loop.js';
import { OBEDIENT, OPERATION } from './participants.js';

const HEADERS = { 'content-type': 'application/json' };

/** What a client sees, per kind of request. */
export interface RestFigures {
  readonly execute: Measurement;
  readonly get: Measurement;
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

/** One keep-alive connection per client to one coordinator. */
export class StateClients {
  private readonly connections: readonly Client[];

  constructor(url: string, clients: number) {
    this.connections = Array.from({ length: clients }, () => new Client(url, { pipelining: 1 }));
  }

  /** Transactions of two branches, and then questions about some that are there; both as closed loops. */
  async measure(seconds: number, ids: readonly string[]): Promise<RestFigures> {
    const clients = this.connections.length;
    const execute = await closedLoop(clients, { seconds }, (client) => this.execute(client));
    const get = await closedLoop(clients, { seconds }, (client) => this.get(client, ids));
    return { execute, get };
  }

  /** Transactions until `over` says so. */
  async until(over: () => boolean): Promise<void> {
    await Promise.all(
      this.connections.map(async (_, client) => {
        while (!over()) await this.execute(client);
      }),
    );
  }

  async execute(client: number): Promise<string | undefined> {
    const branches = OBEDIENT.map((participant) => ({
      participant,
      operation: OPERATION,
      payload: { account: `account-${client}`, amount: 1 },
    }));
    const { status } = await this.request(client, 'POST', '/v1/transactions/execute', JSON.stringify({ branches }));
    return status === 200 ? undefined : `HTTP ${status}`;
  }

  /** Milliseconds until the whole answer is there. */
  async durationOf(path: string): Promise<number> {
    const begun = performance.now();
    const { status, text } = await this.request(0, 'GET', path);
    if (status !== 200) throw new Error(`GET ${path} answered ${status}: ${text.slice(0, 200)}`);
    return performance.now() - begun;
  }

  async close(): Promise<void> {
    await Promise.all(this.connections.map((connection) => connection.close()));
  }

  private async get(client: number, ids: readonly string[]): Promise<string | undefined> {
    const id = ids[Math.floor(Math.random() * ids.length)]!;
    const { status } = await this.request(client, 'GET', `/v1/transactions/${id}`);
    return status === 200 ? undefined : `HTTP ${status}`;
  }

  private async request(client: number, method: 'GET' | 'POST', path: string, body?: string): Promise<Answer> {
    const answer = await this.connections[client]!.request({
      method,
      path,
      ...(body !== undefined && { headers: HEADERS, body }),
    });
    return { status: answer.statusCode, text: await answer.body.text() };
  }
}
