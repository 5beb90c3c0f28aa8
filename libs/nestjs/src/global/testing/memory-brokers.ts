import { EventEmitter } from 'node:events';
import { ClientNats, ClientRMQ, ServerNats, ServerRMQ } from '@nestjs/microservices';

interface NatsMessage {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly reply?: string | undefined;
  readonly headers?: unknown;
  json(): unknown;
  respond(data: string | Uint8Array): void;
}

type NatsHandler = (error: null, message: NatsMessage) => void;

/** The used part of a NATS connection, without a server: bytes go from subject to subject. */
class MemoryNats {
  private readonly handlers = new Map<string, NatsHandler>();
  private end: () => void = () => undefined;
  private readonly closed = new Promise<void>((resolve) => (this.end = resolve));

  subscribe(subject: string, { callback }: { readonly callback: NatsHandler }): { unsubscribe(): void } {
    this.handlers.set(subject, callback);
    return { unsubscribe: () => void this.handlers.delete(subject) };
  }

  publish(subject: string, text: string | Uint8Array, options: { reply?: string; headers?: unknown } = {}): void {
    const data = Buffer.from(text);
    const message: NatsMessage = {
      subject,
      data,
      ...options,
      json: () => JSON.parse(data.toString('utf8')) as unknown,
      respond: (answer) => this.publish(options.reply!, answer),
    };
    setImmediate(() => this.handlers.get(subject)?.(null, message));
  }

  /** Ends with the connection. */
  status(): AsyncIterable<never> {
    const next = (): Promise<IteratorResult<never, undefined>> =>
      this.closed.then(() => ({ done: true, value: undefined }));
    return { [Symbol.asyncIterator]: () => ({ next }) };
  }

  async close(): Promise<void> {
    this.end();
  }
}

/** Messages of Nest's own client and server for NATS. */
export function natsInMemory(
  options: object,
  clientOptions: object = {},
): { readonly client: ClientNats; readonly server: ServerNats } {
  const nats = new MemoryNats();

  class MemoryClientNats extends ClientNats {
    override createClient(): Promise<never> {
      return Promise.resolve(nats as never);
    }
  }
  class MemoryServerNats extends ServerNats {
    override createNatsClient(): Promise<never> {
      return Promise.resolve(nats as never);
    }
  }
  return { client: new MemoryClientNats(clientOptions), server: new MemoryServerNats(options) };
}

/** Messages of Nest's own client and server for RabbitMQ, through one queue. */
export function rabbitInMemory(
  queue: string,
  options: object,
): { readonly client: ClientRMQ; readonly server: ServerRMQ } {
  const replies = new EventEmitter();
  const toServer: { deliver?: (message: object) => void } = {};
  const serverChannel = {
    sendToQueue: (_replyTo: string, content: Buffer, { correlationId }: { correlationId: string }) =>
      setImmediate(() => replies.emit(correlationId, { content, options: {} })),
  };
  const clientChannel = {
    sendToQueue: async (routingKey: string, content: Buffer, properties: object) => {
      setImmediate(() => toServer.deliver?.({ content, properties, fields: { routingKey } }));
    },
    close: async () => undefined,
  };

  class MemoryClientRMQ extends ClientRMQ {
    override async connect(): Promise<never> {
      this.channel = clientChannel as never;
      this.responseEmitter = replies;
      return undefined as never;
    }
  }
  class MemoryServerRMQ extends ServerRMQ {
    override async listen(callback: (error?: unknown) => void): Promise<void> {
      this.channel = serverChannel as never;
      toServer.deliver = (message) => void this.handleMessage(message as never, serverChannel);
      callback();
    }

    override async close(): Promise<void> {}
  }
  return {
    client: new MemoryClientRMQ({ queue }),
    server: new MemoryServerRMQ({ queue, ...options }),
  };
}
