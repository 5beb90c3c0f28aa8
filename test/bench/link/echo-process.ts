import { answerCalls } from '../called-process.js';
import { Batcher, decodeBatch } from './batches.js';
import { listen, type WireName } from './wires.js';

/** What the other process of the benchmark answers. */
export type EchoCall = 'listen' | 'cpu' | 'stop';

/** The other end: sends every message back, those of one turn together. */
answerCalls<EchoCall>('stop', async ({ name, request }) => {
  switch (name) {
    case 'listen':
      return listen(request as WireName, (write) => {
        const batcher = new Batcher(write);
        return (batch) => {
          for (const message of decodeBatch(batch)) batcher.send(message);
        };
      });
    case 'cpu':
      return process.cpuUsage();
    case 'stop':
      return null;
  }
});
